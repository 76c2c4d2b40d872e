// A miss that asks the tier which several processes share, at each of its steps; and that nothing
// of it is older than a write which this process has acknowledged.
#include <doctest/doctest.h>

#include "tests/core/limited.h"
#include "tests/core/shared_server.h"

using namespace core_test;
using namespace std::chrono_literals;

namespace {

const auto select_kv = query("SELECT v FROM kv");
const auto insert_kv = query("INSERT INTO kv VALUES ('1')");
const auto inserted = completed("INSERT 0 1") + ready();
constexpr cache::instance_id another{'y', 'o', 'u'};
constexpr std::uint64_t token_step = 1U << 20;

std::string body_of(std::string_view value) {
    return described() + row_of(value) + completed("SELECT 1");
}

core::tier_find find(world& w, std::string body, std::chrono::microseconds age = 10s) {
    core::tier_find f{.bytes = std::move(body), .rows = 1, .filler = another, .ttl = 5min};
    f.catalog = w.db().latest_catalog()->fingerprint();
    f.asked = w.now;
    f.age = age;
    return f;
}

// For scripts, whose world begins at that hour with the small catalog.
core::tier_finds found(std::string body) {
    static world w;
    return {find(w, std::move(body))};
}

struct one {
    explicit one(core::tier_guard::validity by = core::tier_guard::validity::ttl) {
        w.share_tier(by);
        l = std::make_unique<wired>(w, token_step);
        l->log_in();
    }
    ~one() {
        if (!l->closing) l->client_gone();
        const auto left = l->unsettled;
        l.reset();
        CHECK(w.unrest(left) == "");
    }
    // True: the tier is asked, and nothing is sent.
    bool asks(std::string_view request = select_kv) {
        const auto before = l->questions;
        l->client(request);
        const bool asked = l->questions > before;
        if (asked) CHECK(show(l->to_server()) == "");
        return asked;
    }
    void answered_by_tier(std::string_view value) {
        CHECK(show(l->to_client()) == show(answer(value)));
        CHECK(show(l->to_server()) == "");
    }
    void goes_on_to_server(std::string_view value, std::string_view request = select_kv) {
        CHECK(show(l->to_server()) == show(request));
        l->server(answer(value));
        CHECK(show(l->to_client()) == show(answer(value)));
    }
    void writes() {
        l->client(insert_kv);
        (void)l->to_server();
        l->server(inserted);
        (void)l->to_client();
    }
    world w;
    std::unique_ptr<wired> l;
};

}  // namespace

TEST_CASE("tier: with proof by the log, a fill says how much of it its filler had seen") {
    one t{core::tier_guard::validity::wal};
    CHECK(!t.asks());  // no log is followed: there is nothing to judge by
    t.goes_on_to_server("first");
    CHECK(t.l->offers.empty());  // nor for others
    t.w.db().wal_began(7, 100);
    t.w.db().wal_proven(100, t.w.now);
    t.w.kv().bump();
    CHECK(!t.asks());  // what has changed it may be behind all that is proven
    CHECK(show(t.l->to_server()) == show(select_kv));
    t.w.db().wal_reached(120);
    t.l->server(answer("second"));
    (void)t.l->to_client();
    REQUIRE(t.l->offers.size() == 1);
    CHECK(t.l->offers.front().wal.history == 7);
    CHECK(t.l->offers.front().wal.position == 100);  // when it was sent
    t.w.kv().bump();
    t.w.now += 1s;
    t.w.db().wal_proven(130, t.w.now);
    CHECK(!t.asks());  // seen just now: proven by what is asked later
    t.goes_on_to_server("third");
    t.w.kv().bump();
    CHECK(!t.asks());
    t.goes_on_to_server("fourth");
}

TEST_CASE("tier: what another process has filled is served, and then lies in memory") {
    script{}
        .shares_tier()
        .client(select_kv, {})
        .tier(found(body_of("theirs")), {.client = answer("theirs")})
        .hits(select_kv, answer("theirs"))
        .play_everyhow();
}

