// When an entry of a shared tier may be served, and what the tier's clock is known to show.
#include "proxy/core/tier_guard.h"

#include <doctest/doctest.h>

#include "proxy/core/tier_clock.h"
#include "tests/core/world.h"

using namespace core_test;
using namespace std::chrono_literals;
using core::tier_clock;
using core::tier_guard;

namespace {

constexpr cache::instance_id another{'y', 'o', 'u'};

struct guarded {
    guarded() { w.share_tier(); }
    std::vector<cache::dependency> observe() {
        return {cache::observe(w.db().whole()), cache::observe(w.db().cluster()),
                cache::observe(w.kv())};
    }
    auto changed() { return w.guard->changed(observe(), w.db()); }
    // Filled by another process so long ago.
    bool serves(std::chrono::microseconds age) {
        core::tier_find f{.bytes = {}, .filler = another, .catalog = 1, .ttl = 5min};
        f.asked = w.now;
        f.age = age;
        return w.guard->may_serve(f, {.catalog = 1, .changed = changed()});
    }
    world w;
};

}  // namespace

TEST_CASE("tier guard: the first catalog is no change, and a table never written has none") {
    guarded g;
    CHECK(g.w.db().whole().version.load() == 2);
    CHECK(g.changed() == tier_guard::never_changed);
    CHECK(g.serves(4min));
}

TEST_CASE("tier guard: what was filled before a write of ours is not served, what came after is") {
    guarded g;
    g.w.now += 10s;
    g.w.kv().bump();
    CHECK(!g.serves(1ms));
    CHECK(!g.serves(4min));
    g.w.now += 5s;
    CHECK(g.serves(1s));
    CHECK(!g.serves(4s));  // by a clock that may be off by two seconds
    CHECK(!g.serves(6s));
    g.w.now += 1min;
    CHECK(g.serves(30s));
}

TEST_CASE("tier guard: the time counts from when a version was first seen, for each anew") {
    guarded g;
    g.w.kv().bump();
    g.w.now += 1min;
    CHECK(!g.serves(1s));  // nobody knows since when
    g.w.now += 10s;
    CHECK(g.serves(1s));
    g.w.kv().bump();
    CHECK(!g.serves(1s));
    g.w.now += 10s;
    CHECK(g.serves(1s));
}

TEST_CASE("tier guard: an older observation does not make a version older") {
    guarded g;
    const auto before = [&] {
        g.w.kv().bump();
        return g.observe();
    }();
    g.w.now += 1min;
    g.w.kv().bump();
    const auto since = g.changed();
    CHECK(g.w.guard->changed(before, g.w.db()) == since);
    g.w.now += 1min;
    CHECK(g.changed() == since);
}

TEST_CASE("tier guard: changes of the database and of the cluster count for every table") {
    for (const bool cluster : {true, false}) {
        guarded g;
        g.w.now += 1min;
        cluster ? g.w.db().cluster().bump() : g.w.db().whole().bump();
        CHECK(!g.serves(1s));
    }
    guarded g;
    g.w.db().withdraw();
    g.w.publish();
    CHECK(!g.serves(1s));
}

TEST_CASE("tier guard: a write before the first catalog is not taken for that catalog") {
    cache::versions versions;
    const std::atomic<bool> suspended{false};
    core::database d{"d", versions, suspended};
    d.whole().bump();
    d.publish(small_catalog(d.wanted()));
    const std::vector observed{cache::observe(d.whole())};
    tier_guard guard{world::self, [] { return tier_guard::time_point{1h}; }};
    CHECK(guard.changed(observed, d) == tier_guard::time_point{1h});
}

TEST_CASE("tier guard: behind another process what was filled before its end is not served") {
    guarded g;
    g.w.dbs.suspend();
    g.w.dbs.resume_first();  // nobody was there
    g.w.publish();
    CHECK(g.serves(4min));
    g.w.dbs.suspend();
    g.w.dbs.resume_anew();
    g.w.publish();
    CHECK(!g.serves(1s));
    g.w.now += 10s;
    CHECK(g.serves(1s));
}

TEST_CASE("tier guard: each reason to refuse") {
    guarded g;
    const auto never = tier_guard::never_changed;
    core::tier_find f{
        .bytes = {}, .filler = another, .versions = {1, 1}, .catalog = 1, .ttl = 5min};
    f.asked = g.w.now;
    f.age = 1s;
    const auto may = [&](std::uint64_t catalog, tier_guard::time_point changed) {
        return g.w.guard->may_serve(f,
                                    {.versions = {1, 1}, .catalog = catalog, .changed = changed});
    };
    CHECK(may(1, never));
    CHECK(!may(2, never));  // other catalogs
    CHECK(!may(1, g.w.now));
    f.age = -1s;  // of the future
    CHECK(!may(1, never));
    f.age = 5min;
    CHECK(!may(1, never));
    f.age = 1s;
    f.filler = world::self;  // our own, at these very versions
    CHECK(may(2, g.w.now));
    CHECK(!g.w.guard->may_serve(f, {.versions = {1, 2}, .catalog = 2, .changed = g.w.now}));
    f.age = 5min;
    CHECK(!may(1, never));
}

