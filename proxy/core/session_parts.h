// What a session holds only for a while, each made when it begins and gone when it ends: the
// start-up, a transaction's writes, an answer that is recorded or cut. An idle session has none of
// them. Plain values; the session's own files say what becomes of them.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cache/recorder.h"
#include "cache/store.h"
#include "proxy/core/authenticator.h"
#include "proxy/core/decider.h"
#include "proxy/core/limiter.h"
#include "proxy/core/scram_bridge.h"
#include "proxy/core/tier.h"

namespace pgsidecar::core {

// From the start-up message to the end of the log-in.
struct session_start_up {
    std::string database;
    std::string packet;           // for the server
    std::string options;          // of these, what a pool's connections begin with
    std::string unknown_options;  // names of _pq_. options, each with its zero byte
    std::string refusal;          // of the first connection, in the server's words
    std::string offer;            // AuthenticationSASL, held until the credentials are here
    std::unique_ptr<scram_bridge> bridge;
    std::unique_ptr<authenticator> guard;  // of the client, while it is asked
    server_credentials known;              // what that has shown
    std::string random;                    // for the log-in at the server
    std::unique_ptr<server_login> at_server;
    bool encrypted = false;  // the connection to the server
    bool heard = false;      // it has said something
};

// Tables that the session has written.
struct session_writes {
    std::uint64_t planned_by = 0;  // the oldest catalog by which these were found; 0: none yet
    std::vector<cache::table_state*> tables;  // in the open transaction
    std::vector<cache::table_state*> marked;  // of these, a commit is in flight
};

// A text that ran before the first catalog was there, to be judged when it is.
struct unproven_text {
    std::shared_ptr<const statement_text> text;
    std::uint64_t generation = 0;  // wanted of the database when it ran
};

// What would have been served in the place of an answer under way, by a rule that only compares.
struct shadow_answer {
    cache::entry_ptr entry;
    std::shared_ptr<const std::string> rule;
    std::shared_ptr<const statement_text> text;
};

// An answer under way from the server that may become an entry.
struct answer_fill {
    std::string key;
    cache::hash128 hash;
    std::vector<cache::dependency> dependencies;
    std::chrono::milliseconds ttl{};
    cache::recorder recorder;
    std::unique_ptr<const shadow_answer> shadow{};
    // For the shared tier; no catalog: it is not to get this answer.
    cache::time_point began{};  // no later than the query was sent
    std::optional<std::uint64_t> catalog{};
    wal_place wal{};  // before the versions were observed
};
struct answer_fills {
    std::vector<answer_fill> each;
    bool leads = false;  // of a single flight, under each.front().key
};

// A question to the shared tier, from when it is asked until its request is answered or sent on.
struct tier_wait {
    struct part {
        std::string key;
        cache::hash128 hash;
        std::vector<cache::dependency> dependencies;  // as they were before it was asked
        std::chrono::milliseconds ttl{};
        tier_claim claim{};
    };
    std::vector<part> parts;
    std::uint64_t number = 0;
    cache::time_point due{};
    bool answered = false;
};

// A request that ends with an error of ours; what the server still says to it is taken back.
struct request_cut {
    bool answer = false;       // the client gets no more of its rows
    bool told = false;         // the error is sent
    bool ready_given = false;  // ReadyForQuery too, before the server's
    bool silent = false;       // the server had its time
    char promised = 'I';       // with ready_given
    // What is not sent yet of its batch. to_fail: behind the long message under way.
    enum class rest : std::uint8_t { runs, to_fail, fails };
    rest rest_of_batch = rest::runs;
    std::string error;
    limiter::time_point due = limiter::never;   // to hear of the server
    limiter::time_point ends = limiter::never;  // or to give it up
    [[nodiscard]] bool hides() const noexcept { return answer || told; }
};

// A transaction block that could not begin; see session_refused.cpp.
struct refused_block {
    std::string error;      // of its first statement; empty: the client has been told
    bool skipping = false;  // the rest of a batch, up to its Sync
    // What ends it: the unnamed statement, and what was bound.
    std::optional<policy::statement_facts> parsed{}, end{};
    [[nodiscard]] bool begun() const noexcept { return !error.empty(); }
    [[nodiscard]] char status() const noexcept { return begun() ? 'T' : 'E'; }
};

// What a request asks of its tenant.
struct request_demand {
    std::uint32_t queries = 0;  // that count
    bool place = false;         // at the gate
};

}  // namespace pgsidecar::core
