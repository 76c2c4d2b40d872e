// What a session knows of the pool that it shares server connections of (pool_mode: transaction).
// Small: every idle client has one.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "cache/store.h"
#include "proxy/core/server_link.h"

namespace pgsidecar::core {

// Why a session keeps its server connection between transactions.
enum class pin : std::uint8_t {
    none,
    not_followed,  // who knows what is set there
    temporary_objects,
    listen,
    advisory_lock,
    held_cursor,
    own_sequences,  // currval(), lastval()
    seeded,         // setseed()
    sql_prepare,
    dialect,  // an encoding or string syntax in which others' bytes would mean something else
    count_
};
// In the words of the statistics.
[[nodiscard]] std::string_view to_string(pin why) noexcept;

struct pooling {
    // Things of the session that only one server connection has.
    enum hold : std::uint8_t {
        session_lock = 1,  // pg_advisory_lock()
        listens = 2,
        open_cursor = 4,    // WITH HOLD
        own_sequences = 8,  // currval(), lastval() were asked for
        seeded = 16         // setseed()
    };

    server_link* link = nullptr;  // null: detached
    // What is to be set at a server connection, of which revision of the settings; equal ones of a
    // worker's sessions are the same object.
    shared_values wanted;
    shared_text read_by;  // by which the server reads statements: search_path, role, settings
    std::uint64_t wanted_revision = 0;
    shared_values told;  // the ParameterStatus that the client has
    cache::time_point wait_ends = cache::time_point::max();
    cache::time_point look_again = cache::time_point::max();  // while a log-in awaits the catalog
    std::string refusal;      // ErrorResponse for the request in front, which found no server
    bool in_need = false;     // with it: an answer from before would do instead (stale_if_error)
    std::uint32_t batch = 1;  // of the messages that are being sent: counts Syncs and queries
    std::uint8_t holds = 0;
    bool unlistens = false;      // the open transaction has: if it commits
    pin kept_for = pin::none;    // since the last transaction ended
    std::uint8_t attempts = 0;   // connections that could not be made ready for this request
    std::uint8_t restoring = 0;  // ReadyForQuery still to come before the client's own
    bool greeting = true;        // the client is not logged in yet
    bool restore_failed = false;
    bool kept_back = false;  // a report of what the client need not know
    bool resets = false;     // since it was attached, some setting has returned to its beginning
    std::uint32_t returned_at = 0;   // the session's count of taints when that was sent
    bool skipping = false;           // the request in front was refused: up to its Sync
    bool begins = false;             // and it would begin a block
    bool discard_sequences = false;  // what others took from them is not this session's business
};

}  // namespace pgsidecar::core
