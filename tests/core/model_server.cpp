#include "tests/core/model_server.h"

#include <array>
#include <cassert>
#include <cstdlib>

#include "protocol/framer.h"
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
    spelling{kind::select_notes, "SELECT v FROM notes", "", ""},
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

std::string_view tag_of(kind what) {
    switch (what) {
        case kind::update_kv:
        case kind::update_notes:
            return "UPDATE 1";
        case kind::begin:
            return "BEGIN";
        case kind::commit:
            return "COMMIT";
        case kind::rollback:
        case kind::rollback_to:
            return "ROLLBACK";
        case kind::savepoint:
            return "SAVEPOINT";
        case kind::release:
            return "RELEASE";
        case kind::set_tenant:
        case kind::set_tenant_local:
            return "SET";
        case kind::reset_tenant:
            return "RESET";
        case kind::discard_all:
            return "DISCARD ALL";
        case kind::alter:
            return "ALTER TABLE";
        default:
            return "";
    }
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

bool backend::has_work() const {
    protocol::frame f;
    std::error_code bad;
    if (ended_) return false;
    const auto found = started_ ? protocol::next(in_, f, bad) : protocol::next_startup(in_, f, bad);
    assert(found != protocol::peek_result::bad);
    return found == protocol::peek_result::ok;
}

std::string backend::step() {
    protocol::frame f;
    std::error_code bad;
    if (!started_) {
        (void)protocol::next_startup(in_, f, bad);
        in_.erase(0, f.whole.size());
        started_ = true;
        return server_log_in();
    }
    (void)protocol::next(in_, f, bad);
    const std::string body{f.body};
    const char type = f.type;
    in_.erase(0, f.whole.size());
    busy_ = true;
    std::string out;
    if (type == 'X')
        end();
    else if (type == 'Q')
        out = skipping_ ? "" : simple(body.substr(0, body.size() - 1));
    else
        out = extended(type, body);
    if (out.ends_with(ready('I')) || out.ends_with(ready('T')) || out.ends_with(ready('E')))
        busy_ = cancelled_ = false;
    return out;
}

void backend::end() {
    transaction_.rollback();
    ended_ = true;
}

std::string backend::error(std::string_view sqlstate) {
    transaction_.fail();
    return failed(sqlstate);
}

std::string backend::run(const statement& s, bool describe) {
    if (std::exchange(cancelled_, false)) return error("57014");
    const bool ends = s.what == kind::rollback || s.what == kind::commit;
    if (transaction_.status() == 'E' && !ends && s.what != kind::rollback_to) return error("25P02");
    switch (s.what) {
        case kind::divide_by_zero:
            return error("22012");
        case kind::begin:
            transaction_.begin(false);
            break;
        case kind::commit:
            if (transaction_.status() == 'E') {
                transaction_.rollback();
                return completed("ROLLBACK");
            }
            db_->commit(transaction_.commit());
            break;
        case kind::rollback:
            transaction_.rollback();
            break;
        case kind::discard_all:
            if (transaction_.status() == 'T' && !transaction_.implicit()) return error("25001");
            std::erase_if(prepared_, [](const auto& p) { return !p.first.empty(); });
            transaction_.apply(s);
            break;
        case kind::select_kv:
        case kind::select_notes: {
            const auto row = transaction_model::row_of(s, transaction_.tenant());
            std::string out = describe ? described() : std::string{};
            if (s.what == kind::select_notes && transaction_.tenant().empty())
                return out + completed("SELECT 0");
            const auto own = transaction_.written(row);
            auto text = std::to_string(own ? *own : db_->newest(row));
            if (s.what == kind::select_notes) text.insert(0, transaction_.tenant() + "#");
            return out + row_of(text) + completed("SELECT 1");
        }
        default:
            transaction_.apply(s);
    }
    return completed(tag_of(s.what));
}

std::string backend::simple(const std::string& sql) {
    prepared_.erase("");
    const auto s = statement::read(sql, {});
    if (!s) return error("42601") + ready(transaction_.status());
    const bool alone = transaction_.status() == 'I';
    if (alone && s->what != kind::begin) transaction_.begin(true);
    auto out = run(*s, true);
    if (transaction_.implicit()) db_->commit(transaction_.commit());
    return out + ready(transaction_.status());
}

std::string backend::extended(char type, std::string_view body) {
    if (type == 'S') {
        skipping_ = false;
        if (transaction_.implicit()) db_->commit(transaction_.commit());
        return ready(transaction_.status());
    }
    if (skipping_) return {};
    const auto refuse = [&](std::string_view sqlstate) {
        skipping_ = true;
        return error(sqlstate);
    };
    if (transaction_.status() == 'I') transaction_.begin(true);
    switch (type) {
        case 'P': {
            protocol::parse_message m;
            if (protocol::parse(body, m)) return refuse("08P01");
            if (transaction_.status() == 'E') return refuse("25P02");
            if (!m.name.empty() && prepared_.contains(m.name)) return refuse("42P05");
            prepared_.insert_or_assign(std::string{m.name}, prepared{std::string{m.sql}});
            return parse_complete();
        }
        case 'B': {
            protocol::bind m;
            if (protocol::parse(body, m)) return refuse("08P01");
            const auto it = prepared_.find(m.statement);
            if (it == prepared_.end()) return refuse("26000");
            if (transaction_.status() == 'E') return refuse("25P02");
            std::vector<std::string> values;
            for (const auto& v : m.values) values.emplace_back(v.value_or(""));
            portal_ = statement::read(it->second.sql, values);
            return portal_ ? bind_complete() : refuse("42601");
        }
        case 'D':
            return portal_ && portal_->reads() ? described() : no_data();
        case 'E': {
            if (!portal_) return refuse("34000");
            auto out = run(*portal_, false);
            if (out[0] == 'E') skipping_ = true;
            return out;
        }
        case 'C': {
            protocol::close m;
            if (protocol::parse(body, m)) return refuse("08P01");
            if (const auto it = prepared_.find(m.name); it != prepared_.end()) prepared_.erase(it);
            return close_complete();
        }
        default:
            return {};
    }
}

}  // namespace core_test
