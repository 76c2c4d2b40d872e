// How writes that do not pass through the proxy are seen (invalidation: wal): a temporary logical
// replication slot of one database, read through libpq, and a second
// connection, the witness, that says which transactions are over and how far the WAL has come. What
// arrives moves versions on (core::wal_follower).
//
// The database is trusted for max_invalidation_lag from the moment at which the witness named a
// position that the stream has passed since. So a stream that is lost, late or stuck is noticed by
// the cache within that time even if this thread is stuck with it. On reconnecting everything that
// was cached before is outdated, and nothing is trusted before every transaction is over that the
// new slot may have missed.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "proxy/core/wal_follower.h"
#include "proxy/io/outside_stream.h"

namespace pgsidecar::io {

class wal_stream final : public outside_stream {
  public:
    wal_stream(core::database& where, std::shared_ptr<const config::settings> settings);
    ~wal_stream() override;

    [[nodiscard]] std::string_view how() const noexcept override { return "wal"; }

  private:
    [[nodiscard]] bool open() override;
    void follow() override;
    void close() override;

    [[nodiscard]] bool identify();
    [[nodiscard]] bool find_slot();
    [[nodiscard]] bool create_slot();
    [[nodiscard]] bool drop_slot();
    [[nodiscard]] result_ptr ask_witness(const char* sql, const std::string& value);
    [[nodiscard]] bool await_older();
    [[nodiscard]] bool start();
    [[nodiscard]] bool left_slot();

    [[nodiscard]] bool receive();
    [[nodiscard]] bool take(protocol::bytes message, clock::time_point now);
    void reached(protocol::lsn position);
    [[nodiscard]] bool hear_witness(clock::time_point now);
    void answer(const PGresult* r, clock::time_point now);
    [[nodiscard]] bool ask(clock::time_point now);
    [[nodiscard]] bool send_status(bool reply_requested);
    [[nodiscard]] std::uint64_t full(std::uint32_t xid) const noexcept;
    [[nodiscard]] clock::time_point next_step() const;

    connection_ptr stream_, witness_;
    core::wal_follower follower_;
    std::string slot_;
    std::string followed_;     // the history that position_ is of
    protocol::lsn began_ = 0;  // where the slot does
    std::string history_;      // the server's, and its timeline: in which positions are comparable
    bool goes_on_ = false;     // the slot is the one of before
    bool caught_up_ = false;   // and if it ends now the next may go on
    bool warned_ = false;
    std::string publication_row_;      // its oid and xmin: what is being followed
    std::uint64_t transactions_ = 0;   // the next number, as the witness last said
    protocol::lsn position_ = 0;       // what the stream has passed
    protocol::lsn target_ = 0;         // what it is to pass; 0: nothing is awaited
    clock::time_point target_time_{};  // when the witness was asked for it
    bool asking_ = false;
    clock::time_point asked_at_{}, ask_next_{}, ping_next_{};
    std::chrono::microseconds settle_pause_{0};
    clock::time_point committed_at_{};  // when a commit was taken last
    bool crowded_ = false;              // and one shortly before it
};

}  // namespace pgsidecar::io