TEST_CASE("tier: what is not there the server is asked, and the answer is offered") {
    script{}
        .shares_tier()
        .client(select_kv, {})
        .tier({std::nullopt}, {.server = select_kv})
        .server(answer("one"), {.client = answer("one")})
        .hits(select_kv, answer("one"))
        .play_everyhow();
    one t;
    t.asks();
    t.w.now += 5ms;
    const auto began = t.w.now;
    t.l->tier_answer({});
    t.w.now += 1s;
    t.goes_on_to_server("one");
    REQUIRE(t.l->offers.size() == 1);
    const auto& o = t.l->offers.front();
    CHECK(show(o.entry->body()) == show(body_of("one")));
    CHECK(o.entry->key() == t.l->question->keys.at(0).key);
    CHECK(o.hash == t.l->question->keys.at(0).hash);
    CHECK(o.began == began);
    CHECK(o.ttl == 5min);
    CHECK(o.catalog == t.w.db().usable_catalog()->fingerprint());
}

TEST_CASE("tier: when its time is up the server is asked, and a late answer is passed over") {
    script{}
        .shares_tier()
        .client(select_kv, {})
        .later(19ms)
        .later(1ms, {.server = select_kv})
        .tier(found(body_of("late")), {})
        .server(answer("one"), {.client = answer("one")})
        .hits(select_kv, answer("one"))
        .play_everyhow();
    one t;
    t.asks();
    t.l->later(20ms);
    CHECK(t.l->told.late == 1);
    t.goes_on_to_server("one");
}

TEST_CASE("tier: an answer to an earlier question is not taken for this one's") {
    one t;
    REQUIRE(t.asks());
    const auto first = *t.l->question;
    t.l->later(20ms);
    t.goes_on_to_server("one");
    t.w.kv().bump();
    t.w.now += 1min;
    REQUIRE(t.asks());
    const auto second = std::exchange(t.l->question, first);
    t.l->tier_answer({find(t.w, body_of("of the first"))});
    CHECK(t.l->to_client().empty());
    t.l->question = second;
    t.l->tier_answer({});
    t.goes_on_to_server("two");
}

TEST_CASE("tier: read your writes: nothing that was filled before a write of ours is served") {
    one t;
    t.w.now += 1min;
    t.writes();
    REQUIRE(t.asks());
    t.l->tier_answer({find(t.w, body_of("old"), 1s)});
    CHECK(t.l->told.refused == 1);
    t.goes_on_to_server("new");
    // Nor later on, as long as it lies there; what was filled since is.
    t.w.now += 4min;
    t.w.store.clear();
    REQUIRE(t.asks());
    t.l->tier_answer({find(t.w, body_of("old"), 4min + 1s)});
    t.goes_on_to_server("new");
    t.w.store.clear();
    REQUIRE(t.asks());
    t.l->tier_answer({find(t.w, body_of("new"), 3min)});
    t.answered_by_tier("new");
}

TEST_CASE("tier: what this process has put is served while its tables have not moved") {
    one t;
    t.w.now += 1min;
    t.writes();
    REQUIRE(t.asks());
    t.l->tier_answer({});
    t.goes_on_to_server("one");
    REQUIRE(t.l->offers.size() == 1);
    auto own = find(t.w, body_of("one"), 1s);
    own.filler = world::self;
    own.versions = t.l->offers.front().versions;
    t.w.store.clear();  // evicted
    REQUIRE(t.asks());
    t.l->tier_answer({own});
    t.answered_by_tier("one");
    t.writes();
    REQUIRE(t.asks());
    t.l->tier_answer({own});
    t.goes_on_to_server("two");
}

TEST_CASE("tier: a write during the wait makes what comes unusable") {
    for (const bool acknowledged : {true, false}) {
        one t;
        wired writer{t.w, 2 * token_step};
        writer.log_in();
        t.w.now += 1min;
        REQUIRE(t.asks());
        writer.client(insert_kv);
        if (acknowledged) writer.server(inserted);
        t.l->tier_answer({find(t.w, body_of("old"))});
        CHECK(t.l->told.used == 0);
        t.goes_on_to_server("new");
        if (!acknowledged) writer.server(inserted);
        writer.client_gone();
    }
}

TEST_CASE("tier: not asked while a commit is in flight or its outcome is unknown") {
    one t;
    wired writer{t.w, 2 * token_step};
    writer.log_in();
    writer.client(insert_kv);
    CHECK(!t.asks());
    t.goes_on_to_server("one");
    writer.server_gone();
    CHECK(!t.asks());
    t.goes_on_to_server("one");
    t.l->unsettled = writer.unsettled;
}

TEST_CASE("tier: a catalog that goes out of date during the wait ends it") {
    one t;
    REQUIRE(t.asks());
    t.w.db().begin_schema_change();
    t.l->tier_answer({find(t.w, body_of("old"))});
    t.goes_on_to_server("new");
    t.w.db().end_schema_change();
    t.w.publish();
    REQUIRE(t.asks());
    t.l->tier_answer({find(t.w, body_of("old"), 1ms)});
    t.goes_on_to_server("new");
}

