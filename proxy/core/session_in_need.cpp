// stale_if_error: what a session answers from the cache when no server connection can be had. A
// request waits for one as a whole, so nothing of it has been answered yet.
#include <algorithm>
#include <utility>

#include "protocol/frontend.h"
#include "proxy/core/answer_key.h"
#include "proxy/core/session_batch.h"

namespace pgsidecar::core {

using policy::reason;

// The request in front: how many bytes it was, or 0: it is refused.
std::size_t session::answer_in_need(const protocol::head& head, protocol::bytes in, time_point now,
                                    actions& out) {
    if (pool_->skipping || own_verdict() != reason::miss) return 0;
    stale_ = false;
    const auto where = scope_in_need();
    if (!where) return 0;
    if (head.type != 'Q') return answer_batch_in_need(in, where, now, out);
    if (in.size() < head.length) return 0;
    return answer_query_in_need(protocol::whole_frame(in, head), where, now, out);
}

// By what names meant when the server was there. Null: they may mean something else by now.
std::shared_ptr<const scope_text> session::scope_in_need() {
    if (const auto& usable = scope(); usable->catalog) return usable;
    auto before = database_->doubted_catalog();
    if (!before || unproven_) return nullptr;
    return services_.decide.scope(*database_, setting("search_path"), current_role(), temporary_,
                                  before);
}

std::size_t session::answer_query_in_need(const protocol::frame& f,
                                          const std::shared_ptr<const scope_text>& where,
                                          time_point now, actions& out) {
    protocol::query m;
    if (protocol::parse(f.body, m)) return 0;
    const auto text = text_of(m.sql);
    const auto planned = services_.decide.plan_for(*text, *database_, where);
    if (table_verdict(*planned) != reason::miss) return 0;
    auto& key = services_.key_buffer;
    build_key(key, context(), answer_shape::simple, text->sql, {}, {});
    auto entry = find_in_need(key, cache::hash_key(key), planned->read, now);
    if (!entry) return 0;
    pool_->refusal.clear();
    serve_query(text, *planned, std::move(entry), out);
    return f.whole.size();
}

std::size_t session::answer_batch_in_need(protocol::bytes in,
                                          const std::shared_ptr<const scope_text>& where,
                                          time_point now, actions& out) {
    batch b;
    if (!read_batch(in, b) || !b.complete || b.why != reason::miss) return 0;
    for (auto& u : b.units) {
        if (judge_unit(u, where) != reason::miss) return 0;
        u.entry = find_in_need(u.key, u.hash, u.planned->read, now);
        if (!u.entry) return 0;
    }
    pool_->refusal.clear();
    serve_or_refuse(b, out);
    return b.size;
}

cache::entry_ptr session::find_in_need(const std::string& key, const cache::hash128& hash,
                                       const planned_read& read, time_point now) {
    const auto most = read.stale_if_error;
    if (read.mode != policy::rule_mode::on || most.count() == 0) return nullptr;
    auto found = services_.store.find(key, hash, now, nullptr, {.serve = most});
    if (!found || !has_what_was_named(*found, read)) return nullptr;
    const auto fresh_until = std::min(found->expires(), database_->seen_until());
    return now < fresh_until + most ? std::move(found) : nullptr;
}

}  // namespace pgsidecar::core
