// Settings, roles and transactions.
#include <utility>

#include "client.h"

namespace pgsidecar::crossing {

// Most of the work is for a few tenants, else nothing would be in the cache. Which ones changes, so
// that with some seeds all have had answers from there.
std::string client::busy_tenant() {
    constexpr std::uint64_t stretch = 80'000;
    constexpr std::uint64_t at_once = 5;
    const auto now = run_.opt.seed * 25 + run_.done.load(std::memory_order_relaxed) / stretch;
    return party_name(static_cast<int>((now * at_once + dice_.next() % at_once) % tenant_count));
}

std::string client::some_tenant() {
    const int n = dice_.below(100);
    if (n < 60) return busy_tenant();
    if (n < 72) return party_name(home_);
    return party_name(dice_.below(tenant_count));
}

setting client::some_setting() {
    const int n = dice_.below(100);
    if (n < 50) return setting::tenant;
    if (n < 78) return setting::path;
    return static_cast<setting>(static_cast<int>(setting::zone) + dice_.below(5));
}

std::string client::some_word(setting s) {
    switch (s) {
        case setting::tenant:
            return some_tenant();
        case setting::path:
            return dice_.chance(15)   ? std::string{default_path}
                   : dice_.chance(40) ? some_tenant() + ", pg_catalog, public"
                                      : some_tenant() + ", public";
        case setting::role:
            return party_name(first_role + dice_.below(role_count));
        case setting::zone:
            return dice_.pick(world::zones);
        case setting::style:
            return dice_.pick(world::styles);
        case setting::digits:
            return dice_.pick(world::digits);
        case setting::output:
            return dice_.pick(world::outputs);
        case setting::application:
            return dice_.chance(50) ? "desk of " + some_tenant() : "report";
    }
    return {};
}

client::check client::says(std::string word) {
    return [word = std::move(word)](const result& r) -> std::string {
        if (r.rows.size() == 1 && r.rows[0].size() == 1 &&
            (word == model::any || r.rows[0][0].value_or("") == word))
            return {};
        return "\"" +
               (r.rows.empty() || r.rows[0].empty() ? "no row" : r.rows[0][0].value_or("NULL")) +
               "\" instead of \"" + word + '"';
    };
}

client::check client::tagged(std::string tag) {
    return [tag = std::move(tag)](const result& r) -> std::string {
        return r.tag == tag ? "" : "tag " + r.tag + " instead of " + tag;
    };
}

void client::set_something() {
    const auto s = some_setting();
    const bool local = model_.in_transaction() && dice_.chance(45);
    const auto word = some_word(s);
    if (dice_.chance(50))
        set_word(s, word, local);
    else
        set_by_config(s, word, local);
}

void client::set_word(setting s, const std::string& word, bool local) {
    model_.set(s, word, local);
    std::string sql{local ? "SET LOCAL " : dice_.chance(20) ? "SET SESSION " : "SET "};
    if (s == setting::zone && dice_.chance(30))
        sql += "TIME ZONE '" + word + "'";
    else if (s == setting::path)
        sql += "search_path TO " + word;
    else
        sql.append(name_of(s)).append(" = '").append(word).append("'");
    ask(local ? kind::set_local : kind::set, sql, {}, tagged("SET"));
}

void client::set_by_config(setting s, const std::string& word, bool local) {
    model_.set(s, word, local);
    const std::string name{name_of(s)};
    const std::string last = local ? ", true)" : ", false)";
    if (dice_.chance(60))
        return ask(kind::set_config_bound, "SELECT set_config('" + name + "', $1" + last, {word},
                   says(word));
    ask(kind::set_config, "SELECT pg_catalog.set_config('" + name + "', '" + word + "'" + last, {},
        says(word));
}

void client::reset_something() {
    if (dice_.chance(30)) {
        model_.reset_all();
        return ask(kind::reset_all, "RESET ALL", {}, tagged("RESET"));
    }
    const auto s = some_setting();
    const std::string name{name_of(s)};
    model_.reset(s);
    if (dice_.chance(25)) return ask(kind::reset, "SET " + name + " TO DEFAULT", {}, tagged("SET"));
    ask(kind::reset, "RESET " + name, {}, tagged("RESET"));
}

void client::set_role() {
    if (dice_.chance(45)) {
        model_.reset(setting::role);
        if (dice_.chance(50)) return ask(kind::reset_role, "SET ROLE NONE", {}, tagged("SET"));
        return ask(kind::reset_role, "RESET ROLE", {}, tagged("RESET"));
    }
    const bool local = model_.in_transaction() && dice_.chance(45);
    const auto role = some_word(setting::role);
    model_.set(setting::role, role, local);
    if (dice_.chance(25))
        return ask(kind::set_role,
                   std::string{"SELECT set_config('role', $1, "} + (local ? "true)" : "false)"),
                   {role}, says(role));
    ask(kind::set_role, (local ? "SET LOCAL ROLE " : "SET ROLE ") + role, {}, tagged("SET"));
}

void client::show() {
    auto s = static_cast<setting>(dice_.below(setting_count));
    // Unset it is unknown, or an empty text, as the connection has had it before.
    if (s == setting::tenant && model_.get(s).empty()) s = setting::path;
    ask(kind::show, "SHOW " + std::string{name_of(s)}, {}, says(model_.get(s)));
}

client::check client::all_settings() const {
    std::vector<std::string> want{party_name(model_.by_role())};
    for (std::size_t i = 0; i < setting_count; ++i)
        want.push_back(model_.get(static_cast<setting>(i)));
    return [want = std::move(want)](const result& r) -> std::string {
        std::string got, wanted;
        for (const auto& word : want) wanted += "|" + word;
        for (const auto& one : r.rows)
            for (const auto& word : one) got += "|" + word.value_or("");
        if (want.back() == model::any) {
            got.resize(got.rfind('|'));
            wanted.resize(wanted.rfind('|'));
        }
        return got == wanted ? "" : got + " instead of " + wanted;
    };
}

void client::read_settings() {
    std::string sql = "SELECT current_user::text";
    for (std::size_t i = 0; i < setting_count; ++i)
        sql += ", current_setting('" + std::string{name_of(static_cast<setting>(i))} +
               (i == 0 ? "', true)" : "')");
    ask(kind::read_settings, sql, {}, all_settings());
}

void client::discard_all() {
    model_.discard_all();
    nothing_held();
    ask(kind::discard_all, "DISCARD ALL", {}, [this](const result& r) -> std::string {
        channel_ = no_party;
        took_number_ = false;
        return r.tag == "DISCARD ALL" ? "" : "tag " + r.tag;
    });
}

void client::begin_block() {
    model_.begin(false);
    const bool start = dice_.chance(30);
    ask(kind::begin, start ? "START TRANSACTION" : "BEGIN", {},
        tagged(start ? "START TRANSACTION" : "BEGIN"));
}

void client::commit_block() {
    commit_sent();
    ask(kind::commit, dice_.chance(80) ? "COMMIT" : "END", {}, tagged("COMMIT"));
}

void client::roll_back_block() {
    model_.roll_back();
    ask(kind::roll_back, dice_.chance(80) ? "ROLLBACK" : "ABORT", {}, tagged("ROLLBACK"));
}

void client::savepoint_something() {
    const auto open = model_.savepoints();
    if (open == 0 || (open < 4 && dice_.chance(40))) {
        model_.savepoint();
        return ask(kind::savepoint, "SAVEPOINT s" + std::to_string(open), {}, tagged("SAVEPOINT"));
    }
    const auto which = static_cast<std::size_t>(dice_.below(static_cast<int>(open)));
    if (dice_.chance(35)) {
        model_.release(which);
        return ask(kind::release, "RELEASE SAVEPOINT s" + std::to_string(which), {},
                   tagged("RELEASE"));
    }
    model_.roll_back_to(which);
    ask(kind::roll_back_to, "ROLLBACK TO SAVEPOINT s" + std::to_string(which), {},
        tagged("ROLLBACK"));
}

}  // namespace pgsidecar::crossing
