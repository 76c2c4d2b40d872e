// A transaction block that could not begin: no place at the gate in time, no server connection. A
// client that sends its first statement in the same breath, as Npgsql does, would have that run and
// commit alone. So no BEGIN is refused: the client is told that its block has begun, and the
// refusal in the place of the first statement. The block has failed then, and ends as a failed one
// does. No server knows of it.
//
//     begun --any statement: the refusal--> failed --COMMIT, ROLLBACK--> (over)
//     begun --COMMIT, ROLLBACK--> (over)
//
// https://www.postgresql.org/docs/15/protocol-flow.html: "Pipelining", "Multiple Statements".
#include <algorithm>
#include <utility>

#include "protocol/ascii.h"
#include "protocol/backend.h"
#include "protocol/frontend.h"
#include "proxy/core/session.h"

namespace pgsidecar::core {
namespace {

using policy::statement_kind;

bool ends_block(statement_kind kind) {
    return kind == statement_kind::commit || kind == statement_kind::rollback ||
           kind == statement_kind::prepare_transaction;
}

const policy::statement_facts* only_statement(const statement_text& text) {
    const auto& all = text.facts().statements;
    return text.facts().parsed && all.size() == 1 ? &all.front() : nullptr;
}

// "BEGIN" and "START TRANSACTION" are one kind and have two tags.
std::string_view tag_of_begin(std::string_view sql) {
    constexpr std::string_view start = "START";
    const auto at = std::min(sql.size(), sql.find_first_not_of(" \t\r\n"));
    return protocol::same_in_any_case(sql.substr(at, start.size()), start) ? "START TRANSACTION"
                                                                           : "BEGIN";
}

}  // namespace

// Would the server be in a block after it?
bool session::begins_block(const statement_text& text, bool before) {
    for (const auto& s : text.facts().statements) {
        if (s.kind == statement_kind::begin) before = true;
        if (ends_block(s.kind)) before = false;
    }
    return before;
}

// The request that was refused begins a block: `reply` holds the error, and what the client gets.
// `begin`: its text, when it does nothing else.
void session::refuse_block(std::string& reply, const statement_text* begin) {
    refused_ = std::make_unique<refused_block>();
    // What the client sends meanwhile takes the unnamed statement's place, and the server has not
    // seen it.
    statements_.set_client("", nullptr);
    portals_.drop_unnamed();
    if (!begin) return;
    refused_->error = std::exchange(reply, {});
    protocol::write(reply, protocol::command_complete{tag_of_begin(begin->sql)});
}

std::size_t session::on_refused_block(const protocol::head& head, protocol::bytes in,
                                      actions& out) {
    if (in.size() < front_of(head)) return 0;
    auto& block = *refused_;
    std::string reply;
    if (head.type == 'Q' || head.type == 'F') {
        protocol::query m;
        const bool read = head.type == 'Q' && in.size() >= head.length &&
                          !protocol::parse(protocol::whole_frame(in, head).body, m);
        if (read) {
            const auto text = text_of(m.sql);
            const auto* only = only_statement(*text);
            if (only && ends_block(only->kind) &&
                !(block.begun() && only->kind == statement_kind::prepare_transaction))
                return end_refused_block(*only, true, head, in, out);
            if (text->facts().parsed &&
                (only ? only->kind == statement_kind::empty : text->facts().statements.empty())) {
                protocol::write(reply, protocol::empty_query_response{});
                protocol::write_ready(reply, block.status());
                out.client.own(std::move(reply));
                consumed(out);
                return head.length;
            }
        }
        fail_in_refused_block(reply, out);
        protocol::write_ready(reply, block.status());
        out.client.own(std::move(reply));
        consumed(out);
        return discard(head, in);
    }
    if (head.type == 'S') {
        block.skipping = false;
        block.end.reset();
        protocol::write_ready(reply, block.status());
        out.client.own(std::move(reply));
        consumed(out);
        return head.length;
    }
    const bool asks = head.type == 'P' || head.type == 'B' || head.type == 'D' ||
                      head.type == 'E' || head.type == 'C';
    if (!asks || block.skipping) return discard(head, in);  // CopyData of no COPY, Flush
    if (in.size() >= head.length) {
        const auto f = protocol::whole_frame(in, head);
        if (head.type == 'E' && block.end)
            return end_refused_block(*block.end, false, head, in, out);
        if (answer_in_refused_block(f, reply)) {
            out.client.own(std::move(reply));
            return head.length;
        }
    }
    fail_in_refused_block(reply, out);
    out.client.own(std::move(reply));
    block.skipping = true;
    return discard(head, in);
}

// COMMIT and ROLLBACK by the extended protocol, unnamed or prepared before. False: it is none.
bool session::answer_in_refused_block(const protocol::frame& f, std::string& reply) {
    auto& block = *refused_;
    switch (f.type) {
        case 'P': {
            protocol::parse_message m;
            if (protocol::parse(f.body, m) || !m.name.empty()) return false;
            const auto text = text_of(m.sql);
            const auto* only = only_statement(*text);
            if (!only || !ends_block(only->kind)) return false;
            block.parsed = *only;
            protocol::write(reply, protocol::parse_complete{});
            return true;
        }
        case 'B': {
            protocol::bind m;
            if (protocol::parse(f.body, m) || !m.portal.empty()) return false;
            block.end = m.statement.empty() ? block.parsed : std::nullopt;
            if (const auto known =
                    m.statement.empty() ? nullptr : statements_.client(m.statement)) {
                const auto* only = only_statement(*known->text);
                if (only && ends_block(only->kind)) block.end = *only;
            }
            if (!block.end) return false;
            protocol::write(reply, protocol::bind_complete{});
            return true;
        }
        case 'D': {
            protocol::describe m;
            if (protocol::parse(f.body, m) || !m.name.empty()) return false;
            if (m.kind == 'S' ? !block.parsed : !block.end) return false;
            if (m.kind == 'S') protocol::write_parameter_description(reply, {});
            protocol::write(reply, protocol::no_data{});
            return true;
        }
        case 'C': {
            protocol::close m;
            // Closing a named statement is for the server.
            if (protocol::parse(f.body, m) || !m.name.empty()) return false;
            protocol::write(reply, protocol::close_complete{});
            return true;
        }
        default:
            return false;
    }
}

void session::fail_in_refused_block(std::string& reply, actions& out) {
    auto& block = *refused_;
    if (block.begun()) {
        reply += std::exchange(block.error, {});
    } else {
        protocol::write_error(
            reply, "ERROR", "25P02",
            "current transaction is aborted, commands ignored until end of transaction block");
    }
    out.outcomes.push_back(policy::reason::limited);
}

// `whole`: a simple query, which is answered with ReadyForQuery; else that is the Sync's.
std::size_t session::end_refused_block(const policy::statement_facts& end, bool whole,
                                       const protocol::head& head, protocol::bytes in,
                                       actions& out) {
    const bool commits = end.kind == statement_kind::commit && refused_->begun();
    std::string reply;
    protocol::write(reply, protocol::command_complete{commits ? "COMMIT" : "ROLLBACK"});
    if (whole) protocol::write_ready(reply, 'I');
    out.outcomes.push_back(policy::reason::not_a_select);
    refused_.reset();
    out.client.own(std::move(reply));
    if (whole) consumed(out);
    return discard(head, in);
}

}  // namespace pgsidecar::core
