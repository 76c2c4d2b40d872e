// Follows one database's logical replication stream: what outside transactions have written becomes
// versions moved on. Pure; whoever has the connection feeds it message by message, in their order.
//
// A commit stands in the WAL before snapshots show it, by as long as a synchronous standby takes.
// So on its arrival the tables are moved on and kept from being filled (table_state::begin_commit),
// until somebody has seen in a snapshot that the transaction is over: settle(). A fill that read
// the old row in between would otherwise be stored under the new version, for ever.
//
//     on_message()  each message; commits add to unsettled()
//     settle()      a snapshot shows that one of them is finished
//     abandon()     the stream has ended: nothing of it will be settled any more
//
// Transactions that came through the proxy arrive here once more; that costs their tables' entries
// a second time and nothing else.
#pragma once
#include <cstdint>
#include <map>
#include <system_error>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "protocol/replication.h"
#include "proxy/core/databases.h"

namespace pgsidecar::core {

class wal_follower {
  public:
    // Of logical messages that tell of a definition that has changed.
    static constexpr std::string_view prefix = "pgsidecar";

    explicit wal_follower(database& where) : where_{where} {}
    ~wal_follower() { abandon(); }
    wal_follower(const wal_follower&) = delete;
    wal_follower& operator=(const wal_follower&) = delete;

    // What a message came to: the last one of a transaction says when that was committed.
    struct progress {
        bool committed = false;
        bool touched = false;           // something of this database has been moved on
        std::int64_t committed_us = 0;  // since 2000, by the server's clock
        protocol::lsn end = 0;
    };
    // An error: what comes is not a stream that can be followed. Then abandon().
    [[nodiscard]] std::error_code on_message(protocol::bytes payload, progress& out);

    // Committed in the WAL, not known to be over: the lower halves of their numbers.
    [[nodiscard]] std::vector<std::uint32_t> unsettled() const;
    [[nodiscard]] bool settled() const noexcept { return pending_.empty(); }
    void settle(std::uint32_t xid);
    // The stream has ended, and goes on later from no further than this: what is not known to be
    // over stays so.
    void interrupt();
    // It will not go on.
    void abandon();

  private:
    struct transaction {
        std::unordered_set<std::uint32_t> relations;
        bool schema_changed = false;
    };
    struct unsettled_transaction {
        std::vector<cache::table_state*> tables;
        bool schema_changed = false;
    };
    void begin(std::uint32_t xid);
    void touch(std::uint32_t relation);
    void commit(progress& out);
    void describe(std::uint32_t relation);
    void definition_changed(const protocol::logical_message& m);
    [[nodiscard]] std::vector<cache::table_state*> states_of(const transaction& t);
    void finish(const unsettled_transaction& t);

    database& where_;
    std::uint32_t xid_ = 0;
    std::uint32_t last_relation_ = 0;
    transaction current_;
    std::unordered_set<std::uint32_t> described_;  // relations that were announced once
    // By number; one that comes again (two billion later) would have been settled long before.
    std::map<std::uint32_t, unsettled_transaction> pending_;
};

}  // namespace pgsidecar::core
