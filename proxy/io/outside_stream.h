// What the ways of seeing writes that do not pass through the proxy have in common: a thread of its
// own that connects, follows until that fails, and begins anew; what it may be relied upon; why
// not.
//
// A class that derives from it calls begin() at the end of its constructor and end() at the
// beginning of its destructor.
#pragma once
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "config/settings.h"
#include "proxy/core/databases.h"
#include "proxy/io/control_parameters.h"
#include "proxy/io/pq_watch.h"
#include "proxy/ops/latency.h"

namespace pgsidecar::io {

class outside_stream {
  public:
    virtual ~outside_stream() = default;
    outside_stream(const outside_stream&) = delete;
    outside_stream& operator=(const outside_stream&) = delete;

    // Any thread.
    [[nodiscard]] virtual std::string_view how() const noexcept = 0;  // as `invalidation` has it
    [[nodiscard]] ops::latency staleness() const;
    [[nodiscard]] std::string problem() const;  // why it is not followed; empty: it is

  protected:
    using clock = std::chrono::steady_clock;

    outside_stream(core::database& where, std::shared_ptr<const config::settings> settings);
    void begin();
    void end();

    // On the thread. open(): from nothing to where following may begin; what fails says failed().
    [[nodiscard]] virtual bool open() = 0;
    virtual void follow() = 0;  // until it fails or is to end
    virtual void close() = 0;   // its connections

    // Null: failed. What connect() has made is watched until disconnect().
    [[nodiscard]] connection_ptr connect(const std::string& application_name, bool replication);
    void disconnect(connection_ptr& connection);
    // Waits for any of the connections, the moment or the end; false: the end.
    bool wait(clock::time_point until);
    // Waits for the moment or the end alone.
    bool rest(clock::time_point until);
    // For what is to be this process's alone at the server.
    [[nodiscard]] static std::string random_name();
    // The answer to what was sent last, whether or not this is the end; null: not by then.
    [[nodiscard]] result_ptr last_answer(PGconn* connection, clock::time_point until);
    bool failed(const std::string& why);  // false
    bool failed(const PGconn* connection) { return failed(first_line(PQerrorMessage(connection))); }
    // It is followed from here: what was cached before may be outdated by what nobody has seen,
    // unless it goes on where it ended.
    void opened(const std::string& by, bool goes_on = false);
    // Everything that was visible at `when` has been seen.
    void seen(clock::time_point when);
    void note_staleness(std::chrono::microseconds late);
    [[nodiscard]] bool complained() const noexcept { return complained_; }
    [[nodiscard]] bool ending() const noexcept { return stopping_.load(); }

    core::database& where_;
    const std::shared_ptr<const config::settings> settings_;

  private:
    struct watched {
        const PGconn* connection;
        std::unique_ptr<pq_watch> watch;
    };

    void run();
    void trust(clock::time_point until);
    void set_problem(std::string why);

    boost::asio::io_context context_{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
    std::vector<watched> watches_;
    std::atomic<bool> stopping_{false};
    bool complained_ = false;
    mutable std::mutex mutex_;
    ops::latency staleness_;  // under the mutex
    std::string problem_ = "beginning";
    std::thread thread_;
};

}  // namespace pgsidecar::io
