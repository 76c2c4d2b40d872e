// What a session does when it is told to behave otherwise while it is under way: by a reload, by
// the master switch, by a hand-over. Off is at once: what is held or waits goes on to the server.
// On is from the next request that begins while the session is idle, for limits and measuring; and
// for the cache as soon as session_verdict() says so, since the session has been followed all
// along.
#include <utility>

#include "proxy/core/session.h"

namespace pgsidecar::core {

void session::on_switched(actions& out) {
    scope_.reset();   // with the plans of the rules before
    hold_until_ = 0;  // what is held is to be judged again
    if (state_ != state::ready || transparent_) return;
    if (!caching()) stop_caching(out);
    if (limits_ && limits_->in_force() && !services_.tenants->active()) lift_limits(out);
    if (limits_ && !measures()) limits_->forget_time();
    out.resume_client = true;
}

// Nothing that is under way is kept, and nobody waits for it or for anything else of the cache.
void session::stop_caching(actions& out) {
    spoil_fill();
    free_followers(out);
    if (waiting_ == wait::flight || waiting_ == wait::tier)
        leave_flight(out);
    else
        settle_lead(false, out);
    // Limits and restores that wait for the same will do so again.
    if (waiting_ == wait::drain) waiting_ = wait::none;
}

void session::lift_limits(actions& out) {
    limits_->lift();
    if (waiting_ == wait::gate) leave_gate(out);
    batch_rows_ = block_rows_ = false;
    if (waiting_ == wait::rows) waiting_ = wait::none;
}

// Who the tenant is matters to somebody.
bool session::wants_tenant() const noexcept {
    const auto* all = services_.tenants;
    return all && (all->active() || services_.options.measures || services_.options.rollout);
}

// The request in front is the first to which other limits may apply: of those before it nothing is
// under way that has been counted or promised by the old ones.
void session::renew_limits(time_point now) {
    if (limits_)
        limits_->adopt(now);
    else
        begin_limits(now);
}

}  // namespace pgsidecar::core
