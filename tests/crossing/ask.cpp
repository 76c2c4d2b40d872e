// How a statement is put to the server: in a Query of its own or of several, by the extended
// protocol, with or without the round's end.
#include <utility>

#include "client.h"

namespace pgsidecar::crossing {
namespace {

// $1 and $2 as literals.
std::string with_literals(std::string_view sql, const std::vector<value>& values) {
    std::string out;
    if (values.empty()) return std::string{sql};  // a $1 in it is of a PREPARE
    for (std::size_t i = 0; i < sql.size(); ++i) {
        if (sql[i] != '$' || i + 1 == sql.size() || sql[i + 1] < '1' || sql[i + 1] > '9') {
            out.push_back(sql[i]);
            continue;
        }
        const auto& one = values.at(static_cast<std::size_t>(sql[++i] - '1'));
        if (!one)
            out += "NULL";
        else
            out.append("'").append(*one).append("'");
    }
    return out;
}

}  // namespace

void client::expect(part what, kind of) {
    expected e;
    e.what = what;
    e.of = of;
    expected_.push_back(std::move(e));
}

void client::expect_rows(part what, kind of, check compare, bool binary) {
    expect(what, of);
    expected_.back().compare = std::move(compare);
    expected_.back().binary = binary;
}

void client::ask(kind of, std::string_view sql, const std::vector<value>& values, check compare,
                 bool may_be_binary) {
    if (flow_ == flow::script || (flow_ == flow::single && dice_.chance(35))) {
        const auto text = with_literals(sql, values);
        note(of, text);
        expect_rows(part::answer, of, std::move(compare), false);
        if (flow_ == flow::script) {
            script_.append(text).append("; ");
            return;
        }
        wire_.query(text);
        return close_round(of);
    }
    wire_.parse("", sql);
    expect(part::parsed, of);
    if (dice_.chance(10)) {
        wire_.describe('S', "");
        expect(part::statement_columns, of);
    }
    ask_extended(of, "", sql, values, std::move(compare), may_be_binary && dice_.chance(40));
}

// Bind and Execute of a statement, and Sync if nothing else follows.
void client::ask_extended(kind of, std::string_view statement, std::string_view sql,
                          const std::vector<value>& values, check compare, bool binary) {
    std::string said = "[" + std::string{statement} + (binary ? ", binary] " : "] ");
    said.append(sql);
    for (const auto& one : values) said.append(" <").append(one.value_or("NULL")).append(">");
    note(of, said);
    wire_.bind("", statement, values, binary);
    expect(part::bound, of);
    if (dice_.chance(60)) {
        wire_.describe('P', "");
        expect(part::columns, of);
    }
    wire_.execute("", 0);
    expect_rows(part::rows, of, std::move(compare), binary);
    if (flow_ == flow::single) end_request(of);
}

// It ends the flow: what would follow is not done.
void client::ask_failing(kind of, std::string_view sql, std::string sqlstate) {
    note(of, sql);
    if (flow_ == flow::script) {
        script_.append(sql).append("; ");
        return fails(of, std::move(sqlstate));
    }
    if (flow_ == flow::single && dice_.chance(50)) {
        wire_.query(sql);
        fails(of, std::move(sqlstate));
        return close_round(of);
    }
    wire_.parse("", sql);
    wire_.bind("", "", {}, false);
    wire_.execute("", 0);
    fails(of, std::move(sqlstate));
    if (flow_ == flow::single) end_request(of);
}

void client::fails(kind of, std::string sqlstate) {
    expect(part::failure, of);
    expected_.back().sqlstate = std::move(sqlstate);
    flow_failed_ = true;
    if (model_.in_transaction() && !implicit_) model_.fail();
}

void client::end_request(kind of) {
    if (flow_ == flow::script)
        wire_.query(std::exchange(script_, {}));
    else
        wire_.sync();
    close_round(of);
}

// The ReadyForQuery of what was sent. A transaction that nobody began ends here.
void client::close_round(kind of) {
    if (implicit_) {
        implicit_ = false;
        if (flow_failed_)
            model_.roll_back();
        else
            commit_sent();
    } else if (!model_.in_transaction() && !flow_failed_) {
        commit_sent();
    }
    flow_failed_ = false;
    expect(part::ready, of);
    auto& e = expected_.back();
    e.status = model_.status();
    e.zone = model_.get(setting::zone);
    e.style = model_.get(setting::style);
    e.application = model_.get(setting::application);
    e.committed = std::exchange(acknowledges_, {});
}

// What was written may be seen by others as soon as the bytes are on their way.
void client::commit_sent() {
    for (auto& one : model_.commit()) {
        world_.at(one.where).sent.fetch_add(1);
        acknowledges_.push_back(std::move(one));
    }
}

}  // namespace pgsidecar::crossing
