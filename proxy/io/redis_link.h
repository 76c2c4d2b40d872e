// One connection to one redis server or Sentinel: requests are added, sent together, and answered
// in their order (RESP2, by hiredis's reader). Used by one thread; see tier_stream.h for its time.
// open() -> add() ... -> send() -> next() for each.
#pragma once
#include <hiredis/hiredis.h>

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "proxy/core/tier_clock.h"
#include "proxy/io/tier_stream.h"

namespace pgsidecar::io {

struct redis_reply_free {
    void operator()(redisReply* r) const noexcept { freeReplyObject(r); }
};
using redis_reply = std::unique_ptr<redisReply, redis_reply_free>;

struct redis_options {
    std::string username;
    std::string password;  // empty: no AUTH
    ssl_ctx_ptr tls;       // null: none
    config::tls_mode tls_mode = config::tls_mode::disable;
    std::size_t max_reply = 0;  // bytes; a longer one ends the connection
};

class redis_link {
  public:
    using time_point = std::chrono::steady_clock::time_point;
    // `address`: host:port, or [host]:port.
    redis_link(std::string address, const redis_options& options)
        : address_{std::move(address)}, options_{options} {}

    // Connects and logs in. Empty on success, else why not, for the log.
    [[nodiscard]] std::string open(time_point until);
    void add(std::span<const std::string_view> request);
    void add(std::initializer_list<std::string_view> request) {
        add(std::span{request.begin(), request.size()});
    }
    [[nodiscard]] bool send(time_point until);
    // Null: the connection is gone, see error().
    [[nodiscard]] redis_reply next(time_point until);
    [[nodiscard]] std::string error() const { return address_ + ": " + stream_.error() + broken_; }
    void close() noexcept { stream_.close(); }
    [[nodiscard]] bool is_open() const noexcept { return stream_.is_open(); }
    [[nodiscard]] const std::string& address() const noexcept { return address_; }
    // When what is under way was sent.
    [[nodiscard]] time_point sent() const noexcept { return sent_; }

  private:
    struct reader_free {
        void operator()(redisReader* r) const noexcept { redisReaderFree(r); }
    };
    const std::string address_;
    const redis_options& options_;
    tier_stream stream_;
    std::unique_ptr<redisReader, reader_free> reader_;
    std::string out_, broken_;
    std::size_t unread_ = 0;  // bytes of the reply that is coming
    time_point sent_{};
};

// Of an error reply the code alone ("OOM", "NOPERM"): the rest may hold keys. Empty: it is none.
[[nodiscard]] std::string error_code_of(const redisReply& r);
[[nodiscard]] inline std::string_view text_of(const redisReply& r) noexcept {
    return r.str ? std::string_view{r.str, r.len} : std::string_view{};
}
// What TIME answers; 0: it is something else.
[[nodiscard]] std::chrono::microseconds time_of(const redisReply& r);

}  // namespace pgsidecar::io
