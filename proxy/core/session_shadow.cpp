// A rule with mode: shadow. Its statements are answered by the server, and the answers kept, as on
// any miss; but what would have been served is held beside them, and compared byte for byte. They
// follow no other session's miss: each asks for itself, so that each is a comparison.
#include <utility>

#include "proxy/core/answer_key.h"
#include "proxy/core/session.h"

namespace pgsidecar::core {

session::verdict session::shadow_query(const std::shared_ptr<const statement_text>& text,
                                       const plan& planned, time_point now, actions& out) {
    if (lacks_server(now, out)) return verdict::hold;
    settle_lead(false, out);
    auto& key = services_.key_buffer;
    build_key(key, context(), answer_shape::simple, text->sql, {}, {});
    const auto hash = cache::hash_key(key);
    prepare_fill(key, hash, planned.read, now);
    compare_fill(find_entry(key, hash, planned.read, now), text, planned);
    next_fill_ = 0;
    batch_reason_ = policy::reason::shadow;
    return verdict::forward;
}

// The last fill is of an answer that `found` would have given. It has to hold at the versions that
// the fill has taken, for these are what is looked at when the answer has come.
void session::compare_fill(cache::entry_ptr found,
                           const std::shared_ptr<const statement_text>& text, const plan& planned) {
    if (planned.read.mode != policy::rule_mode::shadow || !found || !found->current()) return;
    fills_->each.back().shadow = std::make_unique<const shadow_answer>(
        shadow_answer{std::move(found), planned.type_of(0), text});
}

}  // namespace pgsidecar::core
