#include "proxy/ops/console_views.h"

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "proxy/ops/console_columns.h"

namespace pgsidecar::ops {
namespace {

using core::session_overview;
using phase = session_overview::phase;
using std::chrono::milliseconds;

constexpr std::string_view own_name = "pgsidecar";

std::string_view mode_of(const config::settings& s) {
    return s.pool_mode == config::pool_mode::transaction ? "transaction" : "session";
}

console_table table_of(console_view v) { return {columns_of(v), {}}; }

std::string two(unsigned number) { return (number < 10 ? "0" : "") + std::to_string(number); }

void add_wait(console_row& row, milliseconds waited) {
    row.push_back(cell(waited.count() / 1000));
    row.push_back(cell(waited.count() % 1000 * 1000));
}

// The columns from addr to request_time.
void add_socket(console_row& row, const live_socket& s) {
    row.insert(row.end(), {cell(s.address), cell(s.port), cell(s.local_address), cell(s.local_port),
                           cell(time_text(s.connected)), cell(time_text(s.last_used))});
}

console_row client_row(const live_client& c, const live_state& now) {
    const auto state = c.waits() ? "waiting" : c.session.is == phase::login ? "login" : "active";
    console_row row{cell("C"), cell(c.session.user), cell(c.session.database), cell(state)};
    add_socket(row, c.socket);
    add_wait(row, c.waits() ? c.waited : milliseconds{0});
    const auto link = std::ranges::find(now.servers, c.id, &live_server::client);
    row.insert(row.end(),
               {cell(0), cell(id_text(c.id)),
                link == now.servers.end() ? cell("")
                                          : cell(id_text(static_cast<std::uint64_t>(link->pid))),
                cell(0), cell(c.socket.tls), cell(c.session.application_name)});
    return row;
}

console_row server_row(const live_server& s, const live_state& now) {
    console_row row{cell("S"), cell(s.user), cell(s.database), cell(s.idle ? "idle" : "active")};
    add_socket(row, s.socket);
    add_wait(row, milliseconds{0});
    const auto who = std::ranges::find(now.clients, s.client, &live_client::id);
    const bool used = s.client != 0 && who != now.clients.end();
    row.insert(row.end(),
               {cell(s.outdated ? 1 : 0), cell(id_text(static_cast<std::uint64_t>(s.pid))),
                used ? cell(id_text(s.client)) : cell(""), cell(s.pid), cell(s.socket.tls),
                used ? cell(who->session.application_name) : cell("")});
    return row;
}

console_table clients(const live_state& now) {
    auto out = table_of(console_view::clients);
    for (const auto& c : now.clients) {
        auto row = client_row(c, now);
        row.push_back(c.session.kept_for == core::pin::none ? cell("")
                                                            : cell(to_string(c.session.kept_for)));
        row.push_back(cell(c.session.tenant));
        out.rows.push_back(std::move(row));
    }
    return out;
}

console_table servers(const live_state& now) {
    auto out = table_of(console_view::servers);
    for (const auto& s : now.servers) out.rows.push_back(server_row(s, now));
    return out;
}

console_table sockets(console_view v, const live_state& now) {
    auto out = table_of(v);
    const auto add = [&](console_row row, const live_socket& s) {
        const auto unsent = cell(std::min<std::uint64_t>(s.unsent, 0x7fffffff));
        row.insert(row.end(), {cell(0), cell(0), cell(0), cell(0), unsent, cell(0), unsent});
        out.rows.push_back(std::move(row));
    };
    const bool all = v == console_view::sockets;
    for (const auto& c : now.clients)
        if (all || c.session.is != phase::idle) add(client_row(c, now), c.socket);
    for (const auto& s : now.servers)
        if (all || !s.idle) add(server_row(s, now), s.socket);
    return out;
}

struct pool_row {
    std::size_t active = 0, waiting = 0, servers_active = 0, servers_idle = 0, servers_login = 0;
    milliseconds longest_wait{0};
};
using pool_rows = std::map<std::pair<std::string, std::string>, pool_row>;

pool_rows count_pools(const live_state& now) {
    pool_rows out;
    for (const auto& c : now.clients) {
        if (c.session.is == phase::login && !c.parked) continue;
        auto& its = c.session.is == phase::console
                        ? out[{std::string{own_name}, std::string{own_name}}]
                        : out[{c.session.database, c.session.user}];
        ++(c.waits() ? its.waiting : its.active);
        if (c.waits()) its.longest_wait = std::max(its.longest_wait, c.waited);
    }
    for (const auto& s : now.servers) {
        auto& its = out[{s.database, s.user}];
        ++(s.idle ? its.servers_idle : its.servers_active);
    }
    for (const auto& p : now.pools) {
        auto& its = out[{p.database, p.user}];
        its.servers_login += p.of.opening;
        its.longest_wait = std::max(its.longest_wait, p.longest_wait);
    }
    return out;
}

console_table pools(const live_state& now, const config::settings& s) {
    auto out = table_of(console_view::pools);
    for (const auto& [key, p] : count_pools(now)) {
        console_row row{cell(key.first), cell(key.second), cell(p.active), cell(p.waiting)};
        for (const std::size_t number :
             {std::size_t{0}, std::size_t{0}, p.servers_active, std::size_t{0}, std::size_t{0},
              p.servers_idle, std::size_t{0}, std::size_t{0}, p.servers_login})
            row.push_back(cell(number));
        add_wait(row, p.longest_wait);
        row.push_back(cell(key.first == own_name ? "statement" : mode_of(s)));
        out.rows.push_back(std::move(row));
    }
    return out;
}

std::set<std::string> names_of_users(const live_state& now, const config::settings& s) {
    std::set<std::string> out{s.admin_users.begin(), s.admin_users.end()};
    out.insert(s.stats_users.begin(), s.stats_users.end());
    for (const auto& c : now.clients)
        if (c.session.is != phase::login) out.insert(c.session.user);
    return out;
}

console_table databases(const live_state& now, const config::settings& s) {
    auto out = table_of(console_view::databases);
    std::map<std::string, std::string, std::less<>> names;  // with their catalogs
    for (const auto& d : now.databases) names.emplace(d.name, d.catalog);
    for (const auto& [name, word] : now.words) names.emplace(name, "none");
    for (const auto& [name, catalog] : names) {
        const auto word = now.words.find(name);
        const bool known = word != now.words.end();
        const auto connections = std::ranges::count(now.servers, name, &live_server::database);
        out.rows.push_back({cell(name), cell(s.upstream.host), cell(s.upstream.port), cell(name),
                            std::nullopt, cell(s.pool.default_pool_size),
                            cell(s.pool.min_pool_size), cell(s.pool.reserve_pool_size),
                            cell(mode_of(s)), cell(s.pool.max_db_connections), cell(connections),
                            cell(now.everything_paused || (known && word->second.paused) ? 1 : 0),
                            cell(known && word->second.disabled ? 1 : 0), cell(catalog)});
    }
    out.rows.push_back({cell(own_name), std::nullopt, cell(s.listen_port), cell(own_name),
                        cell(own_name), cell(0), cell(0), cell(0), cell("statement"), cell(0),
                        cell(0), cell(0), cell(0), cell("none")});
    return out;
}

console_table lists(const live_state& now, const config::settings& s) {
    auto out = table_of(console_view::lists);
    const auto logging_in = static_cast<std::size_t>(std::ranges::count_if(
        now.clients, [](const live_client& c) { return c.session.is == phase::login; }));
    const auto idle =
        static_cast<std::size_t>(std::ranges::count(now.servers, true, &live_server::idle));
    const auto clients_now = now.clients.size();
    const std::size_t most = s.max_client_conn;
    const std::array<std::pair<std::string_view, std::size_t>, 12> all{{
        {"databases", databases(now, s).rows.size()},
        {"users", names_of_users(now, s).size()},
        {"pools", count_pools(now).size()},
        {"free_clients", most > clients_now ? most - clients_now : 0},
        {"used_clients", clients_now - logging_in},
        {"login_clients", logging_in},
        {"free_servers", idle},
        {"used_servers", now.servers.size() - idle},
        {"dns_names", 0},
        {"dns_zones", 0},
        {"dns_queries", 0},
        {"dns_pending", 0},
    }};
    for (const auto& [name, items] : all) out.rows.push_back({cell(name), cell(items)});
    return out;
}

console_table users(const live_state& now, const config::settings& s) {
    auto out = table_of(console_view::users);
    for (const auto& name : names_of_users(now, s)) out.rows.push_back({cell(name), cell("")});
    return out;
}

console_table state(const live_state& now) {
    auto out = table_of(console_view::state);
    const auto yes = [](bool is) { return cell(is ? "yes" : "no"); };
    out.rows.push_back({cell("active"), yes(!now.everything_paused && !now.draining)});
    out.rows.push_back({cell("paused"), yes(now.everything_paused)});
    out.rows.push_back({cell("suspended"), yes(false)});
    out.rows.push_back({cell("shutting_down"), yes(now.draining)});
    return out;
}

}  // namespace

bool is_live(console_view v) noexcept {
    switch (v) {
        case console_view::pools:
        case console_view::lists:
        case console_view::users:
        case console_view::databases:
        case console_view::clients:
        case console_view::servers:
        case console_view::sockets:
        case console_view::active_sockets:
        case console_view::state:
            return true;
        default:
            return false;
    }
}

console_table live_table(console_view v, const live_state& now, const config::settings& s) {
    switch (v) {
        case console_view::pools:
            return pools(now, s);
        case console_view::lists:
            return lists(now, s);
        case console_view::users:
            return users(now, s);
        case console_view::databases:
            return databases(now, s);
        case console_view::clients:
            return clients(now);
        case console_view::servers:
            return servers(now);
        case console_view::state:
            return state(now);
        default:
            return sockets(v, now);
    }
}

std::string id_text(std::uint64_t id) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    do {
        out.insert(out.begin(), digits[id & 15U]);
        id >>= 4U;
    } while (id != 0);
    return "0x" + out;
}

std::string time_text(std::chrono::system_clock::time_point at) {
    namespace c = std::chrono;
    const auto seconds = c::floor<c::seconds>(at);
    const auto day = c::floor<c::days>(seconds);
    const c::year_month_day date{day};
    const c::hh_mm_ss time{seconds - day};
    return std::to_string(static_cast<int>(date.year())) + "-" +
           two(static_cast<unsigned>(date.month())) + "-" + two(static_cast<unsigned>(date.day())) +
           " " + two(static_cast<unsigned>(time.hours().count())) + ":" +
           two(static_cast<unsigned>(time.minutes().count())) + ":" +
           two(static_cast<unsigned>(time.seconds().count())) + " UTC";
}

}  // namespace pgsidecar::ops
