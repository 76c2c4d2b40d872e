// The console's tables from copies of what is alive and configured.
#include <doctest/doctest.h>

#include <string>

#include "proxy/ops/console_columns.h"
#include "proxy/ops/console_views.h"
#include "proxy/ops/observations.h"

namespace {

using namespace pgsidecar::ops;
using namespace std::chrono_literals;
namespace core = pgsidecar::core;
namespace config = pgsidecar::config;
using phase = core::session_overview::phase;

// The cell of that column in the row whose first cells are these.
std::string at(const console_table& t, std::vector<std::string> key, std::string_view column) {
    for (const auto& row : t.rows) {
        bool fits = true;
        for (std::size_t i = 0; i < key.size(); ++i) fits = fits && row[i] == key[i];
        if (!fits) continue;
        for (std::size_t i = 0; i < t.columns.size(); ++i)
            if (t.columns[i].name == column) return row[i].value_or("NULL");
    }
    return "no row";
}

config::load_result loaded(config::settings s) {
    config::load_result out;
    out.value = std::move(s);
    return out;
}

live_client client(std::uint64_t id, phase is, std::string user = "ann",
                   std::string database = "shop") {
    live_client c;
    c.id = id;
    c.session.is = is;
    c.session.user = std::move(user);
    c.session.database = std::move(database);
    c.session.application_name = "till";
    c.session.tenant = "acme";
    c.socket.address = "10.0.0.1";
    c.socket.port = 4711;
    return c;
}

live_state shop() {
    live_state s;
    s.clients = {client(1, phase::active), client(2, phase::idle), client(3, phase::waiting),
                 client(4, phase::login, "", ""), client(5, phase::console, "dba", "pgsidecar")};
    s.clients[1].session.kept_for = core::pin::listen;
    s.clients[2].waited = 1500ms;
    live_server used;
    used.user = "ann";
    used.database = "shop";
    used.pid = 31;
    used.client = 1;
    auto idle = used;
    idle.client = 0;
    idle.idle = true;
    idle.pid = 32;
    s.servers = {used, idle};
    s.pools.push_back({"shop", "ann", {3, 1, 1, 1}, 2500ms});
    s.databases = {{"shop", "ready"}};
    s.words["shop"].paused = true;
    s.words["old"].disabled = true;
    return s;
}

}  // namespace

TEST_CASE("console views: every row has a cell for every column") {
    config::settings s;
    const auto now = shop();
    for (std::size_t i = 0; i < static_cast<std::size_t>(console_view::count_); ++i) {
        const auto view = static_cast<console_view>(i);
        CAPTURE(to_string(view));
        if (!is_live(view)) continue;
        const auto t = live_table(view, now, s);
        CHECK(t.columns.size() == columns_of(view).size());
        for (const auto& row : t.rows) CHECK(row.size() == t.columns.size());
    }
    for (const auto& t : {rules_table(s), config_table(loaded(s), {})})
        for (const auto& row : t.rows) CHECK(row.size() == t.columns.size());
}

TEST_CASE("console views: clients and servers, and who has whom") {
    const auto now = shop();
    const config::settings s;
    const auto clients = live_table(console_view::clients, now, s);
    REQUIRE(clients.rows.size() == 5);
    CHECK(at(clients, {"C", "ann", "shop", "active"}, "ptr") == "0x1");
    CHECK(at(clients, {"C", "ann", "shop", "active"}, "link") == "0x1f");
    CHECK(at(clients, {"C", "ann", "shop", "waiting"}, "wait") == "1");
    CHECK(at(clients, {"C", "ann", "shop", "waiting"}, "wait_us") == "500000");
    CHECK(at(clients, {"C", "", "", "login"}, "ptr") == "0x4");
    CHECK(clients.rows[1][clients.columns.size() - 2] == "listen");
    CHECK(clients.rows[1].back() == "acme");
    const auto servers = live_table(console_view::servers, now, s);
    REQUIRE(servers.rows.size() == 2);
    CHECK(at(servers, {"S", "ann", "shop", "active"}, "link") == "0x1");
    CHECK(at(servers, {"S", "ann", "shop", "idle"}, "link") == "");
    CHECK(at(servers, {"S", "ann", "shop", "idle"}, "remote_pid") == "32");
    CHECK(live_table(console_view::sockets, now, s).rows.size() == 7);
    CHECK(live_table(console_view::active_sockets, now, s).rows.size() == 5);
}

