#include "proxy/io/shared_tier.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "proxy/io/crypto.h"
#include "proxy/io/database_engine.h"
#include "proxy/io/log.h"
#include "proxy/io/redis_engine.h"

namespace pgsidecar::io {
namespace {

using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using steady = std::chrono::steady_clock;

constexpr auto open_patience = seconds{2};
// Beyond the time-out, after which nobody waits any more: then the connection is given up.
constexpr auto get_patience = milliseconds{250};
constexpr auto put_patience = milliseconds{500};
constexpr auto first_retry = milliseconds{100};
constexpr auto last_retry = seconds{10};
constexpr auto clock_is_old = seconds{10};
constexpr unsigned most_late = 8;             // in a row, then it is given up
constexpr std::size_t most_waiting = 10'000;  // questions
constexpr std::size_t put_step = 256U << 10;  // bytes that go out while nobody waits
constexpr std::size_t put_items = 64;

cache::instance_id random_id() {
    cache::instance_id out{};
    const auto random = random_bytes(out.size());
    std::memcpy(out.data(), random.data(), out.size());
    return out;
}

std::size_t size_of(const core::tier_offer& o) { return o.entry->footprint(); }

std::string plain_name(const cache::hash128& hash) {
    std::string bytes;
    for (const auto half : {hash.hi, hash.lo})
        for (unsigned shift = 64; shift > 0;)
            bytes.push_back(static_cast<char>(half >> (shift -= 8U) & 0xffU));
    return hex(bytes);
}

}  // namespace

std::unique_ptr<shared_tier> shared_tier::make(const config::settings& settings) {
    using provider = config::cache_provider;
    if (settings.cache.provider == provider::memory || !settings.enable_optimizations ||
        !settings.cache.enable_query_result_caching)
        return nullptr;
    std::unique_ptr<tier_engine> engine;
    if (settings.cache.provider == provider::redis)
        engine = std::make_unique<redis_engine>(settings);
    else
        engine = std::make_unique<database_engine>(settings);
    return std::make_unique<shared_tier>(settings, std::move(engine));
}

shared_tier::shared_tier(const config::settings& settings, std::unique_ptr<tier_engine> engine)
    : settings_{settings.shared_cache},
      self_{random_id()},
      guard_{self_, steady::now,
             settings_.validity == "wal" ? core::tier_guard::validity::wal
                                         : core::tier_guard::validity::ttl},
      engine_{std::move(engine)} {
    if (!settings_.encryption_key_file.empty())
        cipher_ = std::make_unique<tier_cipher>(read_tier_key(settings_.encryption_key_file));
}

void shared_tier::start() {
    log_info("shared cache: answers are kept in " + std::string{engine_->name()} +
             (cipher_ ? ", encrypted" : ", not encrypted") +
             (guard_.wants_proof()
                  ? "; those are used that the server's WAL proves to be valid"
                  : "; what is written elsewhere than through this process shows when an answer's "
                    "ttl is over"));
    thread_ = std::thread{[this] { run(); }};
}

void shared_tier::stop() {
    {
        const std::lock_guard lock{mutex_};
        stopping_ = true;
    }
    guard_.set_available(false);
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void shared_tier::wait_ready(milliseconds at_most) {
    std::unique_lock lock{mutex_};
    changed_.wait_for(lock, at_most, [this] { return tried_ || stopping_; });
}

void shared_tier::get(core::tier_question asked, answer then) {
    count_.asked += asked.keys.size();
    {
        const std::lock_guard lock{mutex_};
        if (!stopping_ && guard_.available() && questions_.size() < most_waiting) {
            questions_.push_back({std::move(asked), std::move(then)});
            then = nullptr;
        }
    }
    if (then) return then({});
    changed_.notify_all();
}

void shared_tier::put(std::vector<core::tier_offer> offers) {
    {
        const std::lock_guard lock{mutex_};
        for (auto& o : offers) {
            const auto size = size_of(o);
            if (stopping_ || !guard_.available() || offered_ + size > settings_.max_queued) {
                ++count_.dropped;
                continue;
            }
            offered_ += size;
            offers_.push_back(std::move(o));
        }
        count_.queued = offered_;
    }
    changed_.notify_all();
}

void shared_tier::count(const core::tier_work& work) {
    count_.used += work.used;
    count_.refused += work.refused;
    if (work.late == 0) return;
    count_.late += work.late;
    // The thread, which may be waiting for the tier itself, finds it so.
    if (late_in_a_row_.fetch_add(work.late) + work.late < most_late) return;
    {
        const std::lock_guard lock{mutex_};
        guard_.set_available(false);
    }
    changed_.notify_all();
}

ops::tier_totals shared_tier::totals() const {
    return {.provider = engine_->name(),
            .up = guard_.available(),
            .asked = count_.asked,
            .found = count_.found,
            .used = count_.used,
            .refused = count_.refused,
            .harmed = count_.harmed,
            .late = count_.late,
            .outages = count_.outages,
            .puts = count_.puts,
            .put_bytes = count_.put_bytes,
            .put_refused = count_.put_refused,
            .dropped = count_.dropped,
            .queued_bytes = count_.queued};
}

void shared_tier::run() {
    while (true) {
        {
            std::unique_lock lock{mutex_};
            const auto busy = [this] {
                return stopping_ || !questions_.empty() || !offers_.empty() || !guard_.available();
            };
            if (up_)
                changed_.wait_for(lock, clock_is_old, busy);
            else
                changed_.wait_until(lock, try_at_, [this] { return stopping_; });
            if (stopping_) break;
        }
        if (!up_)
            try_open();
        else if (!guard_.available())
            down("answers come later than shared_cache.timeout");
        else
            work();
    }
    engine_->close();
}

void shared_tier::try_open() {
    const auto now = steady::now();
    if (now < try_at_) return;
    auto why = engine_->open(now + open_patience);
    if (why.empty()) {
        const auto asked = steady::now();
        why = engine_->check(asked + settings_.timeout + get_patience);
        if (why.empty() && steady::now() - asked > settings_.timeout)
            why = "answers come later than shared_cache.timeout";
    }
    if (!why.empty()) {
        down(why);
    } else {
        if (complained_) log_info("shared cache: it is used again");
        up_ = true;
        up_since_ = steady::now();
        complained_ = false;
        slow_ = 0;
        late_in_a_row_ = 0;
        guard_.set_available(true);
    }
    {
        const std::lock_guard lock{mutex_};
        tried_ = true;
    }
    changed_.notify_all();
}

void shared_tier::down(const std::string& why) {
    guard_.set_available(false);
    engine_->close();
    const auto now = steady::now();
    if (std::exchange(up_, false)) {
        ++count_.outages;
        // One that only comes and goes is tried ever more seldom, too.
        if (now - up_since_ >= last_retry) failures_ = 0;
    }
    const auto pause = first_retry * (1U << std::min(failures_, 10U));
    try_at_ = now + std::min<steady::duration>(pause, last_retry);
    // A connection that was merely closed is made anew without a word.
    if (++failures_ >= 2 && !std::exchange(complained_, true))
        log_warning("shared cache: it is not used: " + why);
    refuse_waiting();
}

void shared_tier::refuse_waiting() {
    std::vector<question> waiting;
    std::deque<core::tier_offer> lost;
    {
        const std::lock_guard lock{mutex_};
        waiting.swap(questions_);
        lost.swap(offers_);
        offered_ = 0;
        count_.queued = 0;
        count_.dropped += lost.size();
    }
    for (auto& q : waiting) q.then({});
}

void shared_tier::work() {
    std::vector<question> waiting;
    std::deque<core::tier_offer> some;
    std::size_t size = 0;
    {
        const std::lock_guard lock{mutex_};
        waiting.swap(questions_);
        while (waiting.empty() && !offers_.empty() && size < put_step && some.size() < put_items) {
            size += size_of(offers_.front());
            some.push_back(std::move(offers_.front()));
            offers_.pop_front();
        }
    }
    if (!waiting.empty())
        serve(std::move(waiting));
    else if (!some.empty())
        deliver(std::move(some));
    else if (auto why = engine_->check(steady::now() + put_patience); !why.empty())
        down(why);  // nobody asked anything for a while
    const std::lock_guard lock{mutex_};
    offered_ -= std::min(offered_, size);  // 0 already where it went down
    count_.queued = offered_;
}

void shared_tier::serve(std::vector<question> all) {
    const auto asked = steady::now();
    std::vector<tier_get> gets;
    for (auto& q : all) {
        if (q.asked.due <= asked) q.asked.keys.clear();  // it has gone on by itself
        for (const auto& key : q.asked.keys) gets.push_back({.name = name_of(key), .sealed = {}});
    }
    if (!gets.empty()) {
        const auto why = engine_->get(gets, asked + settings_.timeout + get_patience);
        if (!why.empty()) {
            down(why);
            for (auto& q : all) q.then({});
            return;
        }
    }
    const bool in_time = steady::now() - asked <= settings_.timeout;
    slow_ = in_time ? 0 : slow_ + 1;
    if (in_time && !gets.empty()) late_in_a_row_ = 0;
    std::span<tier_get> rest{gets};
    for (auto& q : all) {
        auto own = rest.first(q.asked.keys.size());
        rest = rest.subspan(own.size());
        q.then(open_all(q, own, asked));
    }
    if (slow_ >= most_late) down("answers come later than shared_cache.timeout");
}

core::tier_finds shared_tier::open_all(const question& q, std::span<tier_get> found,
                                       time_point asked) {
    core::tier_finds out(found.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
        auto& got = found[i];
        if (!got.found) continue;
        cache::envelope e;
        const auto fault = cache::read_envelope(got.sealed, q.asked.keys[i].key, cipher_.get(), e);
        if (fault != cache::envelope_fault::none) {
            ++count_.harmed;
            continue;
        }
        ++count_.found;
        const auto at = static_cast<std::size_t>(e.body.data() - got.sealed.data());
        out[i] = core::tier_find{.bytes = std::move(got.sealed),
                                 .body_at = at,
                                 .rows = e.rows,
                                 .filler = e.filler,
                                 .versions = e.versions,
                                 .catalog = e.catalog,
                                 .wal = {e.wal_history, e.wal_position},
                                 .ttl = e.ttl,
                                 .asked = asked,
                                 .age = got.now - e.filled + got.set_back};
    }
    return out;
}

void shared_tier::deliver(std::deque<core::tier_offer> offers) {
    const auto now = steady::now();
    std::vector<tier_put> puts;
    for (const bool again : {true, false}) {
        puts.clear();
        bool old = false;
        for (const auto& o : offers) {
            const auto& clock = engine_->clock_of(name_of({std::string{o.entry->key()}, o.hash}));
            old = old || !clock.known() || now - clock.read_at() > clock_is_old;
            if (old) break;
            if (auto p = seal(o)) puts.push_back(std::move(*p));
        }
        if (!old) break;
        if (!again) return down("its clock cannot be read");
        if (auto why = engine_->check(now + put_patience); !why.empty()) return down(why);
    }
    if (puts.empty()) return;
    if (auto why = engine_->put(puts, steady::now() + put_patience); !why.empty()) return down(why);
    for (const auto& p : puts) {
        if (!p.refused.empty()) {
            ++count_.put_refused;
            report_refused(p.refused);
            continue;
        }
        ++count_.puts;
        count_.put_bytes += p.sealed.size();
    }
}

std::optional<tier_put> shared_tier::seal(const core::tier_offer& o) {
    tier_put out{.name = name_of({std::string{o.entry->key()}, o.hash}),
                 .sealed = {},
                 .tenant = o.tenant ? *o.tenant : "default",
                 .expires = {},
                 .refused = {}};
    const auto filled = engine_->clock_of(out.name).at(o.began);
    out.expires = filled + duration_cast<microseconds>(o.ttl);
    if (engine_->clock_of(out.name).at(steady::now()) >= out.expires) return std::nullopt;
    out.sealed = cache::write_envelope({.key = o.entry->key(),
                                        .body = o.entry->body(),
                                        .rows = o.entry->rows(),
                                        .filler = self_,
                                        .filled = filled,
                                        .ttl = o.ttl,
                                        .versions = o.versions,
                                        .catalog = o.catalog,
                                        .wal_position = o.wal.position,
                                        .wal_history = o.wal.history},
                                       ++sealed_, cipher_.get());
    if (out.sealed.empty()) return std::nullopt;
    return out;
}

std::string shared_tier::name_of(const core::tier_key& key) const {
    const auto name = cipher_ ? cipher_->name_of(key.key) : plain_name(key.hash);
    return settings_.prefix + ":" + name;
}

// Once for each kind: a tier that is full says so to each entry.
void shared_tier::report_refused(const std::string& why) {
    if (std::exchange(last_refusal_, why) != why)
        log_warning("shared cache: it does not take entries: " + why);
}

}  // namespace pgsidecar::io
