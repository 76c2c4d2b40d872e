// A miss that asks the tier which several processes share, before it goes to the server, and what a
// fill gives to it afterwards.
//
//     miss, first in its flight --asked--> wait::tier --answer, or its time is up--> looked up
//     again
//
// What has come is put into the store and then found there in the ordinary way, so that limits,
// batches and those who wait in the flight know of no second kind of hit. The versions were
// observed before the tier was asked: a write in between makes the entry one that cannot be stored.
#include <algorithm>
#include <utility>

#include "proxy/core/session.h"
#include "proxy/core/session_batch.h"
#include "proxy/core/tier_guard.h"

namespace pgsidecar::core {
namespace {

// Of a batch. One that lacks more goes to the server at once.
constexpr std::size_t most_keys = 16;

// A write that is under way or of unknown outcome: what the tier has may be of before it. In the
// direction in which a write lives, see versions.h.
bool settled(const cache::table_state* table) {
    return table->commits_in_flight.load(std::memory_order_acquire) == 0 &&
           table->unsettled.load(std::memory_order_acquire) == 0;
}

}  // namespace

// False also for a session that is like no other: its mark is a number of this process, and another
// process has the same numbers.
bool session::shares_with_tier() const {
    if (!services_.tier || !services_.tier->available() || !scope_->catalog) return false;
    return std::ranges::none_of(
        settings_.touched(), [](const std::string& name) { return name.starts_with(taint_mark); });
}

// False: nothing about it may come from there now.
bool session::add_to_question(tier_wait& question, const std::string& key,
                              const cache::hash128& hash, const planned_read& read) {
    tier_wait::part p{.key = key, .hash = hash, .dependencies = {}, .ttl = read.ttl};
    if (!std::ranges::all_of(read.tables, settled)) return false;
    p.dependencies = observe(read);
    auto& guard = *services_.tier;
    p.claim = {.versions = cache::version_stamp(p.dependencies),
               .catalog = scope_->catalog->fingerprint(),
               .changed = guard.changed(p.dependencies, *database_)};
    if (guard.wants_proof()) {
        const auto least = guard.least_place(p.dependencies, *database_);
        if (!least) return false;
        p.claim.least = *least;
    }
    // As for a fill: the list of tables holds for that catalog alone.
    if (database_->epoch() != scope_epoch_) return false;
    question.parts.push_back(std::move(p));
    return true;
}

bool session::asks_tier(const std::string& key, const cache::hash128& hash,
                        const planned_read& read, time_point now, actions& out) {
    if (!shares_with_tier()) return false;
    if (tier_ && tier_->answered && tier_->parts.front().key == key) return false;
    auto question = std::make_unique<tier_wait>();
    return add_to_question(*question, key, hash, read) && ask(std::move(question), now, out);
}

// For all that it lacks at once, and only once: with a part of them the server has to be asked
// anyway.
bool session::asks_tier(const batch& b, time_point now, actions& out) {
    if (!shares_with_tier() || (tier_ && tier_->answered)) return false;
    auto question = std::make_unique<tier_wait>();
    for (const auto& u : b.units) {
        if (u.entry) continue;
        if (question->parts.size() == most_keys) return false;
        if (!add_to_question(*question, u.key, u.hash, u.planned->read)) return false;
    }
    return ask(std::move(question), now, out);
}

bool session::ask(std::unique_ptr<tier_wait> question, time_point now, actions& out) {
    tier_ = std::move(question);
    tier_->number = ++waits_;
    tier_->due = now + services_.options.tier_timeout;
    waiting_ = wait::tier;
    tier_question asked{.number = tier_->number, .keys = {}, .due = tier_->due};
    for (const auto& p : tier_->parts) asked.keys.push_back({p.key, p.hash});
    out.for_tier().question = std::move(asked);
    return true;
}

void session::on_tier_answer(std::uint64_t number, tier_finds found, time_point now, actions& out) {
    if (waiting_ != wait::tier || tier_->number != number) return;
    waiting_ = wait::none;
    tier_->answered = true;
    out.resume_client = true;
    for (std::size_t i = 0; i < std::min(found.size(), tier_->parts.size()); ++i) {
        if (!found[i]) continue;
        auto& work = out.for_tier();
        ++(take_in(tier_->parts[i], *found[i], now) ? work.used : work.refused);
    }
}

bool session::take_in(const tier_wait::part& asked, const tier_find& found, time_point now) {
    if (!services_.tier->may_serve(found, asked.claim)) return false;
    const auto expires = found.asked + std::min(found.ttl, asked.ttl) - found.age;
    if (expires <= now) return false;
    auto entry =
        cache::make_entry(asked.key, found.body(), asked.dependencies, expires, found.rows);
    return services_.store.insert(std::move(entry), asked.hash, now);
}

// The time that a miss may wait for it is over.
void session::give_up_tier(actions& out) {
    waiting_ = wait::none;
    tier_->answered = true;
    out.resume_client = true;
    ++out.for_tier().late;
}

void session::offer(const fill& f, cache::entry_ptr entry, actions& out) {
    if (services_.tier->wants_proof() && f.wal.history == 0) return;  // nobody could serve it
    std::shared_ptr<const std::string> whose;
    if (limits_) whose = {limits_->shared_tenant(), &limits_->tenant().name};
    out.for_tier().offers.push_back({.entry = std::move(entry),
                                     .hash = f.hash,
                                     .tenant = std::move(whose),
                                     .versions = cache::version_stamp(f.dependencies),
                                     .catalog = *f.catalog,
                                     .wal = f.wal,
                                     .ttl = f.ttl,
                                     .began = f.began});
}

}  // namespace pgsidecar::core
