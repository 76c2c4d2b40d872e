// Watches what the observer has sampled, and tells of alerts: at once in the log, and by threads of
// their own in the event log, with NOTIFY and to a webhook. Nobody waits for any: what they cannot
// take any more, or do not deliver in three attempts, is given up and counted.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "config/settings.h"
#include "proxy/ops/alerts.h"

namespace pgsidecar::io {

class alert_sender {
  public:
    explicit alert_sender(std::shared_ptr<const config::settings> settings);
    ~alert_sender();  // what waits is dropped; takes as long as an attempt that is under way
    alert_sender(const alert_sender&) = delete;
    alert_sender& operator=(const alert_sender&) = delete;

    // A reload: counts from the next window's end and from the next attempt to deliver. On the
    // thread of look().
    void adopt(std::shared_ptr<const config::settings> settings);
    // A sample, newer than the one before. On one thread.
    void look(const ops::observations& now) { send(watch_.look(now)); }
    void send(const ops::alert_report& report);
    // What was given up.
    [[nodiscard]] std::uint64_t given_up() const;

  private:
    class channel;
    ops::alert_watch watch_;
    std::unique_ptr<channel> event_log_, notify_, webhook_;  // null: none so far
};

}  // namespace pgsidecar::io