TEST_CASE("console views: pools, databases and lists") {
    auto now = shop();
    config::settings s;
    s.admin_users = {"dba"};
    s.pool_mode = config::pool_mode::transaction;
    const auto pools = live_table(console_view::pools, now, s);
    CHECK(at(pools, {"shop", "ann"}, "cl_active") == "2");
    CHECK(at(pools, {"shop", "ann"}, "cl_waiting") == "1");
    CHECK(at(pools, {"shop", "ann"}, "sv_active") == "1");
    CHECK(at(pools, {"shop", "ann"}, "sv_idle") == "1");
    CHECK(at(pools, {"shop", "ann"}, "sv_login") == "1");
    CHECK(at(pools, {"shop", "ann"}, "maxwait") == "2");
    CHECK(at(pools, {"shop", "ann"}, "maxwait_us") == "500000");
    CHECK(at(pools, {"shop", "ann"}, "pool_mode") == "transaction");
    CHECK(at(pools, {"pgsidecar", "pgsidecar"}, "cl_active") == "1");
    const auto databases = live_table(console_view::databases, now, s);
    CHECK(at(databases, {"shop"}, "paused") == "1");
    CHECK(at(databases, {"shop"}, "disabled") == "0");
    CHECK(at(databases, {"shop"}, "current_connections") == "2");
    CHECK(at(databases, {"old"}, "disabled") == "1");
    CHECK(at(databases, {"old"}, "paused") == "0");
    CHECK(at(databases, {"pgsidecar"}, "pool_mode") == "statement");
    const auto lists = live_table(console_view::lists, now, s);
    CHECK(at(lists, {"used_clients"}, "items") == "4");
    CHECK(at(lists, {"login_clients"}, "items") == "1");
    CHECK(at(lists, {"used_servers"}, "items") == "1");
    CHECK(at(lists, {"free_servers"}, "items") == "1");
    CHECK(at(lists, {"users"}, "items") == "2");
    CHECK(at(lists, {"databases"}, "items") == "3");
    CHECK(at(live_table(console_view::state, now, s), {"active"}, "value") == "yes");
    now.everything_paused = true;
    CHECK(at(live_table(console_view::state, now, s), {"active"}, "value") == "no");
    CHECK(at(live_table(console_view::databases, now, s), {"old"}, "paused") == "1");
}

TEST_CASE("console views: the cache, with and without a tier that several share") {
    const config::settings s;
    observations now;
    now.cache.hits = 3;
    now.cache.misses = 1;
    const auto alone = cache_table(now, s);
    CHECK(alone.rows.front().size() == alone.columns.size());
    CHECK(at(alone, {"memory"}, "hit_ratio") == "0.750");
    CHECK(at(alone, {"memory"}, "shared_asked") == "NULL");
    now.shared_cache = {.provider = "redis", .up = true, .asked = 7, .queued_bytes = 9};
    const auto shared = cache_table(now, s);
    CHECK(shared.rows.front().size() == shared.columns.size());
    CHECK(at(shared, {"redis"}, "shared_up") == "t");
    CHECK(at(shared, {"redis"}, "shared_asked") == "7");
    CHECK(at(shared, {"redis"}, "shared_queued_bytes") == "9");
}

