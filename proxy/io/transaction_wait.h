// Waits until every transaction that was under way at the server has ended, on a thread of its own:
// a process that ended without saying how may have left commits behind that nobody has been told
// of.
#pragma once
#include <condition_variable>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "config/settings.h"
#include "proxy/io/control_parameters.h"

namespace pgsidecar::io {

class transaction_wait {
  public:
    // `done` comes from that thread, once, unless the object ends first. Until the server can be
    // asked it waits on.
    transaction_wait(const config::settings& settings, std::function<void()> done);
    ~transaction_wait();  // stops and joins
    transaction_wait(const transaction_wait&) = delete;
    transaction_wait& operator=(const transaction_wait&) = delete;

  private:
    void run(const std::function<void()>& done);
    [[nodiscard]] bool pause(std::chrono::milliseconds length);  // false: it is to stop
    [[nodiscard]] bool look(std::set<std::string>& running);

    const config::settings& settings_;
    connection_ptr connection_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace pgsidecar::io