TEST_CASE("tier: neither asked nor given anything while it is down") {
    one t;
    t.w.guard->set_available(false);
    CHECK(!t.asks());
    t.goes_on_to_server("one");
    CHECK(t.l->offers.empty());
}

TEST_CASE("tier: cancelled while waiting, told so, and in step afterwards") {
    std::string told;
    protocol::write_error(told, "ERROR", "57014", "canceling statement due to user request");
    told += ready();
    for (const auto& request :
         {select_kv, parse("", "SELECT v FROM kv") + bind("") + execute() + sync_now()})
        script{}
            .shares_tier()
            .client(request, {})
            .event(step::kind::cancel, {.client = told})
            .tier(found(body_of("late")), {})
            .client(select_kv, {})
            .tier({}, {.server = select_kv})
            .server(answer("one"), {.client = answer("one")})
            .play_everyhow();
}

TEST_CASE("tier: query_timeout while waiting") {
    using namespace limited;
    script{}
        .shares_tier()
        .limits(limits([](policy::tier& t, auto&) { t.query_timeout = 10ms; }))
        .client(core_test::limited::select_kv, {})
        .later(10ms, {.client = error("57014", "canceling statement due to query_timeout",
                                      "query_timeout is 10 ms.") +
                                ready()})
        .tier(found(body_of("late")), {})
        .passes(query("SELECT 1"), answer("1"))
        .play_everyhow();
}

TEST_CASE("tier: a shutdown waits for the answer") {
    one t;
    REQUIRE(t.asks());
    t.l->shutdown();
    CHECK(!t.l->closing);
    t.l->tier_answer({find(t.w, body_of("theirs"))});
    CHECK(t.l->to_client().starts_with(answer("theirs")));
    CHECK(t.l->closing);
}

TEST_CASE("tier: who waits in the flight is served by what its leader has found") {
    one t;
    wired follower{t.w, 2 * token_step};
    follower.log_in();
    REQUIRE(t.asks());
    follower.client(select_kv);
    CHECK(follower.questions == 0);
    t.l->tier_answer({find(t.w, body_of("theirs"))});
    t.answered_by_tier("theirs");
    for (const auto& wake : t.l->wakes()) follower.wake(wake);
    CHECK(show(follower.to_client()) == show(answer("theirs")));
    CHECK(follower.outcomes() == std::vector{policy::reason::coalesced});
    CHECK(t.l->outcomes() == std::vector{policy::reason::hit});
    follower.client_gone();
}

TEST_CASE("tier: who leads next asks for itself, who goes upstream does not") {
    for (const bool cancelled : {true, false}) {
        one t;
        wired follower{t.w, 2 * token_step};
        follower.log_in();
        REQUIRE(t.asks());
        follower.client(select_kv);
        if (cancelled) {
            (void)t.l->cancel();
        } else {
            t.l->tier_answer({});
            (void)t.l->to_server();
            t.l->server(failed("42501") + ready());
        }
        for (const auto& wake : t.l->wakes()) follower.wake(wake);
        CHECK(follower.questions == (cancelled ? 1 : 0));
        if (cancelled) follower.tier_answer({});
        CHECK(show(follower.to_server()) == show(select_kv));
        follower.server(answer("one"));
        CHECK(show(follower.to_client()) == show(answer("one")));
        follower.client_gone();
    }
}

TEST_CASE("tier: without single flight each asks, and once") {
    one t;
    t.w.options.single_flight = false;
    wired second{t.w, 2 * token_step};
    second.log_in();
    REQUIRE(t.asks());
    second.client(select_kv);
    CHECK(second.questions == 1);
    t.l->tier_answer({});
    t.goes_on_to_server("one");
    second.client_gone();
    CHECK(t.l->questions == 1);
}

TEST_CASE("tier: a session that is like no other shares nothing, though its number is another's") {
    one t;
    t.l->client(query("DO $$ BEGIN END $$"));
    t.l->server(completed("DO") + ready());
    t.l->client(query("DISCARD ALL"));
    t.l->server(completed("DISCARD ALL") + ready());
    t.w.publish();
    (void)t.l->to_client();
    (void)t.l->to_server();
    CHECK(!t.asks());
    t.goes_on_to_server("mine");
    CHECK(t.l->offers.empty());
    t.l->client(select_kv);  // a hit of its own in memory
    CHECK(show(t.l->to_client()) == show(answer("mine")));
}

