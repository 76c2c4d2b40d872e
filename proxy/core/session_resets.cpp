// What a RESET takes away at a shared server connection, and what of it comes back. The connection
// began without what is followed (config: followed_startup), so RESET returns to another value
// there than this session began with: that is set again before anything else of it runs.
#include <algorithm>
#include <utility>

#include "protocol/backend.h"
#include "proxy/core/session.h"

namespace pgsidecar::core {

// A RESET of before this one may have been undone by what cannot be followed.
void session::note_returned(std::uint32_t taints) {
    if (!pool_ || !pool_->link || std::exchange(pool_->returned_at, taints) == taints) return;
    const auto& told = *pool_->link->reported;
    settings_.forget_returned([&told](std::string_view name) { return !told.contains(name); });
}

// Is it at the server as RESET leaves it there? Of what is reported the value tells, too.
bool session::is_returned(const std::string& name) const {
    if (!settings_.has_returned(name)) return false;
    const auto& link = *pool_->link;
    const auto now = link.reported->find(name);
    const auto then = link.began->find(name);
    return now == link.reported->end() || then == link.began->end() || now->second == then->second;
}

// A report from the connection in use. True: it is not for the client. RESET has brought back what
// the connection began with, which is not what this session began with: of that the client is told.
bool session::keeps_back(const protocol::parameter_status& m, actions& out) {
    const auto known = pool_->link->reported->find(m.name);
    const auto before = known == pool_->link->reported->end() ? std::string{} : known->second;
    pool_->link->report(m.name, m.value);
    const auto* value = settings_.at_start(m.name);
    if (!value || settings_.changed().contains(m.name) || m.value == *value) return false;
    const auto& followed = services_.options.followed_startup;
    if (std::ranges::find(followed, m.name) == followed.end()) return false;
    if (!follows_all() && !is_returned(std::string{m.name})) return false;
    pool_->kept_back = true;
    if (before != *value) {
        std::string message;
        protocol::write(message, protocol::parameter_status{m.name, *value});
        out.client.own(std::move(message));
    }
    return true;
}

// What is set at the connection now. RESET returns to what the connection began with, which lacks
// what is followed; but it may have been the RESET of something else, or rolled back. So that is
// set anew: no value is equal to this one. Where something ran that cannot be followed, what it may
// have set stays as it is but for what a RESET has surely taken away.
void session::note_resets() {
    refresh_wanted();
    pool_->link->settings = pool_->wanted;
    if (!std::exchange(pool_->resets, false)) return;
    auto values = own_settings();
    note_returned(taints_);
    for (const auto& name : services_.options.followed_startup)
        if (const auto* value = settings_.at_start(name)) {
            const bool gone = follows_all() || is_returned(name);
            values.try_emplace(name, gone ? std::string(1, '\0') : *value);
        }
    settings_.forget_returned([](std::string_view) { return true; });
    pool_->link->settings = services_.decide.intern_values(std::move(values));
}

// RESET is on its way, and returns to what the connection began with. What this session began with
// is set there again before anything else of it runs.
bool session::reset_matters() const {
    if (status_ != 'I' || owed_.empty() || unholdable_ || skipping_) return false;
    return std::ranges::any_of(services_.options.followed_startup, [this](const auto& name) {
        return setting_matters(name) && settings_.at_start(name);
    });
}

// A connection that stays gets back what a RESET has taken away.
void session::restore_kept(actions& out) {
    if (waiting_ != wait::none || !pool_->resets) return;
    note_resets();
    pool_->kept_back = pool_->restore_failed = false;
    send_restore(pool_->link->idle_since, out);
    if (pool_->restoring > 0) waiting_ = wait::server;
}

}  // namespace pgsidecar::core
