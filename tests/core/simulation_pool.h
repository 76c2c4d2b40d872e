// Shared server connections in the simulation (pool_mode: transaction): which pool settings are in
// force, by the seed, and what the io layer does between sessions and the ledger, with every hand-
// over of a thread as an event that comes later: connections lie idle with a worker, move, break
// while idle or on their way, are refused at their log-in, and are closed for age or room.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/settings.h"
#include "proxy/core/pool_ledger.h"
#include "proxy/core/pool_login.h"
#include "tests/core/simulation.h"

namespace core_test {

namespace config = pgsidecar::config;

struct simulated_pool {
    simulated_pool(std::uint64_t seed, const std::atomic<std::uint64_t>& altered);

    config::pool_settings settings;
    std::vector<std::string> followed;  // start-up parameters that make no pool of their own
    std::size_t statements = 200;       // at one server connection
    bool refuses = false;               // log-ins at the server, now and then
    bool checks = false;                // each connection, before it is used
    core::pool_ledger ledger;
    std::vector<core::pool_ledger::pool_ptr> pools;
    std::map<std::pair<unsigned, std::uint64_t>, simulation::line*> idle;  // by worker and number
    std::map<core::pool_ledger::pool*, std::string> start_ups;
    std::uint64_t next = 1;
    std::uint64_t ticks_left = 0;  // once all is over
};

// A server connection of a pool.
struct shared_line {
    enum class place : std::uint8_t { opening, idle, moving, used, gone };
    core::pool_ledger::pool* of = nullptr;
    place where = place::opening;
    unsigned worker = 0;
    std::uint64_t number = 0;
    std::unique_ptr<core::pool_login> login;
    std::unique_ptr<core::server_link> link;
    std::string unread{};  // while nobody reads it
    bool ended = false;    // and nothing follows that
    bool refused = false;  // what a session wanted to restore
    std::uint64_t altered = 0;
};

}  // namespace core_test
