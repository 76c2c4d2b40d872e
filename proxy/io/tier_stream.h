// A TCP connection, perhaps under TLS, for a thread that may wait, but for no longer than it says:
// each call runs its own io_context until it is done or its time is up. After a failure it is
// closed, and error() says why.
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/io/tls.h"

namespace pgsidecar::io {

class tier_stream {
  public:
    using time_point = std::chrono::steady_clock::time_point;
    tier_stream() = default;
    ~tier_stream() { close(); }
    tier_stream(const tier_stream&) = delete;
    tier_stream& operator=(const tier_stream&) = delete;

    // Null context: no TLS.
    [[nodiscard]] bool open(const std::string& host, const std::string& port, SSL_CTX* tls,
                            config::tls_mode mode, time_point until);
    [[nodiscard]] bool write(std::string_view bytes, time_point until);
    // At least one; 0: it failed.
    [[nodiscard]] std::size_t read(std::span<char> into, time_point until);
    void close() noexcept;
    [[nodiscard]] bool is_open() const noexcept { return socket_ && socket_->is_open(); }
    [[nodiscard]] const std::string& error() const noexcept { return error_; }

  private:
    using tcp = boost::asio::ip::tcp;
    using tls_stream = boost::asio::ssl::stream<tcp::socket&>;
    struct operation {
        bool done = false;
        boost::system::error_code error;
        std::size_t size = 0;
    };
    [[nodiscard]] std::vector<tcp::endpoint> resolve(const std::string& host,
                                                     const std::string& port, time_point until);
    // False: its time was up; it is still under way.
    [[nodiscard]] bool wait(const operation& o, time_point until);
    // Waits for what has been started, and closes when it fails.
    [[nodiscard]] bool finish(operation& o, time_point until, const char* step);
    void fail(const char* step, const std::string& why);

    boost::asio::io_context context_{1};
    std::unique_ptr<tcp::socket> socket_;
    std::unique_ptr<tls_stream> tls_;
    std::string error_;
};

}  // namespace pgsidecar::io
