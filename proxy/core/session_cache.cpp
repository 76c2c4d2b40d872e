// What may be looked up, look-ups of simple queries, and fills.
#include <algorithm>
#include <utility>

#include "policy/rollout.h"
#include "protocol/backend.h"
#include "proxy/core/answer_key.h"
#include "proxy/core/session.h"

namespace pgsidecar::core {
namespace {

using policy::reason;

}  // namespace

reason session::session_verdict() {
    const auto why = own_verdict();
    return why == reason::miss && !scope()->catalog ? scope()->lack() : why;
}

// Whatever is known of the database.
reason session::own_verdict() {
    if (!caching()) return transparent_ ? reason::replication : reason::disabled;
    if (status_ != 'I') return reason::in_transaction;
    // Messages of a batch whose Sync has not come: the server is in its implicit transaction (or
    // skips all until then), answered or not.
    if (unholdable_) return reason::unusual_batch;
    if (!owed_.empty()) return reason::pipeline_busy;
    (void)scope();  // what the log-in gives, as of now
    if (untracked_ || taints_ != clean_taints_) return reason::tainted_session;
    if (setting("default_transaction_isolation") == "serializable") return reason::serializable;
    return reason::miss;
}

reason session::verdict_at(time_point now) {
    const auto why = session_verdict();
    return why == reason::miss && !database_->trusted(now) ? reason::invalidation_lost : why;
}

reason session::table_verdict(const plan& planned) {
    const auto& read = planned.read;
    if (read.why != reason::miss) return read.why;
    // Who the tenant is may not be known yet: then its part is not known either.
    if (read.rollout_percent < 100 &&
        !(limits_ &&
          policy::in_rollout(limits_->tenant().name, *planned.type_of(0), read.rollout_percent)))
        return reason::rollout;
    const auto is_unsettled = [](const cache::table_state* t) { return t->unsettled.load() > 0; };
    if (std::any_of(read.tables.begin(), read.tables.end(), is_unsettled))
        return reason::unsettled_write;
    if (!saw_writes_) return reason::miss;
    if (database_->writers.load() == 0) {
        saw_writes_ = false;
        return reason::miss;
    }
    // This session may have read the new rows from the server already: an entry that is older than
    // the commit under way would take it a step back.
    const auto in_flight = [](const cache::table_state* t) {
        return t->commits_in_flight.load() > 0;
    };
    return std::any_of(read.tables.begin(), read.tables.end(), in_flight) ? reason::write_in_flight
                                                                          : reason::miss;
}

session::verdict session::look_up_query(const std::shared_ptr<const statement_text>& text,
                                        time_point now, actions& out) {
    if (std::exchange(cancelled_, false)) {
        refuse_cancelled(out);
        return verdict::served;
    }
    stale_ = false;
    const auto& facts = text->facts();
    const bool candidate = facts.parsed && facts.statements.size() == 1 &&
                           facts.statements.front().kind == policy::statement_kind::select;
    if (!candidate || !caching()) return verdict::forward;
    auto why = verdict_at(now);
    if (why == reason::pipeline_busy && must_drain()) return hold_until_drained();
    if (why == reason::miss || why == reason::pipeline_busy) {
        const auto planned = services_.decide.plan_for(*text, *database_, scope());
        if (const auto of_tables = table_verdict(*planned); of_tables != reason::miss) {
            why = of_tables;
        } else if (planned->read.mode == policy::rule_mode::shadow) {
            if (why == reason::miss) return shadow_query(text, *planned, now, out);
            why = reason::shadow;
        } else {
            auto& key = services_.key_buffer;
            build_key(key, context(), answer_shape::simple, text->sql, {}, {});
            const auto hash = cache::hash_key(key);
            auto entry = find_entry(key, hash, planned->read, now);
            if (why == reason::pipeline_busy) {
                if (entry && owed_others_ == 0) return hold_until_drained();
            } else if (entry) {
                serve_query(text, *planned, std::move(entry), out);
                return verdict::served;
            } else {
                return begin_fill(key, hash, planned->read, now, out);
            }
        }
    }
    settle_lead(false, out);
    batch_reason_ = why;
    return verdict::forward;
}

void session::serve_query(const std::shared_ptr<const statement_text>& text, const plan& planned,
                          cache::entry_ptr entry, actions& out) {
    if (too_large_for_tenant(*entry, out)) return refuse_here(out);
    statements_.set_client("", nullptr);
    portals_.drop_unnamed();
    measure_here(text, planned, entry.get(), out);
    out.client.answer(std::move(entry));
    out.client.literal(ready_idle);
    count_hit(1, out);
    settle_lead(true, out);
    consumed(out);
}

void session::count_hit(std::size_t units, actions& out) {
    out.outcomes.insert(out.outcomes.end(), units, how_served());
    waited_ = stale_ = false;
}

reason session::how_served() const noexcept {
    if (pool_ && pool_->in_need) return reason::stale_if_error;
    if (stale_) return reason::stale;
    return waited_ ? reason::coalesced : reason::hit;
}

// What INVALIDATE may have named that is no table: the rule and the tenant; null: neither has been.
std::array<const cache::table_state*, 2> session::named_states(const planned_read& read) {
    const auto& all = database_->versions();
    return {read.rule_state, limits_ ? limits_->tenant_state(all) : &all.any_tenant()};
}

// Before whatever it is for is asked: a state that is named meanwhile is not in it, and that is how
// find_entry() sees that the entry is older.
std::vector<cache::dependency> session::observe(const planned_read& read) {
    std::vector<cache::dependency> out;
    out.reserve(read.tables.size() + 2);
    for (const auto* table : read.tables) out.push_back(cache::observe(*table));
    for (const auto* named : named_states(read)) {
        if (!named) continue;
        const auto now = cache::observe(*named);
        if (now.version != cache::table_state::first_version) out.push_back(now);
    }
    return out;
}

// Null also for an entry that has_what_was_named() refuses.
cache::entry_ptr session::find_entry(const std::string& key, const cache::hash128& hash,
                                     const planned_read& read, time_point now) {
    cache::lookup why{};
    cache::store::grace grace;
    if (read.mode == policy::rule_mode::on)
        grace = {.serve = read.stale_while_revalidate, .keep = read.stale_if_error};
    auto found = services_.store.find(key, hash, now, &why, grace);
    if (!found) return found;
    // Whoever is to ask for all, and whoever has been told to ask for himself, does.
    if (why == cache::lookup::stale &&
        (leads_next_ || go_upstream_ || !services_.flights.under_way(key, hash)))
        return nullptr;
    if (!has_what_was_named(*found, read)) return nullptr;
    stale_ = stale_ || why == cache::lookup::stale;
    return found;
}

// Not of an entry that is older than an INVALIDATE of the rule or the tenant which ask: it may have
// been made by another rule or for another tenant, whose texts and settings were the same.
bool session::has_what_was_named(const cache::entry& found, const planned_read& read) {
    return std::ranges::all_of(named_states(read), [&found](const auto* named) {
        return !named || cache::observe(*named).version == cache::table_state::first_version ||
               std::ranges::find(found.tables(), named) != found.tables().end();
    });
}

// Statements that change settings alone are quick, and what follows them cannot be looked up before
// they have taken effect: a pool's reset, then the first query.
bool session::must_drain() const noexcept { return owed_settings_ > 0 && owed_others_ == 0; }

session::verdict session::hold_until_drained() {
    waiting_ = wait::drain;
    return verdict::hold;
}

session::verdict session::begin_fill(const std::string& key, const cache::hash128& hash,
                                     const planned_read& read, time_point now, actions& out) {
    bool leads = false;
    if (leads_next_ && flight_ && flight_->key != key) settle_lead(false, out);
    if (!leads_next_ && services_.options.single_flight && !go_upstream_) {
        wait_token_ = token_ + (++waits_ & 0xfffffU);
        flight_ = std::make_unique<fill>();
        flight_->key = key;
        flight_->hash = hash;
        if (services_.flights.join(key, hash, wait_token_) == cache::flights::role::leader) {
            leads_next_ = true;
        } else if (pool_ && pool_->link) {
            // Who leads may be waiting for the very connection that this session keeps.
            leave_flight(out);
        } else {
            waiting_ = wait::flight;
            waited_ = true;
            return verdict::hold;
        }
    }
    const bool first = leads_next_ || !services_.options.single_flight;
    if (first && !go_upstream_ && asks_tier(key, hash, read, now, out)) return verdict::hold;
    if (lacks_server(now, out)) return verdict::hold;
    if (leads_next_) {
        leads = true;
        leads_next_ = false;
        flight_.reset();
    }
    tier_.reset();
    go_upstream_ = false;
    waited_ = false;
    prepare_fill(key, hash, read, now);
    fills_->leads = leads;
    next_fill_ = 0;
    return verdict::forward;
}

void session::prepare_fill(const std::string& key, const cache::hash128& hash,
                           const planned_read& read, time_point now) {
    if (!fills_) fills_ = std::make_unique<fills>();
    auto& f = fills_->each.emplace_back();
    f.key = key;
    f.hash = hash;
    f.ttl = read.ttl;
    if (shares_with_tier()) {
        const auto followed = database_->wal();
        f.catalog = scope_->catalog->fingerprint();
        f.wal = {followed.history, followed.reached};
    }
    // Before the query is sent: a write that comes in between moves a version, and the answer is
    // then not stored, whichever of the two states of the table it shows.
    f.dependencies = observe(read);
    f.recorder.start(services_.options.max_entry_size);
    f.began = now;
    // The plan stands on a catalog: had that gone out of date before the versions were read, the
    // list of tables could be too short.
    if (database_->epoch() != scope_epoch_) f.recorder.give_up();
    // What the key does not tell of, the answer may show.
    if (link_knows_more(read)) f.recorder.give_up();
}

void session::store_fills(bool usable, time_point now, actions& out) {
    if (!fills_) return;
    const auto done = std::move(fills_);
    bool stored = false;
    for (auto& f : done->each) {
        const auto body = usable ? f.recorder.finish() : std::nullopt;
        if (!body) continue;
        auto entry =
            cache::make_entry(f.key, *body, f.dependencies, now + f.ttl, f.recorder.rows());
        // With a write in between, or under way, either of them may be the right one.
        if (f.shadow && entry && entry->storable())
            out.compared.push_back(
                {f.shadow->rule, f.shadow->text, entry->body() == f.shadow->entry->body()});
        stored = services_.store.insert(entry, f.hash, now);
        if (stored && f.catalog) offer(f, std::move(entry), out);
    }
    if (!done->leads) return;
    const auto& f = done->each.front();
    for (const auto token : services_.flights.finish(f.key, f.hash, wait_token_))
        out.wake.push_back({.token = token, .look_again = stored});
}

// Nothing will be stored soon that they could be served: they ask the server themselves.
void session::free_followers(actions& out) {
    if (!fills_ || !std::exchange(fills_->leads, false)) return;
    const auto& f = fills_->each.front();
    for (const auto token : services_.flights.finish(f.key, f.hash, wait_token_))
        out.wake.push_back({.token = token, .look_again = false});
}

void session::abandon_fills(actions& out) {
    const auto dead = std::move(fills_);
    if (!dead || !dead->leads) return;
    const auto& f = dead->each.front();
    if (const auto next = services_.flights.leave(f.key, f.hash, wait_token_))
        out.wake.push_back({.token = *next, .leads = true});
}

// This session was woken as the leader of a flight and then had no need of it.
void session::settle_lead(bool served, actions& out) {
    waited_ = false;
    go_upstream_ = false;
    tier_.reset();
    if (std::exchange(leads_next_, false) && flight_) {
        if (served) {
            for (const auto token :
                 services_.flights.finish(flight_->key, flight_->hash, wait_token_))
                out.wake.push_back({.token = token});
        } else if (const auto next =
                       services_.flights.leave(flight_->key, flight_->hash, wait_token_)) {
            out.wake.push_back({.token = *next, .leads = true});
        }
    }
    flight_.reset();
}

void session::leave_flight(actions& out) {
    tier_.reset();
    if (waiting_ == wait::tier) waiting_ = wait::none;
    if (!flight_) return;
    if (const auto next = services_.flights.leave(flight_->key, flight_->hash, wait_token_))
        out.wake.push_back({.token = *next, .leads = true});
    flight_.reset();
    leads_next_ = false;
    waiting_ = wait::none;
}

void session::on_wake(const wake_up& wake) {
    const auto awaited = wake.admitted ? wait::gate : wait::flight;
    if (waiting_ != awaited || wake.token != wait_token_) return;
    waiting_ = wait::none;
    if (wake.admitted) return limits_->admitted();
    leads_next_ = wake.leads;
    go_upstream_ = !wake.look_again;
    if (!leads_next_) flight_.reset();
}

void session::refuse_cancelled(actions& out) {
    std::string reply;
    protocol::write_error(reply, "ERROR", "57014", "canceling statement due to user request");
    protocol::write_ready(reply, status_);
    out.client.own(std::move(reply));
    settle_lead(false, out);
}

bool session::on_cancel(actions& out) {
    if (state_ != state::ready) return false;
    if (waiting_ == wait::flight || waiting_ == wait::tier || waiting_ == wait::gate) {
        leave_flight(out);
        if (waiting_ == wait::gate) leave_gate(out);
        cancelled_ = true;
        out.resume_client = true;
        return false;
    }
    // What a kept connection gets back is of no request: the cancel comes too late, or too early.
    const bool kept = waiting_ == wait::server && pool_->link && pinned() != pin::none;
    if (waiting_ == wait::server && !pool_->greeting && !kept) {
        std::string error;
        protocol::write_error(error, "ERROR", "57014", "canceling statement due to user request");
        refuse_waiting(std::move(error), out);
        return false;
    }
    if (cancel_in_flight_) return false;               // one is on its way already
    if (owed_.empty() && !transparent_) return false;  // too late: nothing runs
    cancel_in_flight_ = true;
    return true;
}

void session::on_cancel_sent(actions& out) {
    cancel_in_flight_ = false;
    out.resume_client = true;
    if (pool_) give_back(out);
}

}  // namespace pgsidecar::core