TEST_CASE("console views: how writes from outside are seen, and how late") {
    observations now;
    now.invalidation = {{.database = "clinic", .how = "wal"},
                        {.database = "old", .detail = "wal_level is replica, not logical"},
                        {.database = "far", .how = "wal", .up = false, .detail = "no connection"}};
    for (int i = 0; i < 99; ++i)
        now.invalidation[0].staleness.add(latency::sample{std::chrono::milliseconds{1}});
    now.invalidation[2].staleness.add(latency::sample{std::chrono::seconds{1}});
    const auto t = cache_table(now, {});
    CHECK(t.rows.front().size() == t.columns.size());
    CHECK(at(t, {"memory"}, "writes_from_outside") ==
          "clinic: wal; old: ttl (wal_level is replica, not logical); far: wal, lost (no "
          "connection)");
    CHECK(at(t, {"memory"}, "outside_commits") == "100");
    CHECK(at(t, {"memory"}, "staleness_p50_us") == "1023");

    using state = readiness_check::state;
    CHECK(invalidation_check(now.invalidation).is == state::failed);
    now.invalidation.back().in_use = false;
    CHECK(invalidation_check(now.invalidation).is == state::ok);
    now.invalidation.pop_back();
    CHECK(invalidation_check(now.invalidation).is == state::ok);
    now.invalidation.erase(now.invalidation.begin());
    CHECK(invalidation_check(now.invalidation).is == state::absent);
    CHECK(invalidation_check({}).is == state::absent);
}

TEST_CASE("console views: where a value was given, and what waits for a restart") {
    config::load_result given;
    given.value.cache.rules.rules.resize(2);
    given.origins = {{"listen_port", "until a restart, then a.yaml:1"},
                     {"max_client_conn", "SET"},
                     {"cache.rules", "a.yaml:3"},
                     {"cache.rules[1].ttl", "a.yaml:9"}};
    const auto t = config_table(given, {"listen_port"});
    CHECK(at(t, {"listen_port"}, "origin") == "until a restart, then a.yaml:1");
    CHECK(at(t, {"listen_port"}, "waits") == "t");
    CHECK(at(t, {"max_client_conn"}, "origin") == "SET");
    CHECK(at(t, {"max_client_conn"}, "waits") == "f");
    CHECK(at(t, {"cache.rules[0].ttl"}, "origin") == "a.yaml:3");
    CHECK(at(t, {"cache.rules[1].ttl"}, "origin") == "a.yaml:9");
    CHECK(at(t, {"listen_addr"}, "origin") == "default");
}

TEST_CASE("console views: secrets are not in SHOW CONFIG") {
    config::settings s;
    s.upstream.control_connection = "host=h user=u password=hunter2";
    s.metrics.connection = "postgresql://u:hunter2@h/db";
    s.alerts.webhook_url = "https://user:hunter2@hooks.example/services/hunter2?t=hunter2";
    pgsidecar::policy::cache_rule rule;
    rule.name = "doses";
    rule.tables = {"public.dose", "x"};
    s.cache.rules.rules = {rule};
    const auto t = config_table(loaded(s), {});
    for (const auto& row : t.rows)
        for (const auto& one : row) CHECK(one.value_or("").find("hunter2") == std::string::npos);
    CHECK(at(t, {"upstream.control_connection"}, "value").find("user=u") != std::string::npos);
    CHECK(at(t, {"alerts.webhook_url"}, "value") == "https://hooks.example/...");
    CHECK(at(t, {"listen_port"}, "value") == "6432");
    CHECK(at(t, {"listen_port"}, "changeable") == "no");
    CHECK(at(t, {"max_client_conn"}, "changeable") == "yes");
    CHECK(at(t, {"cache.rules[0].tables"}, "value") == "public.dose, x");
    const auto f = flags_table({{.name = "cache.rules[doses].mode",
                                 .scope = "rule doses",
                                 .value = "shadow",
                                 .origin = "SET",
                                 .compared = {7, 2}}});
    CHECK(at(f, {"cache.rules[doses].mode"}, "value") == "shadow");
    CHECK(at(f, {"cache.rules[doses].mode"}, "origin") == "SET");
    CHECK(at(f, {"cache.rules[doses].mode"}, "different") == "2");
    CHECK(at(rules_table(s), {"doses"}, "tables") == "public.dose, x");
}

TEST_CASE("console views: times and numbers of clients") {
    CHECK(time_text(std::chrono::system_clock::time_point{}) == "1970-01-01 00:00:00 UTC");
    CHECK(time_text(std::chrono::system_clock::from_time_t(1709210096)) ==
          "2024-02-29 12:34:56 UTC");
    CHECK(id_text(0) == "0x0");
    CHECK(id_text(~std::uint64_t{0}) == "0xffffffffffffffff");
}