namespace {

// By the write-ahead log, of history 7.
struct proven {
    proven() { w.share_tier(tier_guard::validity::wal); }
    std::optional<core::wal_place> least() {
        const std::vector observed{cache::observe(w.db().whole()), cache::observe(w.db().cluster()),
                                   cache::observe(w.kv())};
        changed = w.guard->changed(observed, w.db());
        return w.guard->least_place(observed, w.db());
    }
    // Filled by another process, which had seen that much; nothing: not to be told yet.
    std::optional<bool> serves(core::wal_place filled) {
        const auto place = least();
        if (!place) return std::nullopt;
        core::tier_find f{.bytes = {}, .filler = another, .catalog = 1, .wal = filled, .ttl = 5min};
        f.asked = w.now;
        f.age = age;
        return w.guard->may_serve(f, {.catalog = 1, .changed = changed, .least = *place});
    }
    world w;
    tier_guard::time_point changed{};
    std::chrono::microseconds age{1s};
};

}  // namespace

TEST_CASE("tier guard: with proof, nothing before the stream began and while nothing is proven") {
    proven p;
    CHECK(!p.serves({7, 1000}));
    p.w.db().wal_began(7, 100);
    CHECK(!p.serves({7, 1000}));
    p.w.db().wal_proven(100, p.w.now);
    CHECK(p.serves({7, 100}) == true);
    CHECK(p.serves({7, 99}) == false);
    CHECK(p.serves({8, 1000}) == false);  // another server, or another timeline
    CHECK(p.serves({0, 0}) == false);
    p.age = 5min;
    CHECK(p.serves({7, 100}) == false);
    p.w.db().wal_ended();
    CHECK(!p.serves({7, 1000}));
}

TEST_CASE("tier guard: with proof, a change is at the first position that is proven behind it") {
    proven p;
    p.w.db().wal_began(7, 100);
    p.w.db().wal_proven(100, p.w.now);
    p.w.now += 1s;
    p.w.kv().bump();
    CHECK(!p.serves({7, 1000}));  // its commit may be anywhere
    p.w.db().wal_proven(150, p.w.now);
    CHECK(!p.serves({7, 1000}));  // asked in the same moment
    p.w.now += 1s;
    p.w.db().wal_proven(200, p.w.now);
    CHECK(p.serves({7, 199}) == false);
    CHECK(p.serves({7, 200}) == true);
    // It stays there, and each change has its own.
    p.w.db().wal_proven(300, p.w.now += 1s);
    CHECK(p.serves({7, 200}) == true);
    p.w.db().cluster().bump();
    CHECK(!p.serves({7, 1000}));
    p.w.db().wal_proven(400, p.w.now += 1s);
    CHECK(p.serves({7, 399}) == false);
    CHECK(p.serves({7, 400}) == true);
    // Another stream: what it has not seen is before its beginning.
    p.w.db().wal_began(7, 500);
    p.w.db().wal_proven(500, p.w.now);
    CHECK(p.serves({7, 499}) == false);
    CHECK(p.serves({7, 500}) == true);
    // Another server: nothing that was proven of the one before means anything.
    p.w.db().wal_began(9, 10);
    p.w.db().wal_proven(20, p.w.now += 1s);
    CHECK(p.serves({9, 19}) == false);
    CHECK(p.serves({9, 20}) == true);
}

TEST_CASE("tier guard: with proof, what was filled before an INVALIDATE is not served") {
    proven p;
    p.w.db().wal_began(7, 100);
    p.w.db().wal_proven(100, p.w.now);
    p.w.now += 1min;
    p.w.guard->invalidated();
    CHECK(p.serves({7, 100}) == false);
    p.w.now += 10s;
    CHECK(p.serves({7, 100}) == true);
    p.age = 9s;  // by a clock that may be off by two seconds
    CHECK(p.serves({7, 100}) == false);
}

TEST_CASE("tier clock: never shows more than the tier's own") {
    tier_clock c;
    CHECK(!c.known());
    const tier_clock::local start{1h};
    c.note(1000s, start, start + 40ms);  // it said so at some time of these 40 ms
    CHECK(c.known());
    CHECK(c.at(start + 40ms) == 1000s);
    CHECK(c.at(start + 1040ms) == 1001s);
    CHECK(c.at(start - 60ms) == 1000s - 100ms);
    CHECK(c.read_at() == start + 40ms);
}

TEST_CASE("tier clock: that it was set back is remembered, that it runs slowly is not") {
    tier_clock c;
    tier_clock::local now{1h};
    c.note(1000s, now, now);
    now += 100s;
    c.note(1100s - 50ms, now, now);
    now += 1h;
    c.note(4700s - 2s, now, now);  // half a thousandth
    CHECK(c.set_back() == 0s);
    now += 10s;
    c.note(4708s - 60s, now, now);
    CHECK(c.set_back() >= 59s);
    CHECK(c.set_back() <= 61s);
    const auto before = c.set_back();
    now += 10s;
    c.note(9000s, now, now);  // and ahead again
    CHECK(c.set_back() == before);
}
