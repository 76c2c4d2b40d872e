// Look-ups and fills: simple queries, and batches of the extended protocol up to their Sync.
#include <algorithm>
#include <utility>

#include "policy/analyze.h"
#include "protocol/backend.h"
#include "protocol/frontend.h"
#include "proxy/core/session.h"

namespace pgsidecar::core {
namespace {

using policy::reason;
using namespace std::string_view_literals;

// A batch that is longer is not held back.
constexpr std::size_t batch_limit = 64U << 10;
constexpr std::size_t unit_limit = 1000;

constexpr auto parse_complete = "1\0\0\0\4"sv;
constexpr auto close_complete = "3\0\0\0\4"sv;
constexpr auto ready_idle = "Z\0\0\0\5I"sv;

// The protocol shape of the answer, a part of the key.
enum class shape : char { simple = 'Q', rows_only = 'E', described = 'D' };

void append_sized(std::string& key, std::string_view part) {
    const auto size = static_cast<std::uint32_t>(part.size());
    key.append(reinterpret_cast<const char*>(&size), sizeof size);
    key.append(part);
}

void build_key(std::string& key, const std::string& context, shape s, std::string_view sql,
               std::string_view types, std::string_view parameters) {
    key.clear();
    append_sized(key, context);
    key.push_back(static_cast<char>(s));
    append_sized(key, sql);
    append_sized(key, types);
    key.append(parameters);
}

}  // namespace

struct session::unit {
    prepared_ptr definition;
    protocol::bind bind;
    bool executed = false;
    bool described = false;
    std::shared_ptr<const plan> planned;
    std::string key;
    cache::hash128 hash;
    cache::entry_ptr entry;
};

struct session::batch {
    enum class step : std::uint8_t { parse, unit, close };
    struct change {
        step what;
        std::string_view name;    // parse, close: the statement
        prepared_ptr definition;  // parse
    };
    std::vector<change> steps;
    std::vector<unit> units;
    std::size_t size = 0;  // bytes, its Sync included
    bool complete = false;
    reason why = reason::miss;

