// The control connections, one for each database in use: opened when the first client has logged in
// there, closed when the database has had no client for a minute, or at once when a statement that
// it would block (DROP DATABASE, a rename, a copy) is about to pass. Called from any thread; the
// waiting is done on threads of its own.
#pragma once
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "proxy/io/control_connection.h"

namespace pgsidecar::io {

class catalogs {
  public:
    catalogs(core::databases& all, std::shared_ptr<const config::settings> settings);
    ~catalogs();

    void adopt(std::shared_ptr<const config::settings> settings);  // others from now on
    void use(const std::string& name);
    // `done` comes from another thread. The database is not used again before settled().
    void release(const std::string& name, std::function<void()> done);
    void settled();
    void reload();  // some database wants its catalogs read again
    void settle(core::unsettled_commit commit);
    void close_unused(std::chrono::steady_clock::time_point now);
    bool wait_ready(const std::string& name, std::chrono::milliseconds at_most);
    // How writes past the proxy are seen in each database in use.
    [[nodiscard]] std::vector<ops::invalidation_status> invalidation() const;
    void stop();

  private:
    struct slot {
        std::unique_ptr<control_connection> connection;
        std::chrono::steady_clock::time_point used;
        std::vector<core::unsettled_commit> left;  // unsettled when its connection was closed
        bool closing = false;
        bool again = false;  // it was to be used meanwhile
    };
    // On a thread of its own; `done`, if there is one, when it is closed. Under the mutex.
    void close(const std::string& name, std::function<void()> done);

    core::databases& all_;
    // Read for the cache, also while it is off, since it may come on; and by pools, to know what of
    // a session stays behind at a server connection.
    const bool wanted_;
    mutable std::mutex mutex_;
    std::condition_variable closed_;
    std::shared_ptr<const config::settings> settings_;
    std::map<std::string, slot, std::less<>> slots_;
    unsigned releases_ = 0;  // statements under way that want databases left alone
    bool stopped_ = false;
    struct closer {
        std::shared_ptr<std::atomic<bool>> done;
        std::jthread thread;
    };
    std::vector<closer> closers_;
};

}  // namespace pgsidecar::io
