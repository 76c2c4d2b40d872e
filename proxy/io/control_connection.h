// The proxy's own connection to one database, through libpq, on a thread of its own: it reads the
// catalogs into a snapshot, again whenever the database wants that or the interval has passed, and
// learns when a backend whose connection died has gone. While it is not connected the database has
// no usable catalog, so nothing there is answered from the cache; it keeps trying.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "config/settings.h"
#include "proxy/core/actions.h"
#include "proxy/core/databases.h"
#include "proxy/core/reading_budget.h"
#include "proxy/io/control_parameters.h"
#include "proxy/ops/invalidation.h"

namespace pgsidecar::io {

class outside_stream;

class control_connection {
  public:
    control_connection(core::database& where, core::databases& all,
                       std::shared_ptr<const config::settings> settings);
    ~control_connection();  // disconnects and joins
    control_connection(const control_connection&) = delete;
    control_connection& operator=(const control_connection&) = delete;

    void wake();
    void refresh_every(std::chrono::milliseconds interval);
    void settle(core::unsettled_commit commit);
    // Waits until the catalogs have been read once, or the time is over. False: not yet.
    bool wait_ready(std::chrono::milliseconds at_most);
    // How writes past the proxy are seen here. Any thread.
    [[nodiscard]] ops::invalidation_status invalidation() const;
    // Commits not settled yet; for the connection that takes over.
    [[nodiscard]] std::vector<core::unsettled_commit> stop();

  private:
    void run();
    [[nodiscard]] bool connect();
    [[nodiscard]] bool alive();
    [[nodiscard]] bool load();
    [[nodiscard]] bool choose_invalidation();
    void see_outside_by(config::invalidation how, const std::string& because);
    void end_stream();
    [[nodiscard]] std::optional<std::string> lacks_for_wal();
    [[nodiscard]] std::optional<std::string> lacks_for_notify();
    [[nodiscard]] std::optional<bool> has_event_triggers(const char* function);
    [[nodiscard]] bool refuse(const std::string& what);
    void settle_gone();
    void lost(const std::string& why);
    [[nodiscard]] result_ptr query(const char* sql);

    core::database& where_;
    core::databases& all_;
    const std::shared_ptr<const config::settings> settings_;
    connection_ptr connection_;
    std::uint64_t loaded_ = 0;  // generation of the published snapshot
    std::chrono::steady_clock::time_point loaded_at_{};
    std::atomic<std::chrono::milliseconds> refresh_interval_;
    core::reading_budget budget_;
    bool complained_ = false;

    mutable std::mutex mutex_;
    std::unique_ptr<outside_stream> stream_;   // changed by the thread alone, under the mutex
    std::optional<config::invalidation> how_;  // the thread's own
    std::string because_;                      // what to know about it: why it is not a better way
    std::condition_variable changed_;
    bool stopping_ = false;
    bool woken_ = false;
    bool ready_ = false;
    std::vector<core::unsettled_commit> unsettled_;
    std::thread thread_;
};

}  // namespace pgsidecar::io