TEST_CASE("tier: a batch asks for all that it lacks at once") {
    const auto part = [](std::string_view table) {
        return parse("", "SELECT v FROM " + std::string{table}) + bind("") + execute();
    };
    const auto reply = [](std::string_view value) {
        return parse_complete() + bind_complete() + row_of(value) + completed("SELECT 1");
    };
    const auto body = [](std::string_view value) {
        return bind_complete() + row_of(value) + completed("SELECT 1");
    };
    const auto batch = part("kv") + part("other") + sync_now();
    one t;
    REQUIRE(t.asks(batch));
    REQUIRE(t.l->question->keys.size() == 2);
    t.l->tier_answer({find(t.w, body("a")), find(t.w, body("b"))});
    CHECK(show(t.l->to_client()) == show(reply("a") + reply("b") + ready()));

    t.w.other().bump();
    t.w.now += 1min;
    REQUIRE(t.asks(batch));
    REQUIRE(t.l->question->keys.size() == 1);
    t.l->tier_answer({});
    CHECK(show(t.l->to_server()) == show(batch));  // whole, and without another question
    CHECK(t.l->questions == 2);
    t.l->server(reply("a") + reply("c") + ready());
    CHECK(show(t.l->to_client()) == show(reply("a") + reply("c") + ready()));
    CHECK(t.l->offers.size() == 2);
}

TEST_CASE("tier: a batch that lacks too much, or part of which is in flight, asks nothing") {
    std::string batch;
    for (int i = 0; i < 17; ++i)
        batch +=
            parse("", "SELECT v FROM kv WHERE id = " + std::to_string(i)) + bind("") + execute();
    one t;
    CHECK(!t.asks(batch + sync_now()));
    CHECK(show(t.l->to_server()) == show(batch + sync_now()));
    one u;
    u.w.other().begin_commit();
    CHECK(!u.asks(parse("", "SELECT v FROM kv") + bind("") + execute() +
                  parse("", "SELECT v FROM other") + bind("") + execute() + sync_now()));
    u.w.other().drop_commit();
}

TEST_CASE("tier: an entry lives no longer than this process's rule, or its filler's, allows") {
    for (const auto& [theirs, ours, age, lives] :
         {std::tuple{10min, 5min, 2min, 3min}, {3min, 5min, 1min, 2min}}) {
        one t;
        t.w.rules->rules.front().ttl = ours;
        REQUIRE(t.asks());
        auto f = find(t.w, body_of("theirs"), age);
        f.ttl = theirs;
        t.l->tier_answer({f});
        t.answered_by_tier("theirs");
        t.w.now += lives - 1s;
        CHECK(!t.asks());
        t.answered_by_tier("theirs");
        t.w.now += 1s;
        REQUIRE(t.asks());
        t.l->tier_answer({f});  // it still lies there, as it seems
        (void)t.l->to_client();
        (void)t.l->to_server();
    }
}

TEST_CASE("tier: what is older than this process's rule allows is not served at all") {
    one t;
    REQUIRE(t.asks());
    auto f = find(t.w, body_of("theirs"), 6min);
    f.ttl = 10min;
    t.l->tier_answer({f});
    t.goes_on_to_server("one");
}

TEST_CASE("tier: its answers obey the tenant's limits") {
    using namespace limited;
    script{}
        .shares_tier()
        .limits(two_rows)
        .client(core_test::limited::select_kv, {})
        .tier(
            [] {
                auto f = found(described() + rows(3) + completed("SELECT 3"));
                f[0]->rows = 3;
                return f;
            }(),
            {.client = too_many_rows + ready()})
        .play_everyhow();
}

TEST_CASE("tier: with shared server connections an answer from there takes none") {
    world w;
    w.share_tier();
    shared_server server{w};
    auto& l = server.log_in();
    const auto before = server.taken;
    l.client(select_kv);
    REQUIRE(l.questions == 1);
    l.tier_answer({find(w, body_of("theirs"))});
    CHECK(show(l.to_client()) == show(answer("theirs")));
    CHECK(server.taken == before);
    // And one that does not come takes one when the tier has answered, and asks no second time.
    w.kv().bump();
    w.now += 1min;
    server.free = false;
    l.client(select_kv);
    l.tier_answer({});
    CHECK(server.waiting == 1);
    l.attach(*server.link);
    server.restored(l);
    CHECK(l.questions == 2);
    server.free = true;
}
