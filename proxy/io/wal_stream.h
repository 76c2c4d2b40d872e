// How writes that do not pass through the proxy are seen (invalidation: wal): a temporary logical
// replication slot of one database, read through libpq on a thread of its own, and a second
// connection, the witness, that says which transactions are over and how far the WAL has come. What
// arrives moves versions on (core::wal_follower).
//
// The database is trusted for max_invalidation_lag from the moment at which the witness named a
// position that the stream has passed since. So a stream that is lost, late or stuck is noticed by
// the cache within that time even if this thread is stuck with it. On reconnecting everything that
// was cached before is outdated, and nothing is trusted before every transaction is over that the
// new slot may have missed.
#pragma once
#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "config/settings.h"
#include "proxy/core/databases.h"
#include "proxy/core/wal_follower.h"
#include "proxy/io/control_parameters.h"
#include "proxy/io/pq_watch.h"
#include "proxy/ops/latency.h"

namespace pgsidecar::io {

class wal_stream {
  public:
    wal_stream(core::database& where, std::shared_ptr<const config::settings> settings);
    ~wal_stream();  // ends it and joins
    wal_stream(const wal_stream&) = delete;
    wal_stream& operator=(const wal_stream&) = delete;

    // Any thread.
    [[nodiscard]] ops::latency staleness() const;
    [[nodiscard]] std::string problem() const;  // why it is not followed; empty: it is

  private:
    using clock = std::chrono::steady_clock;

    void run();
    [[nodiscard]] bool open();
    [[nodiscard]] bool connect();
    [[nodiscard]] bool create_slot();
    [[nodiscard]] bool await_older();
    [[nodiscard]] bool start();
    void follow();
    void close();

    [[nodiscard]] bool receive(clock::time_point now);
    [[nodiscard]] bool take(protocol::bytes message, clock::time_point now);
    void reached(protocol::lsn position);
    [[nodiscard]] bool hear_witness(clock::time_point now);
    void answer(const PGresult* r, clock::time_point now);
    [[nodiscard]] bool ask(clock::time_point now);
    [[nodiscard]] bool send_status(bool reply_requested);
    [[nodiscard]] std::uint64_t full(std::uint32_t xid) const noexcept;
    [[nodiscard]] clock::time_point next_step() const;

    // Waits for either connection, the moment or the end; false: the end.
    bool wait(clock::time_point until);
    [[nodiscard]] bool failed(const std::string& why);
    void set_problem(std::string why);
    void note_staleness(std::int64_t committed_us);
    void trust(clock::time_point until);

    core::database& where_;
    const std::shared_ptr<const config::settings> settings_;
    boost::asio::io_context context_{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
    std::atomic<bool> stopping_{false};
    bool complained_ = false;

    connection_ptr stream_, witness_;
    std::unique_ptr<pq_watch> stream_watch_, witness_watch_;
    core::wal_follower follower_;
    std::string slot_;
    std::string publication_row_;      // its oid and xmin: what is being followed
    std::uint64_t transactions_ = 0;   // the next number, as the witness last said
    protocol::lsn position_ = 0;       // what the stream has passed
    protocol::lsn target_ = 0;         // what it is to pass; 0: nothing is awaited
    clock::time_point target_time_{};  // when the witness was asked for it
    bool asking_ = false;
    clock::time_point asked_at_{}, ask_next_{}, ping_next_{};
    std::chrono::microseconds settle_pause_{0};

    mutable std::mutex mutex_;
    ops::latency staleness_;  // under the mutex
    std::string problem_ = "beginning";

    std::thread thread_;
};

}  // namespace pgsidecar::io
