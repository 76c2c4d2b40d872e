// The console's tables about what is alive and what is configured, made from copies: sessions and
// server connections as the workers tell of them, pools as the ledger does. Values only; nothing of
// a statement and no secret is in them.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "config/settings.h"
#include "proxy/core/pool_ledger.h"
#include "proxy/core/session_overview.h"
#include "proxy/core/traffic.h"
#include "proxy/ops/console_command.h"
#include "proxy/ops/console_table.h"
#include "proxy/ops/flags.h"

namespace pgsidecar::ops {

struct observations;

struct live_socket {
    std::string address, local_address;
    std::uint16_t port = 0, local_port = 0;
    std::string tls;  // version and cipher; empty: plain
    std::chrono::system_clock::time_point connected{}, last_used{};
    std::uint64_t unsent = 0;  // bytes that wait for the peer
};

struct live_client {
    std::uint64_t id = 0;  // the number that KILL_CLIENT takes
    core::session_overview session;
    live_socket socket;
    bool parked = false;                  // it logs in to a database that is paused
    std::chrono::milliseconds waited{0};  // for a server connection, or for that

    [[nodiscard]] bool waits() const noexcept {
        return parked || session.is == core::session_overview::phase::waiting;
    }
};

struct live_server {
    std::string user, database;
    bool idle = false;      // of a pool, and nobody uses it
    bool outdated = false;  // it is closed as soon as it is free: RECONNECT
    std::int32_t pid = 0;
    std::uint64_t client = 0;  // who uses it
    live_socket socket;
};

struct live_database {
    std::string name;
    std::string catalog;  // how far it is known: "ready", "reading" or "none"
};

struct live_state {
    std::vector<live_client> clients;
    std::vector<live_server> servers;
    std::vector<core::pool_ledger::overview> pools;  // of pool_mode: transaction
    std::vector<live_database> databases;
    std::map<std::string, core::traffic::word, std::less<>> words;
    bool everything_paused = false;
    bool draining = false;
};

// A view for which the live state and the settings suffice.
[[nodiscard]] bool is_live(console_view v) noexcept;
[[nodiscard]] console_table live_table(console_view v, const live_state& now,
                                       const config::settings& s);

// `waiting`: keys that the files give otherwise, which takes effect only with a restart.
[[nodiscard]] console_table config_table(const config::load_result& in_force,
                                         const std::vector<std::string>& waiting);
[[nodiscard]] console_table rules_table(const config::settings& s);

// FLAGS.
[[nodiscard]] console_table flags_table(const std::vector<flag_row>& all);

[[nodiscard]] console_table cache_table(const observations& now, const config::settings& s);

// "2026-11-28 16:05:41 UTC"
[[nodiscard]] std::string time_text(std::chrono::system_clock::time_point at);
[[nodiscard]] std::string id_text(std::uint64_t id);  // "0x1f"

}  // namespace pgsidecar::ops
