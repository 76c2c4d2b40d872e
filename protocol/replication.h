// What a logical replication stream carries: the two messages of CopyBoth mode, inside them those
// of the plugin pgoutput (protocol version 1, without streaming of open transactions), and the
// status that the receiver sends back. Of rows only the table is read. Views live as long as the
// bytes. PostgreSQL 15: "Streaming Replication Protocol", "Logical Replication Message Formats".
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <system_error>
#include <variant>
#include <vector>

#include "protocol/bytes.h"

namespace pgsidecar::protocol {

using lsn = std::uint64_t;  // a position in the WAL

// Microseconds between 1970 and 2000, from which the server counts.
inline constexpr std::int64_t replication_epoch_us = 946'684'800'000'000;

struct xlog_data {
    static constexpr char type = 'w';
    lsn start = 0, end = 0;
    std::int64_t sent_us = 0;  // since 2000
    bytes payload;
};

struct primary_keepalive {
    static constexpr char type = 'k';
    lsn end = 0;  // everything before it has been sent
    std::int64_t sent_us = 0;
    bool reply_requested = false;
};

using replication_message = std::variant<xlog_data, primary_keepalive>;
[[nodiscard]] std::error_code parse(bytes body, replication_message& out) noexcept;

struct standby_status {
    lsn position = 0;  // received, flushed and applied, all in one
    std::int64_t sent_us = 0;
    bool reply_requested = false;
};
void write(std::string& out, const standby_status& m);

struct begin_transaction {
    lsn commit = 0;
    std::int64_t committed_us = 0;  // since 2000
    std::uint32_t xid = 0;
};

struct commit_transaction {
    lsn commit = 0, end = 0;
    std::int64_t committed_us = 0;
};

// Sent before the first row of a table, and again when its definition may have changed since.
struct relation_description {
    std::uint32_t relation = 0;
};

// A row was inserted, updated or deleted.
struct row_change {
    std::uint32_t relation = 0;
};

struct truncation {
    std::vector<std::uint32_t> relations;  // those that CASCADE led to as well
};

// By pg_logical_emit_message().
struct logical_message {
    bool transactional = false;
    std::string_view prefix;
    bytes content;
};

struct other_message {};  // an origin, a type

using wal_message = std::variant<other_message, begin_transaction, commit_transaction,
                                 relation_description, row_change, truncation, logical_message>;
[[nodiscard]] std::error_code parse(bytes payload, wal_message& out);

}  // namespace pgsidecar::protocol
