// A session that shares server connections (pool_mode: transaction): it takes one when a request
// has to go to the server and gives it back when the transaction is over, unless the server
// connection holds something that only this session may have. Whatever the connection did before,
// it is brought to this session's settings before the request is sent.
//
//     detached --lacks_server()--> waiting --on_server_attached()--> restoring --> attached
//     attached --ReadyForQuery, idle, nothing held--> detached
#include <algorithm>
#include <utility>

#include "protocol/ascii.h"
#include "protocol/backend.h"
#include "protocol/frontend.h"
#include "proxy/core/session.h"

namespace pgsidecar::core {
namespace {

constexpr std::uint8_t most_attempts = 5;
// How long a log-in waits for the first look at its database's catalogs.
constexpr std::chrono::seconds catalog_patience{2};
constexpr std::chrono::milliseconds between_looks{10};

}  // namespace

// The client has shown who it is.
void session::join_pool(actions& out) {
    pool_ = std::make_unique<pooling>();
    state_ = state::ready;
    status_ = 'I';
    server_fatal_ = false;
    database_ = &services_.dbs.of(start_up_->database);
    database_->clients.fetch_add(1);
    login_altered_ = services_.dbs.defaults_altered.load();
    adopt_login_defaults(database_->latest_catalog());
    waiting_ = wait::server;
    out.join_pool = out.acquire_server = true;
}

void session::on_pool_joined(std::int32_t pid, std::string cancel_key) {
    client_pid_ = pid;
    client_key_ = std::move(cancel_key);
    // Protocol 3.0 has keys of four bytes and no other.
    client_key_.resize(minor_ >= 2 ? 32 : 4);
}

// True: the request in front has to wait for a server connection. It is shown again then.
bool session::lacks_server(time_point now, actions& out) {
    if (!pool_ || pool_->link) return false;
    waiting_ = wait::server;
    if (out.source && !out.release_server) {
        if (auto* link = out.source->take_now()) {
            const bool resume = out.resume_client;
            on_server_attached(*link, now, out);
            // The request goes on at once.
            if (waiting_ == wait::none) {
                out.resume_client = resume;
                return false;
            }
        }
    }
    const auto most = services_.options.query_wait_timeout;
    pool_->wait_ends = most.count() == 0 ? limiter::never : now + most;
    if (!pool_->link) out.acquire_server = true;
    return true;
}

void session::on_server_attached(server_link& link, time_point now, actions& out) {
    if (waiting_ != wait::server || state_ == state::closed) {
        out.release_server = true;
        return;
    }
    pool_->link = &link;
    server_pid_ = link.pid;
    server_key_ = link.key;
    server_fatal_ = false;
    if (pool_->greeting && !limits_) begin_limits(now);
    (void)scope();  // the log-in defaults of now
    const bool outdated = link.login && login_ && link.login->of_login != login_->of_login;
    if (outdated || link.login_altered != services_.dbs.defaults_altered.load()) {
        // Nothing was tried here, so it says nothing of the next one, however many are outdated:
        // each is closed, and at the latest a new one has what is valid now.
        drop_half_restored(out);
        out.acquire_server = true;
        return;
    }
    if (!link.login) link.login = login_;
    if (link.unnamed) statements_.find_foreign_unnamed();
    refresh_wanted();
    pool_->restoring = 0;
    pool_->restore_failed = false;
    send_restore(now, out);
    if (pool_->restoring == 0) finish_restore(out);
}

// What this session has set, without what is so anyway.
session_settings::values session::own_settings() const {
    auto values = settings_.changed();
    const auto drop_if = [&](std::string_view name, std::string_view word) {
        const auto it = values.find(name);
        if (it != values.end() && it->second == word) values.erase(it);
    };
    if (!login_ || login_->role.empty() || login_->role == "none") drop_if("role", "none");
    drop_if("session_authorization", "default");
    return values;
}

// What is to be set at a server connection, and how names are to be read there.
void session::refresh_wanted() {
    if (pool_->wanted && pool_->wanted_revision == settings_.revision()) return;
    auto values = own_settings();
    for (const auto& name : services_.options.followed_startup)
        if (const auto* value = settings_.at_start(name)) values.try_emplace(name, *value);
    pool_->wanted = services_.decide.intern_values(std::move(values));
    const auto path = setting("search_path");
    // Then a table made by a plain CREATE is a temporary one.
    if (path.find("pg_temp") != std::string::npos) temporary_ = true;
    auto read_by = std::string{path}.append(1, '\0').append(current_role());
    for (const auto& [name, value] : *pool_->wanted)
        if (setting_is_read_by(name))
            read_by.append(1, '\0').append(name).append(1, '=').append(value);
    pool_->read_by = services_.decide.intern(std::move(read_by));
    pool_->wanted_revision = settings_.revision();
}

void session::send_restore(time_point now, actions& out) {
    auto& link = *pool_->link;
    std::string message;
    const auto query = [&](std::string_view sql) {
        if (sql.empty()) return;
        protocol::write(message, protocol::query{sql});
        ++pool_->restoring;
    };
    const auto& options = services_.options;
    if (!options.server_check_query.empty() && now - link.idle_since >= options.server_check_delay)
        query(options.server_check_query);
    bool closes = false;
    const auto close = [&](std::string_view name) {
        protocol::write(message, protocol::close{'S', name});
        closes = true;
    };
    auto excess = std::exchange(link.leftovers, {});
    std::vector<std::string_view> prepares;
    restore_sql_statements(excess, prepares);
    for (const auto& name : excess) close(name);
    while (const auto number = link.statements.take_excess(options.max_prepared_statements))
        close(server_statements::name_of(*number));
    if (closes) {
        protocol::write(message, protocol::sync{});
        ++pool_->restoring;
    }
    if (std::exchange(pool_->discard_sequences, false)) query("DISCARD SEQUENCES");
    if (link.settings != pool_->wanted) {
        const auto change = restore_settings(*link.settings, *pool_->wanted);
        query(change.first);
        query(change.rest);
        link.settings = pool_->wanted;
    }
    // What the client once set is an empty text since; elsewhere it may be unknown. Not where it
    // was set: what cannot be followed may have set it again.
    std::vector<std::string_view> unknown;
    for (const auto& name : settings_.touched())
        if (pool_->kept_for == pin::none && !name.starts_with(taint_mark) &&
            !pool_->wanted->contains(name) && link.known.emplace(name).second)
            unknown.push_back(name);
    query(make_known(unknown));
    for (const auto sql : prepares) query(sql);
    if (!message.empty()) out.server.own(std::move(message));
}

void session::on_restore_reply(const protocol::frame& f, actions& out) {
    protocol::parameter_status m;
    switch (f.type) {
        case 'S':
            if (!protocol::parse(f.body, m)) pool_->link->report(m.name, m.value);
            return;
        case 'E':
            note_fatal(f);
            return restore_refused();
        case 'A':  // a kept connection may listen
            if (pool_->greeting) return;
            if (database_->writers.load() > 0) saw_writes_ = true;
            out.client.forward(f.whole);
            return;
        case 'Z':
            if (pool_->restoring > 0 && --pool_->restoring > 0) return;
            return pool_->restore_failed ? try_another_server(out) : finish_restore(out);
        default:
            return;
    }
}

// A statement that cannot be prepared any more, its table is gone, does no harm until it is run.
void session::restore_refused() {
    auto& repeats = pool_->link->repeats;
    if (pool_->restoring > repeats.size() || server_fatal_)
        pool_->restore_failed = true;
    else
        pool_->link->by_sql.erase(repeats[repeats.size() - pool_->restoring]);
}

// With what it still says, nobody knows how far it is.
void session::drop_half_restored(actions& out) {
    pool_->link->unfit = true;
    pool_->link = nullptr;
    server_stream_ = 0;
    out.release_server = true;
}

// This connection cannot be made what the session needs.
void session::try_another_server(actions& out) {
    // What is held there is nowhere else.
    const bool kept = !pool_->greeting && pinned() != pin::none;
    drop_half_restored(out);
    out.server.clear();
    if (!kept && ++pool_->attempts < most_attempts) {
        out.acquire_server = true;
        return;
    }
    fail("08006", "the settings of this session could not be restored at the server",
         "settings could not be restored at another server connection", out);
}

void session::finish_restore(actions& out) {
    auto& p = *pool_;
    p.attempts = 0;
    p.wait_ends = limiter::never;
    waiting_ = wait::none;
    out.resume_client = true;
    if (p.greeting) {
        if (database_->latest_catalog()) return greet(out);
        // What runs before it is there cannot be judged, and would keep its connection.
        waiting_ = wait::server;
        p.look_again = quiet_since_;
        p.wait_ends = quiet_since_ + catalog_patience;
        out.wants_catalog = true;
        return;
    }
    if (p.told != p.link->reported) {
        std::string message;
        for (const auto& [name, value] : *p.link->reported) {
            const auto it = p.told->find(name);
            if (it != p.told->end() && it->second == value) continue;
            note_parameter(name, value);
            protocol::write(message, protocol::parameter_status{name, value});
        }
        if (message.empty() && p.told->size() == p.link->reported->size()) {
            p.link->reported = p.told;  // found equal at a glance the next time
        } else {
            out.client.own(std::move(message));
            p.told = p.link->reported;
        }
    }
    if (!p.refusal.empty()) give_back(out);
}

void session::look_for_catalog(time_point now, actions& out) {
    pool_->look_again = now + between_looks;
    if (!database_->latest_catalog() && now < pool_->wait_ends) return;
    pool_->look_again = pool_->wait_ends = limiter::never;
    waiting_ = wait::none;
    out.resume_client = true;
    greet(out);
}

// As the server ends a log-in.
void session::greet(actions& out) {
    std::string message;
    protocol::write(message, protocol::authentication{protocol::auth_kind::ok, {}});
    // In the server's order, by names without regard to case.
    std::vector<std::pair<std::string_view, std::string_view>> reported(
        pool_->link->reported->begin(), pool_->link->reported->end());
    std::ranges::stable_sort(reported, [](const auto& a, const auto& b) {
        return std::ranges::lexicographical_compare(a.first, b.first, {}, protocol::ascii_lower,
                                                    protocol::ascii_lower);
    });
    for (const auto& [name, value] : reported) {
        note_parameter(name, value);
        protocol::write(message, protocol::parameter_status{name, value});
    }
    protocol::write(message, protocol::backend_key_data{client_pid_, client_key_});
    protocol::write_ready(message, 'I');
    out.client.own(std::move(message));
    dialect_.logged_in();
    if (high_start_ && !dialect_.utf8_server()) untracked_ = true;
    pool_->greeting = false;
    start_up_.reset();
    out.logged_in = true;
    give_back(out);
}

// The transaction is over.
void session::give_back(actions& out) {
    auto& p = *pool_;
    if (!p.link || status_ != 'I' || !owed_.empty() || unholdable_ || client_stream_ > 0 ||
        server_stream_ > 0 || copy_in_ || cut_ || cancel_in_flight_ || terminating_ ||
        transparent_ || releasing_ != release::none || state_ != state::ready)
        return;
    if (unproven_) (void)scope();
    p.kept_for = pinned();
    if (p.kept_for != pin::none) return restore_kept(out);
    leave_sql_statements();
    auto& link = *p.link;
    note_resets();
    for (const auto& name : settings_.touched()) link.touched.emplace(name);
    for (const auto& [name, value] : *link.settings)
        if (name.find('.') != std::string::npos) {
            link.known.emplace(name);
            link.touched.emplace(name);
        }
    link.unfit = link.unfit || taints_ > 0;
    statements_.leave_server(link.leftovers, link.unnamed);
    portals_.drop_unnamed();
    p.told = link.reported;
    if (std::exchange(p.kept_back, false)) {
        auto values = *link.reported;
        for (const auto& name : services_.options.followed_startup)
            if (const auto it = values.find(name); it != values.end())
                if (const auto* value = settings_.at_start(name)) it->second = *value;
        p.told = services_.decide.intern_values(std::move(values));
    }
    p.link = nullptr;
    out.release_server = true;
}

}  // namespace pgsidecar::core
