#include "tests/core/model_server.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "protocol/framer.h"
#include "tests/core/world.h"

namespace core_test {
namespace {

using kind = statement::kind;

std::string_view tag_of(kind what) {
    switch (what) {
        case kind::update_kv:
        case kind::update_notes:
            return "UPDATE 1";
        case kind::update_all:
            return "UPDATE 2";
        case kind::select_all:
            return "SELECT 2";
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
        case kind::set_value:
        case kind::set_value_local:
        case kind::set_role:
            return "SET";
        case kind::reset_value:
        case kind::reset_role:
        case kind::reset_all:
            return "RESET";
        case kind::do_tenant:
            return "DO";
        case kind::prepare:
            return "PREPARE";
        case kind::deallocate:
            return "DEALLOCATE";
        case kind::deallocate_all:
            return "DEALLOCATE ALL";
        case kind::listen:
            return "LISTEN";
        case kind::unlisten:
            return "UNLISTEN";
        case kind::create_temporary:
            return "CREATE TABLE";
        default:
            return "";
    }
}

}  // namespace

bool backend::has_work() const {
    protocol::frame f;
    std::error_code bad;
    if (ended_) return false;
    if (sending_) return true;
    const auto found = started_ ? protocol::next(in_, f, bad) : protocol::next_startup(in_, f, bad);
    assert(found != protocol::peek_result::bad);
    return found == protocol::peek_result::ok;
}

std::string backend::step() {
    auto out = sending_ ? finish() : next();
    if (out.ends_with(ready('I')) || out.ends_with(ready('T')) || out.ends_with(ready('E')))
        busy_ = cancelled_ = false;
    return out;
}

std::string backend::next() {
    protocol::frame f;
    std::error_code bad;
    if (!started_) {
        (void)protocol::next_startup(in_, f, bad);
        auto out = log_in(f.body);
        in_.erase(0, f.whole.size());
        started_ = true;
        return out;
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
    return out;
}

bool backend::quiet() const {
    if (ended_) return true;
    return started_ && !busy_ && in_.empty() && transaction_.status() == 'I';
}

void backend::end() {
    transaction_.rollback();
    ended_ = true;
}

std::string backend::error(std::string_view sqlstate) {
    transaction_.fail();
    return failed(sqlstate);
}

// The rows of a longer answer are on their way before it is known how the statement ends.
std::string backend::begin_rows(const statement& s, bool describe, std::int32_t most) {
    std::string out = describe ? described() : std::string{};
    const int count = most > 0 ? std::min(most, model_database::rows) : model_database::rows;
    for (int id = 0; id < count; ++id) {
        const auto row = transaction_.kv() + std::to_string(id);
        const auto own = transaction_.written(row);
        const auto seen = own ? *own : db_->newest(row);
        out += row_of(std::to_string(s.writes() ? s.value + id : seen));
    }
    sending_ = s;
    suspends_ = most > 0 && most <= count;
    return out;
}

std::string backend::finish() {
    const auto s = *std::exchange(sending_, std::nullopt);
    std::string out;
    if (std::exchange(cancelled_, false)) {
        out = error("57014");
        skipping_ = !by_query_;
    } else {
        if (s.writes()) transaction_.apply(s);
        out = suspends_ ? message(protocol::portal_suspended{}) : completed(tag_of(s.what));
    }
    return by_query_ ? out + end_query() : out;
}

std::string backend::run(const statement& s, bool describe, std::int32_t most) {
    if (std::exchange(cancelled_, false)) return error("57014");
    if (transaction_.status() == 'E' && !s.leaves_failure()) return error("25P02");
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
        case kind::select_notes:
            return read_row(s, describe);
        case kind::prepare:
        case kind::execute:
        case kind::deallocate:
        case kind::deallocate_all:
            return run_prepared(s);
        case kind::do_tenant:
            tainted_ = true;
            transaction_.apply(s);
            break;
        case kind::select_all:
        case kind::update_all:
            return begin_rows(s, describe, most);
        default:
            transaction_.apply(s);
    }
    if (s.returns_one())
        return (describe ? described() : "") + row_of(s.name) + completed("SELECT 1");
    return completed(tag_of(s.what));
}

std::string backend::read_row(const statement& s, bool describe) {
    const bool notes = s.what == kind::select_notes;
    const auto tenant = transaction_.tenant();
    if (notes && !transaction_.knows_tenant()) return error("42704");
    std::string out = describe ? described() : std::string{};
    if (notes && tenant.empty()) return out + completed("SELECT 0");
    const auto row = transaction_.row_of(s);
    const auto own = transaction_.written(row);
    auto text = std::to_string(own ? *own : db_->newest(row));
    if (notes) text.insert(0, tenant + "#");
    return out + row_of(text) + completed("SELECT 1");
}

std::string backend::run_prepared(const statement& s) {
    const auto it = prepared_.find(s.name);
    switch (s.what) {
        case kind::prepare:
            if (it != prepared_.end()) return error("42P05");
            prepared_.emplace(s.name, prepared{"SELECT v FROM kv WHERE id = 0"});
            break;
        case kind::execute: {
            if (it == prepared_.end()) return error("26000");
            const auto inner = statement::read(it->second.sql, {});
            return read_row(*inner, by_query_);
        }
        case kind::deallocate:
            if (it == prepared_.end()) return error("26000");
            prepared_.erase(it);
            break;
        default:
            std::erase_if(prepared_, [](const auto& p) { return !p.first.empty(); });
    }
    return completed(tag_of(s.what));
}

std::string backend::simple(const std::string& sql) {
    prepared_.erase("");
    by_query_ = true;
    if (restores(sql)) return restore(sql);
    const auto s = statement::read(sql, {});
    if (!s) return error("42601") + ready_now();
    const bool alone = transaction_.status() == 'I';
    if (alone && s->what != kind::begin) transaction_.begin(true);
    auto out = run(*s, true, 0);
    return sending_ ? out : out + end_query();
}

std::string backend::end_query() {
    if (transaction_.implicit()) db_->commit(transaction_.commit());
    return ready_now();
}

std::string backend::extended(char type, std::string_view body) {
    if (type == 'S') {
        skipping_ = false;
        if (transaction_.implicit()) db_->commit(transaction_.commit());
        return ready_now();
    }
    if (skipping_ || type == 'H') return {};
    const auto refuse = [&](std::string_view sqlstate) {
        skipping_ = true;
        return error(sqlstate);
    };
    if (transaction_.status() == 'I') transaction_.begin(true);
    // Whatever becomes of the new one.
    if (type == 'P' && body.starts_with('\0')) prepared_.erase("");
    if (std::exchange(cancelled_, false)) return refuse("57014");
    switch (type) {
        case 'P': {
            protocol::parse_message m;
            if (protocol::parse(body, m)) return refuse("08P01");
            const auto s = statement::read(std::string{m.sql}, {});
            if (!s) return refuse("42601");
            if (transaction_.status() == 'E' && !s->leaves_failure()) return refuse("25P02");
            if (!m.name.empty() && prepared_.contains(m.name)) return refuse("42P05");
            const bool typed = !m.types.empty() && m.types[0] != 0;
            prepared_.insert_or_assign(
                std::string{m.name},
                prepared{std::string{m.sql}, typed ? m.types[0] : transaction_.parameter_type()});
            return parse_complete();
        }
        case 'B': {
            protocol::bind m;
            if (protocol::parse(body, m)) return refuse("08P01");
            const auto it = prepared_.find(m.statement);
            if (it == prepared_.end()) return refuse("26000");
            std::vector<std::string> values;
            for (const auto& v : m.values) values.emplace_back(v.value_or(""));
            const auto s = statement::read(it->second.sql, values);
            if (!s) return refuse("42601");
            if (transaction_.status() == 'E' && !s->leaves_failure()) return refuse("25P02");
            portal_ = s;
            return bind_complete();
        }
        case 'D':
            if (body[0] == 'S') {
                auto out = describe_statement(body.substr(1, body.size() - 2));
                return out.empty() ? refuse("26000") : out;
            }
            return portal_ && portal_->returns_rows() ? described() : no_data();
        case 'E': {
            protocol::execute m;
            if (protocol::parse(body, m)) return refuse("08P01");
            if (!portal_) return refuse("34000");
            by_query_ = false;
            auto out = run(*portal_, false, m.row_limit);
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
