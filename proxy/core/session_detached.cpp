// What a session without a server connection answers by itself (pool_mode: transaction), and what
// becomes of a request for which there is none.
#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "protocol/ascii.h"
#include "protocol/backend.h"
#include "protocol/frontend.h"
#include "proxy/core/answer_key.h"
#include "proxy/core/session.h"

namespace pgsidecar::core {
namespace {

using policy::statement_kind;

// The message, with the severity that leaves the client connected.
std::string as_error(std::string_view message, std::string_view severity) {
    protocol::error_response m;
    std::string out;
    if (message.size() <= protocol::head_size ||
        protocol::parse(message.substr(protocol::head_size), m)) {
        protocol::write_error(out, severity, "08006", "no server connection could be had");
        return out;
    }
    protocol::write_error(out, severity, m.sqlstate().empty() ? "08006" : m.sqlstate(), m.message(),
                          m.detail(), m.hint());
    return out;
}

// Not one that refuses this user, this database or these parameters. PostgreSQL's appendix A:
// connection exceptions, insufficient resources, admin_shutdown, crash_shutdown,
// cannot_connect_now.
bool is_for_want_of_a_server(std::string_view message) {
    protocol::error_response m;
    if (protocol::parse(message.substr(protocol::head_size), m)) return false;
    const auto code = m.sqlstate();
    return code.starts_with("08") || code.starts_with("53") || code == "57P01" || code == "57P02" ||
           code == "57P03";
}

// What drivers' pools send before a connection is used again, a statement each. A session that
// keeps nothing at a server connection has nothing there that they would end.
struct reset {
    std::string_view sql;
    std::string_view tag;
};
constexpr std::array resets{reset{"SET SESSION AUTHORIZATION DEFAULT", "SET"},
                            reset{"RESET ALL", "RESET"},
                            reset{"CLOSE ALL", "CLOSE CURSOR ALL"},
                            reset{"UNLISTEN *", "UNLISTEN"},
                            reset{"SELECT pg_advisory_unlock_all()", "SELECT 1"},
                            reset{"DISCARD SEQUENCES", "DISCARD SEQUENCES"},
                            reset{"DISCARD TEMP", "DISCARD TEMP"}};

// As the server answers a text of nothing else; nothing: there is something else in it.
std::optional<std::string> answer_to_resets(std::string_view sql) {
    constexpr std::string_view blanks = " \t\r\n";
    constexpr std::uint32_t void_oid = 2278;
    std::string out;
    while (!sql.empty()) {
        auto one = sql.substr(0, sql.find(';'));
        sql.remove_prefix(std::min(sql.size(), one.size() + 1));
        one.remove_prefix(std::min(one.size(), one.find_first_not_of(blanks)));
        one = one.substr(0, one.find_last_not_of(blanks) + 1);
        if (one.empty()) continue;
        const auto found = std::ranges::find_if(
            resets, [&](const reset& r) { return protocol::same_in_any_case(r.sql, one); });
        if (found == resets.end()) return std::nullopt;
        if (found->tag == "SELECT 1") {
            const std::array columns{protocol::column{.name = "pg_advisory_unlock_all",
                                                      .type_oid = void_oid,
                                                      .type_size = 4,
                                                      .type_modifier = -1}};
            const std::array<std::optional<protocol::bytes>, 1> empty{""};
            protocol::write_row_description(out, columns);
            protocol::write_data_row(out, empty);
        }
        protocol::write(out, protocol::command_complete{found->tag});
    }
    if (out.empty()) return std::nullopt;
    return out;
}

}  // namespace

// None could be had. The request in front is refused; without one it is the log-in that fails.
void session::on_no_server(std::string_view error, actions& out) {
    if (waiting_ != wait::server || state_ == state::closed) return;
    if (pool_->greeting) return end_with(as_error(error, "FATAL"), "no server connection", out);
    auto refusal = as_error(error, "ERROR");
    const bool none = is_for_want_of_a_server(refusal);
    refuse_waiting(std::move(refusal), out);
    pool_->in_need = none;
}

// It waits for a server connection no more.
void session::refuse_waiting(std::string error, actions& out) {
    auto& p = *pool_;
    p.refusal = std::move(error);
    p.wait_ends = limiter::never;
    waiting_ = wait::none;
    leave_flight(out);
    if (p.link) {
        drop_half_restored(out);
    } else {
        out.forget_server = true;
    }
    out.resume_client = true;
}

// query_wait_timeout
void session::end_server_wait(actions& out) {
    const auto most = std::to_string(services_.options.query_wait_timeout.count());
    std::string error;
    protocol::write_error(
        error, pool_->greeting ? "FATAL" : "ERROR", "55P03",
        "no server connection became free in time",
        (limits_ ? "Tenant \"" + limits_->tenant().name + "\", user \"" : "User \"") + *user_ +
            "\": query_wait_timeout is " + most + " ms.",
        "Try again. Retry after " + most + " ms.");
    if (pool_->greeting) return end_with(std::move(error), "query_wait_timeout", out);
    refuse_waiting(std::move(error), out);
    pool_->in_need = true;
}

// What a detached session answers by itself. 0: nothing yet, or the usual way.
std::size_t session::on_detached(const protocol::head& head, protocol::bytes in, time_point now,
                                 actions& out) {
    if (head.type == 'X') return 0;
    if (pool_->in_need) {
        const auto used = answer_in_need(head, in, now, out);
        pool_->in_need = false;
        if (used > 0) return used;
    }
    if (!pool_->refusal.empty() || pool_->skipping) return refuse_detached(head, in, out);
    switch (head.type) {
        case 'S':
            if (head.length != protocol::head_size) return 0;
            out.client.literal(ready_idle);
            consumed(out);
            return head.length;
        case 'H':  // nothing is under way
        case 'd':  // no COPY is
        case 'c':
        case 'f':
            return discard(head, in);
        default:
            return 0;
    }
}

std::size_t session::refuse_detached(const protocol::head& head, protocol::bytes in, actions& out) {
    const bool whole = head.type == 'Q' || head.type == 'F';
    const auto text = in.size() >= head.length ? text_in(protocol::whole_frame(in, head)) : nullptr;
    if (text) pool_->begins = begins_block(*text, pool_->begins);
    if (!pool_->refusal.empty()) {
        auto reply = std::exchange(pool_->refusal, {});
        out.outcomes.push_back(policy::reason::limited);
        settle_lead(false, out);
        pool_->skipping = !whole;
        const bool alone = whole && text && text->facts().statements.size() == 1;
        if (whole && pool_->begins) refuse_block(reply, alone ? text.get() : nullptr);
        out.client.own(std::move(reply));
    }
    if (head.type == 'S' && pool_->begins) {
        std::string none;
        refuse_block(none, nullptr);
    }
    if (whole || head.type == 'S') {
        pool_->skipping = pool_->begins = false;
        std::string ready;
        protocol::write_ready(ready, refused_ ? refused_->status() : 'I');
        out.client.own(std::move(ready));
        consumed(out);
    }
    return discard(head, in);
}

// What a Query, a Parse or a Bind would run, if that can be told.
std::shared_ptr<const statement_text> session::text_in(const protocol::frame& f) {
    protocol::query query;
    protocol::parse_message parse;
    protocol::bind bind;
    if (f.type == 'Q' && !protocol::parse(f.body, query)) return text_of(query.sql);
    if (f.type == 'P' && !protocol::parse(f.body, parse)) return text_of(parse.sql);
    if (f.type != 'B' || protocol::parse(f.body, bind) || bind.statement.empty()) return nullptr;
    const auto known = statements_.client(bind.statement);
    return known ? known->text : nullptr;
}

// Would a reset change what the server reports of this session: its settings, or who it works as?
bool session::reset_is_reported() const {
    if (current_role() != *user_) return true;
    return std::ranges::any_of(settings_.changed(), [&](const auto& item) {
        if (session_settings::names_a_role(item.first)) return false;
        return pool_->told && std::ranges::any_of(*pool_->told, [&](const auto& told) {
                   return protocol::same_in_any_case(told.first, item.first);
               });
    });
}

// A pool's reset, other than DISCARD ALL. True: `reply` has the answers to all of it.
bool session::reset_here(const statement_text& text, std::string& reply) {
    // Another function of that name could come before pg_catalog's.
    if (!login_ || setting("search_path").find("pg_catalog") != std::string_view::npos)
        return false;
    auto answers = answer_to_resets(text.sql);
    if (!answers || reset_is_reported()) return false;
    reply = std::move(*answers);
    settings_.begin();
    for (const auto& s : text.facts().statements)
        for (const auto& change : s.settings) settings_.apply(change);
    settings_.commit();
    return true;
}

// Simple queries that need no server while nothing of this session is at one.
bool session::answer_here(const std::shared_ptr<const statement_text>& text, actions& out) {
    const auto& facts = text->facts();
    if (!facts.parsed) return false;
    const auto* only = facts.statements.size() == 1 ? &facts.statements.front() : nullptr;
    std::string reply;
    if (facts.statements.empty() || (only && only->kind == statement_kind::empty)) {
        protocol::write(reply, protocol::empty_query_response{});
    } else if (only && only->kind == statement_kind::discard_all) {
        if (reset_is_reported()) return false;
        protocol::write(reply, protocol::command_complete{"DISCARD ALL"});
        settings_.discard_all();
        (void)statements_.drop("");
    } else if (only && only->kind == statement_kind::deallocate) {
        if (only->name.empty()) {
            protocol::write(reply, protocol::command_complete{"DEALLOCATE ALL"});
            (void)statements_.drop("");
        } else if (statements_.client(only->name)) {
            protocol::write(reply, protocol::command_complete{"DEALLOCATE"});
            (void)statements_.drop(only->name);
        } else {
            protocol::write_error(reply, "ERROR", "26000",
                                  "prepared statement \"" + only->name + "\" does not exist");
        }
    } else if (!reset_here(*text, reply)) {
        return false;
    }
    statements_.set_client("", nullptr);
    portals_.drop_unnamed();
    protocol::write_ready(reply, 'I');
    out.client.own(std::move(reply));
    const auto count = std::max<std::size_t>(1, facts.statements.size());
    out.outcomes.insert(
        out.outcomes.end(), count,
        count > 1 ? policy::reason::multiple_statements : policy::reason::not_a_select);
    if (measures())
        for (std::size_t i = 0; i < facts.statements.size(); ++i)
            measure_here(text, *plan_of(*text), nullptr, out, i);
    consumed(out);
    return true;
}

}  // namespace pgsidecar::core
