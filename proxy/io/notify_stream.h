// How writes that do not pass through the proxy are seen by NOTIFY (invalidation: notify): one
// connection of a database that listens to what the triggers of `pgsidecar migrate up --notify`
// send.
//
// The server delivers messages in the order of their commits, and none before its transaction is
// over for every snapshot. So a message of our own that has come back says that everything has come
// that could be seen when it was sent: the database is trusted for max_invalidation_lag from then
// on.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "proxy/core/notice_follower.h"
#include "proxy/io/outside_stream.h"

namespace pgsidecar::io {

class notify_stream final : public outside_stream {
  public:
    notify_stream(core::database& where, std::shared_ptr<const config::settings> settings);
    ~notify_stream() override;

    [[nodiscard]] std::string_view how() const noexcept override { return "notify"; }

  private:
    [[nodiscard]] bool open() override;
    void follow() override;
    void close() override;
    [[nodiscard]] bool receive();
    [[nodiscard]] bool ask(clock::time_point now);

    connection_ptr connection_;
    core::notice_follower follower_;
    std::string own_channel_;  // nobody else need be woken by what a process tells itself
    std::uint64_t sent_ = 0;   // number of our last message
    clock::time_point sent_at_{};
    bool awaited_ = false;  // it has not come back
    bool asking_ = false;   // the server has not said that it took it
    clock::time_point ask_next_{};
};

}  // namespace pgsidecar::io
