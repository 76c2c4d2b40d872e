// What a client of the simulation does where sessions share server connections: everything that
// leaves something behind at one.
#include <utility>

#include "tests/core/simulated_client.h"
#include "tests/core/simulation_pool.h"

namespace core_test {
namespace {

using kind = statement::kind;

statement of(kind what, std::string name = {}, std::string text = {}) {
    statement s;
    s.what = what;
    s.name = std::move(name);
    s.text = std::move(text);
    return s;
}

std::string any_tenant(chance& luck) { return std::string{model_database::tenants[luck.below(3)]}; }

}  // namespace

void simulated_client::connect_pooled() {
    auto& luck = world_.luck();
    transaction_model::values start;
    if (luck.one_in(2)) start["application_name"] = luck.one_in(2) ? "x" : "y";
    if (luck.one_in(3)) start[std::string{transaction_model::tenant_setting}] = any_tenant(luck);
    if (luck.one_in(5)) start["search_path"] = "bob, public";
    if (luck.one_in(8)) start["timezone"] = "CET";
    std::vector<protocol::startup_parameter> more;
    for (const auto& [name, value] : start)
        more.emplace_back(name == "timezone" ? "TimeZone" : std::string_view{name}, value);
    world_.send(*connection_, client_startup(std::move(more)));
    transaction_.start(std::move(start));
}

// Something that keeps the session at its server connection.
statement simulated_client::choose_held() {
    switch (world_.luck().below(8)) {
        case 0:
            return of(kind::listen);
        case 1:
            return of(kind::unlisten);
        case 2:
            return of(kind::lock);
        case 3:
            return of(kind::unlock_all);
        case 4:
            return of(kind::create_temporary);
        case 5:
            return of(kind::do_tenant, any_tenant(world_.luck()));
        default:
            return of(kind::prepare, "p");
    }
}

statement simulated_client::choose_pooled(bool in_block) {
    auto& luck = world_.luck();
    const auto set = in_block && luck.one_in(2) ? kind::set_value_local : kind::set_value;
    switch (luck.below(20)) {
        case 0:
        case 1:
            return of(set, "search_path", luck.one_in(2) ? "public" : "bob, public");
        case 2:
            return of(kind::reset_value, "search_path");
        case 3:
            return of(set, "TimeZone", luck.one_in(2) ? "CET" : "UTC");
        case 4:
            return of(set, "application_name", luck.one_in(2) ? "x" : "z");
        case 5:
            return of(kind::reset_value, luck.one_in(2) ? "TimeZone" : "application_name");
        case 6:
            return of(kind::set_role, "bob");
        case 7:
            return of(kind::reset_role);
        case 8:
        case 9:
            return of(in_block && luck.one_in(2) ? kind::config_tenant_local : kind::config_tenant,
                      any_tenant(luck));
        case 10:
            // In a block what the start-up gave is not there again before its end.
            if (in_block && follows_tenant()) return of(kind::select_one);
            return of(luck.one_in(2) ? kind::reset_all : kind::reset_tenant);
        case 11:
            return of(kind::deallocate, luck.one_in(3) ? "p" : "s");
        case 12:
            return of(luck.one_in(2) ? kind::deallocate_all : kind::select_one);
        case 13:
            return of(kind::execute, "p");
        case 14:
            return luck.one_in(2) ? choose_held() : of(kind::select_notes);
        default:
            return of(kind::select_notes);
    }
}

// The tenant of its start-up is set at connections that began without one.
bool simulated_client::follows_tenant() const {
    return world_.pool()->followed.size() > 1 &&
           transaction_.at_start().contains(transaction_model::tenant_setting);
}

bool simulated_client::holds() const {
    return tainted_ || names_.contains("p") || transaction_.holds_anything();
}

// Outside of a block.
void simulated_client::add_pooled(std::string& out) {
    auto& luck = world_.luck();
    if (holds() && luck.one_in(3)) return add_any(out, of(kind::discard_all));
    switch (luck.below(6)) {
        case 0:  // as a driver that puts its reset in front
            add_simple(out, of(luck.one_in(3) ? kind::reset_all : kind::discard_all));
            return add_any(out, choose(false));
        case 1:
            return add_of_prepared(out);
        case 2:
            add_any(out, choose_pooled(false));
            return add_of_prepared(out);
        case 3:
            add_any(out, choose_pooled(false));
            return add_any(out, {});
        case 4:
            add_any(out, of(luck.one_in(2) ? kind::execute : kind::prepare, "p"));
            return add_any(out, choose_pooled(false));
        default:
            return add_any(out, choose_pooled(false));
    }
}

void simulated_client::read_by_prepared(std::string& out, bool parses) {
    statement s;
    s.id = static_cast<int>(world_.luck().below(model_database::rows));
    std::vector<std::string> values;
    const auto sql = s.sql(&values);
    if (parses) out += parse("s", sql);
    out += bind("s", {values.begin(), values.end()}) + execute() + sync_now();
    request r{.what = s, .extended = true, .parses = parses};
    r.statement_name = "s";
    expect(std::move(r));
}

// Of "s", whether it is there or not.
void simulated_client::add_of_prepared(std::string& out) {
    auto& luck = world_.luck();
    for (auto n = 1 + luck.below(3); n-- > 0;) {
        const auto dice = luck.below(6);
        if (dice >= 2) {
            read_by_prepared(out, dice == 2);
            continue;
        }
        request r{.what = of(dice == 0 ? kind::close_prepared : kind::describe_prepared),
                  .extended = true};
        r.statement_name = "s";
        out += (dice == 0 ? close_statement("s") : describe_statement("s")) + sync_now();
        expect(std::move(r));
    }
}

// There was no server connection for it, and nothing of it has run.
bool simulated_client::is_of_pool(const protocol::error_response& m, const request& r) const {
    const auto code = m.sqlstate();
    const auto& pool = *world_.pool();
    if ((transaction_.status() != 'I' && !fresh_block_) || r.rows > 0) return false;
    if (code == "55P03") return pool.settings.query_wait_timeout.count() > 0;
    const bool breaks = code == "08001" || code == "08006";
    return breaks || (code == "53300" && pool.refuses);
}

// Does what is prepared under which name explain it?
bool simulated_client::is_of_names(std::string_view code, const request& r) const {
    const auto what = r.what.what;
    const bool by_sql = what == kind::prepare || what == kind::execute || what == kind::deallocate;
    const auto& name = by_sql ? r.what.name : r.statement_name;
    const bool there = names_.contains(name);
    if (code == "42P05") return there && (what == kind::prepare || (r.parses && !name.empty()));
    if (code == "26000")
        // A cancel may have met the Parse that was sent ahead.
        return (!there || (by_sql && cancels_ > r.cancels_before)) &&
               (by_sql ? what != kind::prepare : !name.empty() && !r.parses);
    if (code == "25001") return what == kind::discard_all && transaction_.status() == 'T';
    // That a DO block has made it known nobody knows who is elsewhere.
    const bool known = transaction_.knows_tenant() && !was_tainted_;
    return code == "42704" && what == kind::select_notes && !known;
}

void simulated_client::note_names(const statement& s) {
    switch (s.what) {
        case kind::prepare:
            if (!names_.emplace(s.name).second) world_.violate("prepared twice");
            return;
        case kind::execute:
            if (!names_.contains(s.name)) world_.violate("what is not there was executed");
            return;
        case kind::deallocate:
            if (names_.erase(s.name) == 0) world_.violate("what is not there was dropped");
            return;
        case kind::discard_all:
            tainted_ = false;
            names_.clear();
            return;
        case kind::deallocate_all:
            names_.clear();
            return;
        case kind::do_tenant:
            tainted_ = was_tainted_ = true;
            return;
        default:
            return;
    }
}

// Of what is reported the client knows what is in effect.
void simulated_client::check_told() {
    if (!world_.pool() || transaction_.status() == 'E') return;
    const auto check = [&](const char* name, const char* setting) {
        const auto it = told_.find(name);
        const auto value = transaction_.value(setting);
        if (it == told_.end() || it->second != value)
            world_.violate(std::string{name} + " is '" + value + "', and the client was told '" +
                           (it == told_.end() ? "nothing" : it->second) + "'");
    };
    check("TimeZone", "timezone");
    check("application_name", "application_name");
}

// A statement's parameters are of the types that it was given when it was prepared. Where settings
// have changed since they may be those of now; once told they stay.
void simulated_client::check_types(std::string_view body) {
    protocol::reader in{body};
    const auto count = in.u16();
    const auto type = in.u32();
    if (in.failed() || count != 1 || (type != type_ && type != transaction_.parameter_type()))
        world_.violate("a parameter of type " + std::to_string(type));
    type_ = type;
}

}  // namespace core_test
