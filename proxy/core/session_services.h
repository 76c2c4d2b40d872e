// What a session is given: how it is to behave, and what it shares with the others of its worker.
#pragma once
#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "cache/flights.h"
#include "cache/store.h"
#include "policy/tenants.h"
#include "proxy/core/decider.h"
#include "proxy/core/scram.h"

namespace pgsidecar::core {

class tier_guard;

// Changes while sessions run, between their calls; on_switched() tells them. What is fixed for the
// program's life: follow, upstream_name, scram, authenticates, pooled, followed_startup.
struct session_options {
    bool cache = false;  // answers may come from it now
    // Sessions are followed, and what they write is noted, also while `cache` is off: for it may
    // come on, and then a session that was not followed could not be served, nor an entry trusted
    // that it may have outdated. Without this and without `cache` bytes pass unread.
    bool follow = false;
    bool client_tls_offered = false;
    bool client_tls_required = false;
    bool single_flight = true;
    std::size_t max_entry_size = 1U << 20;             // bytes of an answer that may be recorded
    std::string upstream_name;                         // host:port, a part of every key
    bool server_tls_optional = false;                  // server_tls_sslmode is allow or prefer
    const crypto* scram = nullptr;                     // null: every log-in is relayed as it is
    bool authenticates = false;                        // the proxy itself; `scram` is there then
    std::chrono::milliseconds client_idle_timeout{0};  // 0: none
    std::chrono::milliseconds idle_transaction_timeout{0};  // 0: none
    // pool_mode: transaction; with `authenticates`, and a server connection comes when one is asked
    // for.
    bool pooled = false;
    std::chrono::milliseconds query_wait_timeout{0};  // 0: none
    std::size_t max_prepared_statements = 200;        // at one server connection
    std::chrono::milliseconds server_check_delay{0};
    std::string server_check_query{};  // empty: none
    bool measures = false;             // tells of each statement that is over (measurement.h)
    bool rollout = false;              // some rule is for a part of the tenants
    // What log-ins at the admin console compute with; null: there is none.
    const crypto* console = nullptr;
    // Start-up parameters that do not make a pool of their own: they are set where they differ.
    std::vector<std::string> followed_startup{};
    std::chrono::milliseconds tier_timeout{20};  // that a miss waits for the shared tier
};

// Shared by the sessions of one worker, which keep a reference; outlives them.
struct session_services {
    decider& decide;
    cache::store& store;
    cache::flights& flights;
    databases& dbs;
    const session_options& options;
    std::string& key_buffer;                      // scratch
    policy::tenant_directory* tenants = nullptr;  // null: there will never be limits, nor measuring
    tier_guard* tier = nullptr;                   // null: there is no shared tier
};

}  // namespace pgsidecar::core
