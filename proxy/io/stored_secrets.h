// Asks the server, with auth_query over control_connection, how it stores a user's password. On a
// thread of its own, which begins with the first question and keeps its connection for some
// seconds. Secrets are kept nowhere. Called from any thread.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "proxy/io/control_parameters.h"

namespace pgsidecar::io {

class stored_secrets {
  public:
    // Empty for a user that is unknown or has no password; nothing when the server could not be
    // asked: it is away, control_connection may not read this, or too many are waiting.
    using handler = std::function<void(std::optional<std::string>)>;

    explicit stored_secrets(const config::settings& settings) : settings_{settings} {}
    ~stored_secrets() { stop(); }
    stored_secrets(const stored_secrets&) = delete;
    stored_secrets& operator=(const stored_secrets&) = delete;

    void look_up(std::string user, handler done);  // `done` comes from another thread
    void stop();                                   // who still waits hears nothing

  private:
    struct question {
        std::string user;
        handler done;
    };
    void run();
    [[nodiscard]] std::optional<std::string> ask(const std::string& user);
    [[nodiscard]] bool connect();
    void complain(const std::string& why);

    const config::settings& settings_;
    connection_ptr connection_;
    bool complained_ = false;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<question> waiting_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace pgsidecar::io
