// Asks the server, with auth_query over control_connection, how it stores a user's password. On a
// thread of its own, which begins with the first question and keeps its connection for some
// seconds. Answers are kept for auth_query_ttl at most. Called from any thread.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "proxy/io/control_parameters.h"
#include "proxy/io/secret_cache.h"

namespace pgsidecar::io {

class stored_secrets {
  public:
    // Empty for a user that is unknown or has no password; nothing when the server could not be
    // asked: it is away, control_connection may not read this, or too many are waiting.
    using handler = std::function<void(std::optional<std::string>)>;

    // `altered` counts what has changed roles: no answer outlasts that.
    stored_secrets(std::shared_ptr<const config::settings> settings,
                   const std::atomic<std::uint64_t>& altered)
        : altered_{altered}, settings_{std::move(settings)}, known_{settings_->auth_query_ttl} {}
    ~stored_secrets() { stop(); }
    stored_secrets(const stored_secrets&) = delete;
    stored_secrets& operator=(const stored_secrets&) = delete;

    void adopt(std::shared_ptr<const config::settings> settings);  // others from now on
    void look_up(std::string user, handler done);  // `done` comes at once, or from another thread
    void doubt(const std::string& user);           // a log-in has failed
    void stop();                                   // who still waits hears nothing

  private:
    struct question {
        std::string user;
        handler done;
    };
    void run();
    struct answer {
        std::string secret;
        std::optional<std::chrono::milliseconds> valid;
    };
    [[nodiscard]] std::optional<answer> ask(const std::string& user);
    [[nodiscard]] std::optional<std::string> ask_and_keep(const std::string& user);
    [[nodiscard]] bool connect();
    void complain(const std::string& why);

    [[nodiscard]] std::shared_ptr<const config::settings> settings();

    const std::atomic<std::uint64_t>& altered_;
    connection_ptr connection_;
    bool complained_ = false;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::shared_ptr<const config::settings> settings_;
    std::deque<question> waiting_;
    secret_cache known_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace pgsidecar::io
