// Deletes expired rows of prescription_query_cache, some at a time, on a thread and by a connection
// of its own, so that no look-up waits for it. Sidecars that share the table do not get into each
// other's way: each takes what no other has locked.
#pragma once
#include <condition_variable>
#include <mutex>
#include <thread>

#include "config/settings.h"

namespace pgsidecar::io {

class cache_purger {
  public:
    explicit cache_purger(const config::settings& settings);
    ~cache_purger() { stop(); }
    cache_purger(const cache_purger&) = delete;
    cache_purger& operator=(const cache_purger&) = delete;
    void stop();

  private:
    void run();
    // Until nothing is left, or it cannot be done.
    void purge();
    [[nodiscard]] bool rest(std::chrono::milliseconds how_long);  // false: it is to stop

    const config::settings settings_;
    bool complained_ = false;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace pgsidecar::io
