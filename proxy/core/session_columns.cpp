// What a client was told of its prepared statements holds for as long as it has them, at whatever
// server connection they run: by it the client reads rows and writes parameters, and is not told
// again when it binds. A server refuses a statement whose columns have changed under it, but one
// that is prepared anew elsewhere is of the columns that are there now. So each statement at a
// server is described once there, and compared with what its client was told before it is bound.
// Protocol 3.0, "Extended Query".
#include <string>
#include <utility>

#include "cache/store.h"
#include "protocol/backend.h"
#include "protocol/frontend.h"
#include "proxy/core/session_batch.h"

namespace pgsidecar::core {
namespace {

// As PostgreSQL compares them (equalTupleDescs), so that it is refused when it would be there.
std::string comparable(const protocol::column_list& columns) {
    std::string out;
    for (const auto& column : columns) {
        out.append(column.name).push_back('\0');
        out.append(std::to_string(column.type_oid)).push_back(' ');
        out.append(std::to_string(column.type_modifier)).push_back('\0');
    }
    return out;
}

statement_description described_by(const protocol::frame& f) {
    statement_description out;
    protocol::row_description rows;
    if (f.type == 'T' && !protocol::parse(f.body, rows)) out.columns = comparable(rows.columns);
    return out;
}

description_ptr hashed(statement_description one) {
    const auto size = static_cast<std::uint32_t>(one.parameters.size());
    one.hash = cache::hash_key(std::to_string(size) + ' ' + one.parameters + one.columns);
    return std::make_shared<const statement_description>(std::move(one));
}

// What is prepared under the client's own name is of others than it was told; like no real ones.
const description_ptr& none_such() {
    static const auto one =
        std::make_shared<const statement_description>(statement_description{{}, "others", {}});
    return one;
}

bool same_text(const shared_text& a, const shared_text& b) {
    return a == b || (a && b && !a->empty() && *a == *b);
}

}  // namespace

// The parameters of the client's statement stay of the types that it was told, as they would where
// it was prepared once, whatever the server would make of them now.
void session::keep_parameters(std::string_view name) {
    const auto both = statements_.get(name);
    if (both.told->parameters.empty() || both.told->parameters == both.client->types) return;
    statements_.retype(name, definition_of(name, both.client->text, both.told->parameters));
}

// The number of the client's statement of that name at the server.
std::uint32_t session::described_at_server(std::string_view name, actions& out) {
    const auto number = at_server(statements_.client(name), out);
    const auto there = pool_->link->statements.description(number);
    if (!there || there->parameters == statements_.get(name).told->parameters) return number;
    const auto before = statements_.client(name);
    keep_parameters(name);
    return statements_.client(name) == before ? number : at_server(statements_.client(name), out);
}

// Hold the message that uses the statement until the server has described it: it is not known
// whether that is as the client was told. Read by the same settings and definitions it will be,
// unless somebody changes them just then, so that nobody waits for it.
bool session::awaits_columns(std::string_view name, actions& out) {
    if (skipping_ || !statements_.holds_told()) return false;
    const auto both = statements_.get(name);
    if (!both.told || both.told == none_such()) return false;
    // Of what is prepared while that is open nobody can know later what it was.
    if (pool_ && reading_in_doubt_ && !owed_.empty())
        return await_answers(wait::columns, out), true;
    const bool shared = is_virtual(name, both.client);
    std::uint32_t number = 0;
    if (shared) {
        number = described_at_server(name, out);
        if (pool_->link->statements.description(number)) return false;
    } else {
        if (both.client->sql_statement >= 0 || !may_differ(*both.client) ||
            (statements_.repair(name) == prepared_statements::repair_step::none &&
             !repair_may_fail(name)))
            return false;
        keep_parameters(name);
        send_repair(name, false, out);  // with a Describe
    }
    const auto definition = statements_.client(name);
    // One that was read by settings of which nobody was sure is read by others elsewhere.
    const bool alike = shared && !definition->own && definition->definitions == definitions() &&
                       same_text(both.told_by, read_by(*definition));
    if (shared) inject_describe(name, server_statements::name_of(number), number, out);
    if (alike) return false;
    await_answers(wait::columns, out);
    return true;
}

// A Flush and no Sync: the batch stays one.
void session::await_answers(wait why, actions& out) {
    std::string message;
    protocol::write(message, protocol::flush{});
    out.server.own(std::move(message));
    waiting_ = why;
}

void session::end_waiting_for_answers(actions& out) {
    if ((waiting_ != wait::rows && waiting_ != wait::columns) || !owed_.empty()) return;
    // What was set is known now.
    if (waiting_ == wait::columns) path_in_doubt_ = reading_in_doubt_ = false;
    waiting_ = wait::none;
    out.resume_client = true;
}

// Prepared anew. A session that has its server connection to itself was told by the cache, then.
bool session::may_differ(const prepared& definition) {
    return pool_ || definition.definitions != definitions();
}

// `there`: the name of the client's statement at the server.
void session::inject_describe(std::string_view name, std::string_view there, std::uint32_t number,
                              actions& out) {
    owe({.what = reply::describe_statement,
         .injected = true,
         .number = number,
         .name = std::string{name},
         .definition = statements_.client(name)});
    std::string message;
    protocol::write(message, protocol::describe{'S', there});
    out.server.own(std::move(message));
}

// Its rows and parameters would be misread.
bool session::differs_there(std::string_view name, std::uint32_t number) {
    if (!statements_.holds_told()) return false;
    const auto& both = statements_.get(name);
    if (!both.told) return false;
    const auto there = pool_->link->statements.description(number);
    return there && !same(there, both.told);
}

// Of a statement under the client's own name.
bool session::misreads(std::string_view name) const {
    return statements_.holds_told() && statements_.get(name).told == none_such();
}

void session::note_parameter_types(const protocol::frame& f) {
    if (owed_.empty() || owed_.front().what != reply::describe_statement) return;
    owed_.front().before.told = std::make_shared<const statement_description>(
        statement_description{std::string{f.body}, {}, {}});
}

// RowDescription or NoData, which end the answer to a Describe.
void session::on_described(const protocol::frame& f, actions& out) {
    if (owed_.empty()) return;
    auto& item = owed_.front();
    if (item.what != reply::describe_statement && item.what != reply::describe_portal) return;
    if (item.definition) {
        auto found = described_by(f);
        if (item.before.told) found.parameters = item.before.told->parameters;
        compare_description(item, std::move(found), out);
    }
    pop_owed();
}

void session::compare_description(const owed_reply& item, statement_description found,
                                  actions& out) {
    const auto& mine = statements_.get(item.name);
    auto* known = item.number != 0 && pool_ && pool_->link ? &pool_->link->statements : nullptr;
    description_ptr as = known ? known->description(item.number) : nullptr;
    // Those who were told the same share it.
    if (!as && mine.told && mine.told->agrees(found)) as = mine.told;
    if (!as || as->parameters != found.parameters || as->columns != found.columns)
        as = hashed(std::move(found));
    if (known) known->describe(item.number, as);
    if (mine.client != item.definition) return;
    if (!item.injected) {
        // What was sent behind it may change by what it is read next.
        const bool last =
            owed_.size() == 1 || (owed_.size() == 2 && owed_.at(1).what == reply::sync);
        const bool keeps = item.what == reply::describe_portal && mine.told;
        if (!keeps)
            statements_.tell(item.name, std::move(as),
                             pool_ && last ? read_by(*item.definition) : nullptr);
    } else if (mine.told && !same(mine.told, as)) {
        // What uses it is on its way already, or held back until now.
        for (std::size_t i = 1; i < owed_.size(); ++i)
            if (owed_.at(i).what == reply::bind && owed_.at(i).name == item.name)
                return fail("0A000", result_type_changed,
                            "a prepared statement changed its columns", out);
        if (item.number == 0) statements_.tell(item.name, none_such(), nullptr);
    }
}

// Some drivers (JDBC) ask for the description of a statement's first portal, and go by that later.
owed_reply session::portal_description() {
    owed_reply item{.what = reply::describe_portal, .fill = current_fill()};
    if (owed_.empty() || owed_.back().what != reply::bind || owed_.back().name.empty()) return item;
    const auto& both = statements_.get(owed_.back().name);
    if (both.told || !both.client) return item;
    item.name = owed_.back().name;
    item.definition = both.client;
    return item;
}

// And where the answer comes from the cache.
void session::note_columns(const unit& u) {
    if (!u.described || u.bind.statement.empty()) return;
    const auto& both = statements_.get(u.bind.statement);
    if (both.told || both.client != u.definition) return;
    protocol::frame f;
    std::error_code error;
    auto rest = u.entry->body();
    while (protocol::next(rest, f, error) == protocol::peek_result::ok && f.type != 'T')
        rest.remove_prefix(f.whole.size());
    if (f.type == 'T') statements_.tell(u.bind.statement, hashed(described_by(f)), nullptr);
}

// Answers for others who were told the same; who is described the portal is told of its columns.
std::string_view session::told_in_key(const unit& u) const {
    if (!statements_.holds_told()) return {};
    const auto& both = statements_.get(u.bind.statement);
    if (!both.told || both.client != u.definition) return {};
    if (u.described && both.told->parameters.size() <= sizeof(std::uint16_t)) return {};
    const auto& hash = both.told->hash;
    return {reinterpret_cast<const char*>(&hash), sizeof hash};
}

}  // namespace pgsidecar::core
