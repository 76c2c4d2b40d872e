// What the model server reads and what becomes of it: statements, rows, transactions.
#include "tests/core/model_server.h"

#include <array>
#include <cstdlib>
#include <utility>

#include "protocol/ascii.h"
#include "tests/core/world.h"

namespace core_test {
namespace {

using kind = statement::kind;

// How each statement is written; {} stands for its id, value or name in turn.
struct spelling {
    kind what;
    std::string_view before, between, after;
};
constexpr std::array spellings{
    spelling{kind::select_kv, "SELECT v FROM kv WHERE id = ", "", ""},
    spelling{kind::select_all, "SELECT v FROM kv", "", ""},
    spelling{kind::select_notes, "SELECT v FROM notes", "", ""},
    spelling{kind::execute, "EXECUTE ", "", ""},
    spelling{kind::prepare, "PREPARE ", "", " AS SELECT v FROM kv WHERE id = 0"},
    spelling{kind::deallocate_all, "DEALLOCATE ALL", "", ""},
    spelling{kind::deallocate, "DEALLOCATE ", "", ""},
    spelling{kind::config_tenant, "SELECT set_config('app.tenant_id', ", "", ", false)"},
    spelling{kind::config_tenant_local, "SELECT set_config('app.tenant_id', ", "", ", true)"},
    spelling{kind::do_tenant, "DO $$BEGIN PERFORM set_config('app.tenant_id', ", "",
             ", false); END$$"},
    spelling{kind::listen, "LISTEN c", "", ""},
    spelling{kind::unlisten, "UNLISTEN *", "", ""},
    spelling{kind::lock, "SELECT pg_advisory_lock(1)", "", ""},
    spelling{kind::unlock_all, "SELECT pg_advisory_unlock_all()", "", ""},
    spelling{kind::create_temporary, "CREATE TEMP TABLE IF NOT EXISTS t (i int)", "", ""},
    spelling{kind::update_all, "UPDATE kv SET v = id + ", "", " RETURNING v"},
    spelling{kind::update_kv, "UPDATE kv SET v = ", " WHERE id = ", ""},
    spelling{kind::update_notes, "UPDATE notes SET v = ", "", ""},
    spelling{kind::begin, "BEGIN", "", ""},
    spelling{kind::commit, "COMMIT", "", ""},
    spelling{kind::rollback_to, "ROLLBACK TO ", "", ""},
    spelling{kind::rollback, "ROLLBACK", "", ""},
    spelling{kind::savepoint, "SAVEPOINT ", "", ""},
    spelling{kind::release, "RELEASE ", "", ""},
    spelling{kind::set_tenant, "SET app.tenant_id = '", "", "'"},
    spelling{kind::set_tenant_local, "SET LOCAL app.tenant_id = '", "", "'"},
    spelling{kind::reset_tenant, "RESET app.tenant_id", "", ""},
    spelling{kind::set_role, "SET ROLE ", "", ""},
    spelling{kind::set_value_local, "SET LOCAL ", " = ", ""},
    spelling{kind::set_value, "SET ", " = ", ""},
    spelling{kind::reset_role, "RESET ROLE", "", ""},
    spelling{kind::reset_all, "RESET ALL", "", ""},
    spelling{kind::reset_value, "RESET ", "", ""},
    spelling{kind::discard_all, "DISCARD ALL", "", ""},
    spelling{kind::divide_by_zero, "SELECT 1/0", "", ""},
    spelling{kind::select_one, "SELECT 1", "", ""},
    spelling{kind::alter, "ALTER TABLE other ADD COLUMN w int", "", ""},
};

const spelling& spelling_of(kind what) {
    for (const auto& s : spellings)
        if (s.what == what) return s;
    std::abort();
}

// search_path is a list of names, not of literals.
std::string quoted(std::string_view name, std::string_view text) {
    return name == "search_path" ? std::string{text} : "'" + std::string{text} + "'";
}

std::string unquoted(std::string_view text) {
    if (text.size() > 1 && text.front() == '\'') text = text.substr(1, text.size() - 2);
    return std::string{text};
}

}  // namespace

std::string statement::sql(std::vector<std::string>* values) const {
    const auto& s = spelling_of(what);
    const auto put = [&](std::string given) {
        if (!values) return given;
        values->push_back(std::move(given));
        return "$" + std::to_string(values->size());
    };
    std::string out{s.before};
    switch (what) {
        case kind::select_kv:
            out += put(std::to_string(id));
            break;
        case kind::update_kv:
            out += put(std::to_string(value));
            out.append(s.between);
            out += put(std::to_string(id));
            break;
        case kind::update_notes:
        case kind::update_all:
            out += put(std::to_string(value));
            break;
        case kind::config_tenant:
        case kind::config_tenant_local:
            out += values ? put(name) : quoted({}, name);
            break;
        case kind::do_tenant:
            out += quoted({}, name);
            break;
        case kind::set_value:
        case kind::set_value_local:
            out.append(name).append(s.between).append(quoted(name, text));
            break;
        default:
            out += name;
    }
    return out.append(s.after);
}

std::optional<statement> statement::read(std::string text, const std::vector<std::string>& values) {
    for (std::size_t i = 0; i < values.size(); ++i) {
        const auto mark = "$" + std::to_string(i + 1);
        if (const auto at = text.find(mark); at != std::string::npos)
            text.replace(at, mark.size(), values[i]);
    }
    for (const auto& s : spellings) {
        if (!text.starts_with(s.before) || !text.ends_with(s.after)) continue;
        statement out;
        out.what = s.what;
        std::string rest = text.substr(s.before.size());
        rest.resize(rest.size() - std::min(rest.size(), s.after.size()));
        if (s.what == kind::select_kv) {
            out.id = std::atoi(rest.c_str());
        } else if (out.writes()) {
            out.value = std::atol(rest.c_str());
            const auto at = s.between.empty() ? std::string::npos : rest.find(s.between);
            if (at != std::string::npos) out.id = std::atoi(rest.c_str() + at + s.between.size());
        } else if (s.what == kind::set_value || s.what == kind::set_value_local) {
            const auto at = rest.find(s.between);
            if (at == std::string::npos) return std::nullopt;
            out.name = rest.substr(0, at);
            out.text = unquoted(rest.substr(at + s.between.size()));
        } else if (s.what == kind::config_tenant || s.what == kind::config_tenant_local ||
                   s.what == kind::do_tenant) {
            out.name = unquoted(rest);
        } else {
            out.name = rest;
        }
        return out;
    }
    return std::nullopt;
}

model_database::model_database() {
    std::map<std::string, long> first;
    long value = 1;
    for (const auto table : {"kv/", "bob.kv/"})
        for (int id = 0; id < rows; ++id) first[table + std::to_string(id)] = value++;
    for (const auto tenant : tenants) first["notes/" + std::string{tenant}] = value++;
    commit(first);
}

const model_database::place* model_database::find(long value) const {
    const auto it = where_.find(value);
    return it == where_.end() ? nullptr : &it->second;
}

void model_database::commit(const std::map<std::string, long>& writes) {
    for (const auto& [row, value] : writes) {
        auto& all = history_[row];
        where_[value] = {row, all.size()};
        all.push_back(value);
    }
}

std::optional<long> transaction_model::written(const std::string& row) const {
    const auto it = now_.writes.find(row);
    if (it == now_.writes.end()) return std::nullopt;
    return it->second;
}

std::string transaction_model::value(std::string_view name) const {
    if (const auto it = now_.set.find(name); it != now_.set.end()) return it->second;
    if (const auto it = start_.find(name); it != start_.end()) return it->second;
    return name == "search_path" ? R"("$user", public)" : name == "timezone" ? "UTC" : "";
}

std::string transaction_model::kv() const {
    const auto path = value("search_path");
    const bool own = path.starts_with("\"$user\"") && value("role") == "bob";
    return own || path.starts_with("bob") ? "bob.kv/" : "kv/";
}

std::uint32_t transaction_model::parameter_type() const {
    return 20U + (kv() == "kv/" ? 2 : 0) + (value("timezone") == "CET" ? 1 : 0);
}

std::string transaction_model::row_of(const statement& s) const {
    const bool notes = s.what == kind::select_notes || s.what == kind::update_notes;
    return notes ? "notes/" + tenant() : kv() + std::to_string(s.id);
}

void transaction_model::begin(bool implicit) {
    if (open_) {
        implicit_ = implicit_ && implicit;
        return;
    }
    open_ = true;
    implicit_ = implicit;
    at_begin_ = now_;
}

std::map<std::string, long> transaction_model::commit() {
    auto writes = std::exchange(now_.writes, {});
    now_.set = now_.after_commit;
    open_ = failed_ = false;
    savepoints_.clear();
    return writes;
}

void transaction_model::rollback() {
    if (open_) now_ = at_begin_;
    open_ = failed_ = false;
    savepoints_.clear();
}

void transaction_model::fail() {
    if (open_ && !implicit_)
        failed_ = true;
    else
        rollback();
}

// Nothing: back to what the start-up said.
void transaction_model::put(const std::string& name, const std::optional<std::string>& value,
                            bool local) {
    known_ = known_ || name == tenant_setting;
    for (auto* where : {&now_.set, &now_.after_commit}) {
        if (local && where == &now_.after_commit) continue;
        if (value)
            where->insert_or_assign(name, *value);
        else
            where->erase(name);
    }
}

void transaction_model::reset_all() {
    for (auto* where : {&now_.set, &now_.after_commit})
        std::erase_if(*where, [](const auto& item) { return item.first != "role"; });
}

void transaction_model::discard_all() {
    now_.set.clear();
    now_.after_commit.clear();
    now_.listens = now_.temporary = locked_ = false;
}

void transaction_model::apply(const statement& s) {
    switch (s.what) {
        case kind::update_kv:
            now_.writes[row_of(s)] = s.value;
            break;
        case kind::update_notes:
            if (!tenant().empty()) now_.writes[row_of(s)] = s.value;
            break;
        case kind::update_all:
            for (int id = 0; id < model_database::rows; ++id)
                now_.writes[kv() + std::to_string(id)] = s.value + id;
            break;
        case kind::savepoint:
            savepoints_.push_back({s.name, now_});
            break;
        case kind::release:
        case kind::rollback_to:
            for (auto i = savepoints_.size(); i-- > 0;) {
                if (savepoints_[i].name != s.name) continue;
                if (s.what == kind::rollback_to) {
                    now_ = savepoints_[i].before;
                    failed_ = false;
                    ++i;
                }
                savepoints_.resize(i);
                break;
            }
            break;
        default:
            apply_setting(s);
    }
}

void transaction_model::apply_setting(const statement& s) {
    static const std::string tenant{tenant_setting};
    switch (s.what) {
        case kind::set_tenant:
        case kind::config_tenant:
        case kind::do_tenant:
            return put(tenant, s.name, false);
        case kind::set_tenant_local:
        case kind::config_tenant_local:
            return put(tenant, s.name, true);
        case kind::reset_tenant:
            return put(tenant, std::nullopt, false);
        case kind::set_value:
            return put(protocol::lower_case(s.name), s.text, false);
        case kind::set_value_local:
            return put(protocol::lower_case(s.name), s.text, true);
        case kind::reset_value:
            return put(protocol::lower_case(s.name), std::nullopt, false);
        case kind::set_role:
            return put("role", s.name, false);
        case kind::reset_role:
            return put("role", std::nullopt, false);
        case kind::reset_all:
            return reset_all();
        case kind::discard_all:
            return discard_all();
        case kind::listen:
        case kind::unlisten:
            now_.listens = s.what == kind::listen;
            return;
        case kind::create_temporary:
            now_.temporary = true;
            return;
        case kind::lock:
        case kind::unlock_all:
            locked_ = s.what == kind::lock;
            return;
        default:
            return;
    }
}

}  // namespace core_test
