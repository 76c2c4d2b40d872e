// What the model server reads and what becomes of it: statements, rows, transactions.
#include "tests/core/model_server.h"

#include <array>
#include <cstdlib>
#include <utility>

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
    spelling{kind::discard_all, "DISCARD ALL", "", ""},
    spelling{kind::divide_by_zero, "SELECT 1/0", "", ""},
    spelling{kind::alter, "ALTER TABLE other ADD COLUMN w int", "", ""},
};

const spelling& spelling_of(kind what) {
    for (const auto& s : spellings)
        if (s.what == what) return s;
    std::abort();
}

}  // namespace

std::string statement::sql(std::vector<std::string>* values) const {
    const auto& s = spelling_of(what);
    const auto put = [&](std::string text) {
        if (!values) return text;
        values->push_back(std::move(text));
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
        if (!text.starts_with(s.before)) continue;
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
    for (int id = 0; id < rows; ++id) first["kv/" + std::to_string(id)] = value++;
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

std::string transaction_model::row_of(const statement& s, const std::string& tenant) {
    const bool kv = s.what == kind::select_kv || s.what == kind::update_kv;
    return kv ? "kv/" + std::to_string(s.id) : "notes/" + tenant;
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
    now_.tenant = now_.after_commit;
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

void transaction_model::apply(const statement& s) {
    switch (s.what) {
        case kind::update_kv:
        case kind::update_notes:
            if (s.what == kind::update_kv || !now_.tenant.empty())
                now_.writes[row_of(s, now_.tenant)] = s.value;
            break;
        case kind::update_all:
            for (int id = 0; id < model_database::rows; ++id)
                now_.writes["kv/" + std::to_string(id)] = s.value + id;
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
        case kind::set_tenant:
            now_.tenant = now_.after_commit = s.name;
            break;
        case kind::set_tenant_local:
            now_.tenant = s.name;
            break;
        case kind::reset_tenant:
        case kind::discard_all:
            now_.tenant = now_.after_commit = "";
            break;
        default:
            break;
    }
}

}  // namespace core_test
