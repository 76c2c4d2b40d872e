#include "tests/core/world.h"

#include <algorithm>
#include <array>
#include <initializer_list>
#include <optional>

#include "policy/catalog_queries.h"

namespace core_test {
namespace {

using source = policy::catalog_source;
using cell = std::optional<std::string_view>;

void add(policy::catalog_builder& b, source s, std::initializer_list<cell> row) {
    b.row(static_cast<std::size_t>(s), std::vector<cell>{row});
}

void add_builtins(policy::catalog_builder& b) {
    for (const auto& [name, letter] : {std::pair{"current_setting", "s"},
                                       {"set_config", "v"},
                                       {"now", "s"},
                                       {"random", "v"},
                                       {"count", "i"}})
        add(b, source::builtin_functions, {name, letter});
    for (const char* name : {"=", "<", "+", "-", "||"})
        add(b, source::builtin_operators, {name, "i"});
}

}  // namespace

std::shared_ptr<const policy::catalog> small_catalog(std::uint64_t generation, defaults given) {
    policy::catalog_builder b;
    add(b, source::server, {" started", "1"});
    add(b, source::server, {" settings", given.configured});
    if (!given.of_app.empty())
        add(b, source::defaults, {"app", "false", "datestyle", given.of_app});
    add(b, source::server, {"search_path", R"("$user", public)"});
    add(b, source::server, {"default_transaction_isolation", "read committed"});
    add(b, source::server, {"server_version_num", "150004"});
    for (const char* role : {"app", "bob"}) add(b, source::roles, {role, "false", "t,f,t"});
    add(b, source::schemas, {"pg_catalog", "postgres", ""});
    add(b, source::schemas, {"public", "postgres", ""});
    add(b, source::schemas, {"bob", "bob", "bob"});
    const auto table = [&](const char* id, const char* schema, const char* name,
                           const char* row_security) {
        add(b, source::relations, {id, schema, name, "r", "p", row_security, "false", "10 f"});
    };
    table("16400", "public", "kv", "false");
    table("16401", "public", "other", "false");
    table("16402", "public", "notes", "true");
    table("16403", "bob", "kv", "false");
    table("16404", "public", "k\xc3\xa9", "false");
    add(b, source::relations, {"16405", "public", "months", "p", "p", "false", "false", "10 f"});
    table("16406", "public", "january", "false");
    add(b, source::inheritance, {"16406", "16405"});
    for (const char* published : {"16400", "16405"})
        add(b, source::publications, {"pgsidecar", published});
    add(b, source::policies,
        {"16402", "*", "(tenant = current_setting('app.tenant_id'::text))", std::nullopt, "t{0}"});
    add_builtins(b);
    add(b, source::implicit_casts, {"0", std::nullopt});
    return b.finish(generation);
}

world::world(std::size_t workers, core::decider_limits limits)
    : rules{std::make_shared<policy::cache_rules>()} {
    policy::cache_rule all;
    all.name = "all";
    all.tables = {"*.*"};
    rules->rules.push_back(std::move(all));
    options.cache = true;
    options.upstream_name = "server:5432";
    for (std::size_t i = 0; i < workers; ++i) {
        deciders.emplace_back(rules, limits);
        each_services.push_back({deciders[i], store, flights, dbs, options, key_buffer});
    }
    publish();
}

void world::limit(policy::tenant_options given) {
    tenants = std::make_unique<policy::tenant_directory>(std::move(given));
    std::deque<core::session_services> with;
    for (const auto& s : each_services)
        with.push_back(
            {s.decide, s.store, s.flights, s.dbs, s.options, s.key_buffer, tenants.get(), s.tier});
    each_services.swap(with);
}

void world::share_tier(core::tier_guard::validity by) {
    guard = std::make_unique<core::tier_guard>(
        self, [this] { return now; }, by);
    guard->set_available(true);
    std::deque<core::session_services> with;
    for (const auto& s : each_services)
        with.push_back(
            {s.decide, s.store, s.flights, s.dbs, s.options, s.key_buffer, s.tenants, guard.get()});
    each_services.swap(with);
}

void world::publish() { db().publish(small_catalog(db().wanted())); }

std::string world::unrest(const std::vector<core::unsettled_commit>& handed_over) {
    std::string out;
    std::size_t lost = 0, schema = 0, unsettled = 0;
    std::vector<const cache::table_state*> seen;
    const auto look = [&](const char* name, cache::table_state& t) {
        seen.push_back(&t);
        if (t.commits_in_flight.load() != 0) out.append(name).append(": a commit in flight; ");
        unsettled += t.unsettled.load();
    };
    look("cluster", db().cluster());
    for (const auto id : {kv_oid, other_oid, notes_oid, policy::oid{16403}})
        look("table", db().table(id));
    dbs.for_each([&](core::database& d) {
        look("whole", d.whole());
        if (d.writers.load() != 0) out.append("writers; ");
        if (d.clients.load() != 0) out.append("clients; ");
    });
    for (const auto& u : handed_over) {
        for (const auto* t : u.tables) lost += std::ranges::count(seen, t) > 0 ? 1U : 0U;
        schema += u.schema_changed && u.where == &db() ? 1U : 0U;
    }
    if (unsettled != lost) out.append("unsettled tables; ");
    publish();
    if ((db().usable_catalog() != nullptr) != (schema == 0)) out.append("schema change; ");
    const auto waiting = flights.size();
    if (waiting.flights != 0 || waiting.followers != 0) out.append("flights; ");
    if (tenants && (tenants->gate().running() != 0 || tenants->gate().waiting() != 0))
        out.append("places at the gate; ");
    return out;
}

std::size_t wired::show_client() {
    actions_.clear();
    actions_.source = host_ ? this : nullptr;
    const auto used = session_->on_client(client_rest_, world_.now, actions_);
    actions_.source = nullptr;
    return used;
}

void wired::client(std::string_view bytes) {
    client_rest_.append(bytes);
    const auto used = show_client();
    perform();
    client_rest_.erase(0, used);
    settle();
}

void wired::server(std::string_view bytes) {
    server_rest_.append(bytes);
    actions_.clear();
    used_ = session_->on_server(server_rest_, world_.now, actions_);
    perform();
    server_rest_.erase(0, std::exchange(used_, 0));
    settle();
}

void wired::switched() {
    actions_.clear();
    session_->on_switched(actions_);
    perform();
    settle();
}

void wired::settle() {
    while (!closing) {
        if (std::exchange(ask_login_, false)) {
            admit();
            continue;
        }
        if (std::exchange(acquire_, false)) {
            host_->acquire(token_);
            continue;
        }
        if (!std::exchange(resume_, false) || session_->blocked() || client_rest_.empty()) break;
        const auto used = show_client();
        perform();
        client_rest_.erase(0, used);
    }
}

// Without a question.
void wired::admit() {
    actions_.clear();
    core::client_login given;
    given.user = session_->user();
    given.random.assign(core::client_login::random_size + core::scram_nonce_size, 'r');
    session_->on_login_rules(core::auth_method::trust, std::move(given), actions_);
    perform();
}

void wired::attach(core::server_link& link) {
    actions_.clear();
    session_->on_server_attached(link, world_.now, actions_);
    perform();
    settle();
}

void wired::no_server(std::string_view error) {
    actions_.clear();
    session_->on_no_server(error, actions_);
    perform();
    settle();
}

// As the pump, in its order.
void wired::perform_pooled() {
    if (!host_) return;
    ask_login_ = ask_login_ || actions_.ask_login;
    if (actions_.release_server) {
        const auto taken = std::exchange(used_, 0);
        host_->give_back(token_, std::string_view{server_rest_}.substr(taken));
        server_rest_.clear();
    }
    if (actions_.forget_server) host_->forget(token_);
    if (actions_.join_pool) host_->join(token_);
    acquire_ = acquire_ || actions_.acquire_server;
}

void wired::perform() {
    compared_.insert(compared_.end(), actions_.compared.begin(), actions_.compared.end());
    for (const auto piece : actions_.client.pieces()) to_client_.append(piece);
    for (const auto piece : actions_.server.pieces()) to_server_.append(piece);
    start_tls = start_tls || actions_.start_client_tls;
    connect = connect || actions_.connect_upstream;
    closing = closing || actions_.close;
    logged_in = logged_in || actions_.logged_in;
    resume_ = resume_ || actions_.resume_client;
    catalog_changed = catalog_changed || actions_.catalog_changed;
    cancel_due = cancel_due || actions_.cancel_upstream;
    ask_credentials = ask_credentials || actions_.ask_credentials;
    settled = settled || actions_.database_settled;
    if (actions_.release_database) release = *actions_.release_database;
    if (!actions_.refused_because.empty()) refused_because = actions_.refused_because;
    if (actions_.cancel_request) cancel_request = actions_.cancel_request;
    if (actions_.unsettled) unsettled.push_back(*actions_.unsettled);
    outcomes_.insert(outcomes_.end(), actions_.outcomes.begin(), actions_.outcomes.end());
    measured_.insert(measured_.end(), actions_.measured.begin(), actions_.measured.end());
    ended_.insert(ended_.end(), actions_.transactions.begin(), actions_.transactions.end());
    wakes_.insert(wakes_.end(), actions_.wake.begin(), actions_.wake.end());
    if (actions_.tier) {
        auto& work = *actions_.tier;
        told.used += work.used;
        told.refused += work.refused;
        told.late += work.late;
        for (auto& o : work.offers) offers.push_back(std::move(o));
        if (work.question) question = std::move(work.question), ++questions;
    }
    perform_pooled();
}

void wired::tier_answer(core::tier_finds found) {
    actions_.clear();
    session_->on_tier_answer(question ? question->number : 0, std::move(found), world_.now,
                             actions_);
    perform();
    settle();
}

void wired::connected() {
    actions_.clear();
    session_->on_upstream_connected(std::string(32, 'k'), server_tls, actions_);
    perform();
    settle();
}

void wired::connect_failed(std::string_view sqlstate, std::string_view message) {
    actions_.clear();
    session_->on_upstream_failed(sqlstate, message, world_.now, actions_);
    perform();
}

void wired::credentials(core::credentials given) {
    actions_.clear();
    session_->on_credentials(std::move(given), actions_);
    perform();
    settle();
}

void wired::wake(const core::wake_up& w) {
    session_->on_wake(w);
    resume_ = true;
    settle();
}

void wired::database_released() {
    session_->on_database_released();
    resume_ = true;
    settle();
}

bool wired::cancel() {
    actions_.clear();
    const bool forward = session_->on_cancel(actions_);
    cancel_due = cancel_due || forward;
    perform();
    settle();
    return forward;
}

void wired::cancel_sent() {
    actions_.clear();
    session_->on_cancel_sent(actions_);
    perform();
    settle();
}

void wired::later(std::chrono::milliseconds after) {
    world_.now += after;
    while (!closing && session_->deadline() <= world_.now) on_deadline();
}

void wired::on_deadline() {
    actions_.clear();
    session_->on_deadline(world_.now, actions_);
    perform();
    settle();
}

void wired::shutdown() {
    actions_.clear();
    session_->on_shutdown(actions_);
    perform();
}

void wired::client_gone() {
    actions_.clear();
    session_->on_client_closed(actions_);
    perform();
}

void wired::client_finished() {
    actions_.clear();
    session_->on_client_finished(actions_);
    perform();
}

void wired::server_gone() {
    actions_.clear();
    session_->on_server_closed(world_.now, actions_);
    perform();
    settle();
}

void wired::log_in(std::vector<protocol::startup_parameter> more) {
    client(client_startup(std::move(more)));
    connected();
    server(server_log_in());
    (void)to_client();
    (void)to_server();
}

std::string client_startup(std::vector<protocol::startup_parameter> more, std::uint32_t version) {
    std::vector<protocol::startup_parameter> all{{"user", "app"}, {"database", "db"}};
    all.insert(all.end(), more.begin(), more.end());
    std::string out;
    protocol::write_startup(out, version, all);
    return out;
}

std::string server_log_in() {
    return message(protocol::authentication{protocol::auth_kind::ok, {}}) +
           parameter("client_encoding", "UTF8") + parameter("server_encoding", "UTF8") +
           parameter("standard_conforming_strings", "on") + parameter("TimeZone", "UTC") +
           message(protocol::backend_key_data{77, "\1\2\3\4"sv}) + ready();
}

}  // namespace core_test