    // As the client will see its statements when the steps so far have been done.
    [[nodiscard]] prepared_ptr find(const prepared_statements& before,
                                    std::string_view name) const {
        for (auto s = steps.rbegin(); s != steps.rend(); ++s)
            if (s->what != step::unit && s->name == name) return s->definition;
        return before.client(name);
    }
};

reason session::session_verdict() {
    if (!caching()) return transparent_ ? reason::replication : reason::disabled;
    if (status_ != 'I') return reason::in_transaction;
    // Messages of a batch whose Sync has not come: the server is in its implicit transaction (or
    // skips all until then), answered or not.
    if (unholdable_) return reason::unusual_batch;
    if (!owed_.empty()) return reason::pipeline_busy;
    if (untracked_ || taints_ != clean_taints_) return reason::tainted_session;
    const auto& where = scope();
    if (!where->catalog) return where->latest_catalog ? reason::stale_catalog : reason::no_catalog;
    if (setting("default_transaction_isolation") == "serializable") return reason::serializable;
    return reason::miss;
}

reason session::table_verdict(const planned_read& read) {
    if (read.why != reason::miss) return read.why;
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
    const auto& facts = text->facts;
    const bool candidate = facts.parsed && facts.statements.size() == 1 &&
                           facts.statements.front().kind == policy::statement_kind::select;
    if (!candidate || !caching()) return verdict::forward;
    auto why = session_verdict();
    if (why == reason::pipeline_busy && must_drain()) return hold_until_drained();
    if (why == reason::miss || why == reason::pipeline_busy) {
        const auto planned = services_.decide.plan_for(*text, *database_, scope());
        if (const auto of_tables = table_verdict(planned->read); of_tables != reason::miss) {
            why = of_tables;
        } else {
            auto& key = services_.key_buffer;
            build_key(key, context(), shape::simple, text->sql, {}, {});
            const auto hash = cache::hash_key(key);
            auto entry = services_.store.find(key, hash, now);
            if (why == reason::pipeline_busy) {
                if (entry && owed_others_ == 0) return hold_until_drained();
            } else if (entry) {
                statements_.set_client("", nullptr);
                unnamed_portal_.reset();
                out.client.answer(std::move(entry));
                out.client.literal(ready_idle);
                count_hit(1, out);
                settle_lead(true, out);
                return verdict::served;
            } else {
                return begin_fill(key, hash, planned->read, out);
            }
        }
    }
    settle_lead(false, out);
    batch_reason_ = why;
    return verdict::forward;
}

std::size_t session::on_batch(protocol::bytes in, time_point now, actions& out) {
    batch b;
    const bool may_hold = status_ == 'I' && caching() && !skipping_ && !copy_in_;
    if (may_hold && !read_batch(in, b)) {
        if (in.size() < batch_limit) return 0;
        b.why = reason::too_long;
    }
    auto result = verdict::forward;
    if (cancelled_ && b.complete) {
        cancelled_ = false;
        refuse_cancelled(out);
        return b.size;
    }
    if (may_hold) {
        if (b.why == reason::miss) b.why = session_verdict();
        if (b.why == reason::pipeline_busy && must_drain())
            result = hold_until_drained();
        else if (b.why == reason::miss || b.why == reason::pipeline_busy)
            result = look_up_batch(b, now, out);
    }
    if (result == verdict::hold) return 0;
    if (result == verdict::served) return b.size;
    if (next_fill_ < 0) settle_lead(false, out);
    unholdable_ = true;
    batch_reason_ = b.why;
    return forward_one(in, out);
}

// False: its end has not come yet. A sequence that is no batch for the cache sets b.why and counts
// as read, wherever it ends.
bool session::read_batch(protocol::bytes in, batch& b) {
    protocol::frame frame;
    std::error_code error;
    while (protocol::next(in.substr(b.size), frame, error) == protocol::peek_result::ok) {
        b.size += frame.whole.size();
        if (frame.type == 'S') {
            b.complete = true;
            if (b.units.empty() || !b.units.back().executed) b.why = reason::unusual_batch;
            if (b.units.size() > unit_limit) b.why = reason::multiple_executes;
            return true;
        }
        if (!read_frame(frame, b)) {
            if (b.why == reason::miss) b.why = reason::unusual_batch;
            return true;
        }
    }
    if (error) b.why = reason::unusual_batch;
    return static_cast<bool>(error);
}

bool session::read_frame(const protocol::frame& f, batch& b) {
    const bool open = !b.units.empty() && !b.units.back().executed;
    switch (f.type) {
        case 'P': {
            protocol::parse_message m;
            if (open || protocol::parse(f.body, m)) return false;
            const auto known = b.find(statements_, m.name);
            if (known && !m.name.empty()) return false;  // a duplicate: the server refuses it
            const auto types = f.body.substr(m.name.size() + m.sql.size() + 2);
            const auto text = text_of(m.sql);
            if (text->facts.too_long) return false;  // it could not be repeated to the server
            if (known && known->text == text && known->types == types)
                b.steps.push_back({batch::step::parse, m.name, known});
            else
                b.steps.push_back(
                    {batch::step::parse, m.name,
                     std::make_shared<const prepared>(prepared{text, std::string{types}, -1})});
            return true;
        }
        case 'B': {
            unit u;
            if (open || protocol::parse(f.body, u.bind)) return false;
            if (!u.bind.portal.empty()) b.why = reason::named_portal;
            u.definition = b.find(statements_, u.bind.statement);
            if (!u.definition || u.definition->sql_statement >= 0)
                b.why = reason::unknown_statement;
            b.units.push_back(std::move(u));
            b.steps.push_back({batch::step::unit, {}, nullptr});
            return b.why == reason::miss;
        }
        case 'D': {
            protocol::describe m;
            if (!open || protocol::parse(f.body, m) || m.kind != 'P' || !m.name.empty() ||
                b.units.back().described)
                return false;
            b.units.back().described = true;
            return true;
        }
        case 'E': {
            protocol::execute m;
            if (!open || protocol::parse(f.body, m) || !m.portal.empty()) return false;
            if (m.row_limit != 0) b.why = reason::row_limit;
            b.units.back().executed = true;
            return b.why == reason::miss;
        }
        case 'C': {
            protocol::close m;
            if (open || protocol::parse(f.body, m)) return false;
            // Closing the unnamed portal behind its Execute changes nothing but the reply.
            if (m.kind == 'P' && !m.name.empty()) return false;
            if (m.kind == 'S')
                b.steps.push_back({batch::step::close, m.name, nullptr});
            else
                b.steps.push_back({batch::step::close, portal_marker, nullptr});
            return true;
        }
        default:
            return false;
    }
}

reason session::judge_unit(unit& u) {
    u.planned = services_.decide.plan_for(*u.definition->text, *database_, scope());
    if (const auto why = table_verdict(u.planned->read); why != reason::miss) return why;
    for (const auto& value : u.bind.values)
        if (value && policy::mentions_clock_word(*value)) return reason::clock_read;
    build_key(u.key, context(), u.described ? shape::described : shape::rows_only,
              u.definition->text->sql, u.definition->types, u.bind.parameters_raw);
    u.hash = cache::hash_key(u.key);
    return reason::miss;
}

session::verdict session::look_up_batch(batch& b, time_point now, actions& out) {
    const bool busy = b.why == reason::pipeline_busy;
    bool all_hit = true;
    for (auto& u : b.units) {
        if (const auto why = judge_unit(u); why != reason::miss) {
            b.why = why;
            return verdict::forward;
        }
        u.entry = services_.store.find(u.key, u.hash, now);
        all_hit = all_hit && u.entry;
    }
    if (busy) return all_hit && owed_others_ == 0 ? hold_until_drained() : verdict::forward;
    if (all_hit) {
        serve_batch(b, out);
        return verdict::served;
    }
    if (b.units.size() == 1)
        return begin_fill(b.units.front().key, b.units.front().hash, b.units.front().planned->read,
                          out);
    for (auto& u : b.units) prepare_fill(u.key, u.hash, u.planned->read);
    next_fill_ = 0;
    return verdict::forward;
}

void session::serve_batch(batch& b, actions& out) {
    std::size_t next = 0;
    for (auto& s : b.steps) {
        switch (s.what) {
            case batch::step::parse:
                out.client.literal(parse_complete);
                statements_.set_client(s.name, std::move(s.definition));
                break;
            case batch::step::unit:
                out.client.answer(std::move(b.units[next++].entry));
                break;
            case batch::step::close:
                out.client.literal(close_complete);
                if (s.name.data() != portal_marker.data()) statements_.set_client(s.name, nullptr);
                break;
        }
    }
    out.client.literal(ready_idle);
    unnamed_portal_.reset();
    count_hit(b.units.size(), out);
    settle_lead(true, out);
}

void session::count_hit(std::size_t units, actions& out) {
    out.outcomes.insert(out.outcomes.end(), units,
                        std::exchange(waited_, false) ? reason::coalesced : reason::hit);
}

// Statements that change settings alone are quick, and what follows them cannot be looked up before
// they have taken effect: a pool's reset, then the first query.
bool session::must_drain() const noexcept { return owed_settings_ > 0 && owed_others_ == 0; }

session::verdict session::hold_until_drained() {
    waiting_ = wait::drain;
    return verdict::hold;
}

session::verdict session::begin_fill(const std::string& key, const cache::hash128& hash,
                                     const planned_read& read, actions& out) {
    bool leads = false;
    if (leads_next_ && flight_ && flight_->key != key) settle_lead(false, out);
    if (leads_next_) {
        leads = true;
        leads_next_ = false;
        flight_.reset();
    } else if (services_.options.single_flight && !std::exchange(go_upstream_, false)) {
        wait_token_ = token_ + (++waits_ & 0xfffffU);
        if (services_.flights.join(key, hash, wait_token_) == cache::flights::role::follower) {
            flight_ = std::make_unique<fill>();
            flight_->key = key;
            flight_->hash = hash;
            waiting_ = wait::flight;
            waited_ = true;
            return verdict::hold;
        }
        leads = true;
    }
    waited_ = false;
    prepare_fill(key, hash, read);
    fills_->leads = leads;
    next_fill_ = 0;
    return verdict::forward;
}

void session::prepare_fill(const std::string& key, const cache::hash128& hash,
                           const planned_read& read) {
    if (!fills_) fills_ = std::make_unique<fills>();
    auto& f = fills_->each.emplace_back();
    f.key = key;
    f.hash = hash;
    f.ttl = read.ttl;
    // Before the query is sent: a write that comes in between moves a version, and the answer is
    // then not stored, whichever of the two states of the table it shows.
    for (const auto* table : read.tables) f.dependencies.push_back(cache::observe(*table));
    f.recorder.start(services_.options.max_entry_size);
    // The plan stands on a catalog: had that gone out of date before the versions were read, the
    // list of tables could be too short.
    if (database_->epoch() != scope_epoch_) f.recorder.give_up();
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
        stored = services_.store.insert(std::move(entry), f.hash, now);
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
    if (!flight_) return;
    if (const auto next = services_.flights.leave(flight_->key, flight_->hash, wait_token_))
        out.wake.push_back({.token = *next, .leads = true});
    flight_.reset();
    leads_next_ = false;
    waiting_ = wait::none;
}

void session::on_wake(const wake_up& wake) {
    if (waiting_ != wait::flight || wake.token != wait_token_) return;
    waiting_ = wait::none;
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
    if (waiting_ == wait::flight) {
        leave_flight(out);
        cancelled_ = true;
        out.resume_client = true;
        return false;
    }
    if (owed_.empty() && !transparent_) return false;  // too late: nothing runs
    cancel_in_flight_ = true;
    return true;
}

void session::on_cancel_sent(actions& out) {
    cancel_in_flight_ = false;
    out.resume_client = true;
}

}  // namespace pgsidecar::core
