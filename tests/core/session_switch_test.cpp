// Sessions that are told to behave otherwise while they are under way: the master switch, a reload,
// other limits. Off is at once and lets go what waits; on serves nothing that is not so any more.
#include <doctest/doctest.h>

#include <functional>

#include "tests/core/limited.h"
#include "tests/core/session_group.h"

using namespace core_test;
using limited::limits;
using limited::over_rate;
using policy::reason;

namespace {

const auto select_kv = query("SELECT v FROM kv");
const auto insert_kv = query("INSERT INTO kv VALUES ('1')");
const auto inserted = completed("INSERT 0 1") + ready();

// Some sessions that share the cache, on one worker, followed whether it is on or off.
struct crowd : session_group {
    explicit crowd(std::size_t sessions = 2, bool starts_on = true,
                   std::optional<policy::tenant_options> given = {}) {
        w.options.follow = true;
        w.options.cache = starts_on;
        if (given) w.limit(std::move(*given));
        log_in(sessions);
    }
    // As the worker does, in either order.
    void turn(bool on, bool backwards = false) {
        w.options.cache = on;
        tell(backwards);
    }
    void tell(bool backwards = false) {
        for (std::size_t i = 0; i < each.size(); ++i)
            each[backwards ? each.size() - 1 - i : i]->switched();
        deliver();
    }
    void passes(std::size_t i, const std::string& request, const std::string& reply) {
        auto& l = *each[i];
        l.client(request);
        REQUIRE(show(l.to_server()) == show(request));
        l.server(reply);
        REQUIRE(show(l.to_client()) == show(reply));
    }
    // What the cache says; empty: the server was asked, and said `otherwise`.
    std::string ask(std::size_t i, const std::string& otherwise = answer("server"),
                    const std::string& request = select_kv) {
        auto& l = *each[i];
        l.client(request);
        if (l.to_server().empty()) return l.to_client();
        l.server(otherwise);
        (void)l.to_client();
        return {};
    }
    void rules(const std::function<void(policy::cache_rule&)>& change) {
        auto next = std::make_shared<policy::cache_rules>(*w.rules);
        change(next->rules.front());
        for (auto& d : w.deciders) d.adopt(next, {});
        tell();
    }
};

}  // namespace

TEST_CASE("switch: off, the next request goes to the server; on, it is answered again") {
    crowd c;
    c.passes(0, select_kv, answer("one"));
    CHECK(show(c.ask(1)) == show(answer("one")));
    (void)c[1].outcomes();
    c.turn(false);
    CHECK(c.ask(1) == "");
    CHECK(c[1].outcomes() == std::vector{reason::disabled});
    c.turn(true);
    CHECK(show(c.ask(1)) == show(answer("one")));
}

TEST_CASE("switch: a held batch leaves at once, and the rest of it after it") {
    crowd c{1};
    const auto front = parse("", "SELECT v FROM kv") + bind("") + execute();
    c[0].client(front);
    CHECK(c[0].to_server().empty());
    c.turn(false);
    CHECK(show(c[0].to_server()) == show(front));
    c[0].client(sync_now());
    CHECK(show(c[0].to_server()) == show(sync_now()));
    const auto reply =
        parse_complete() + bind_complete() + row_of("one") + completed("SELECT 1") + ready();
    c[0].server(reply);
    CHECK(show(c[0].to_client()) == show(reply));
}

TEST_CASE("switch: off, batches are passed message by message") {
    crowd c{1};
    c.turn(false);
    for (const auto& part : {parse("", "SELECT v FROM kv"), bind(""), execute(), sync_now()}) {
        c[0].client(part);
        CHECK(show(c[0].to_server()) == show(part));
    }
    c[0].server(parse_complete() + bind_complete() + row_of("one") + completed("SELECT 1") +
                ready());
    CHECK(c[0].outcomes() == std::vector{reason::disabled});
}

TEST_CASE("switch: a request that waits behind settings goes on") {
    crowd c{1};
    const auto set = query("SET datestyle = 'ISO'");
    c[0].client(set + select_kv);
    CHECK(show(c[0].to_server()) == show(set));  // the query waits for the setting
    c.turn(false);
    CHECK(show(c[0].to_server()) == show(select_kv));
    c[0].server(completed("SET") + ready() + answer("one"));
}

TEST_CASE("switch: who follows another's miss asks for itself, and what comes is not kept") {
    for (const bool backwards : {false, true}) {
        CAPTURE(backwards);
        crowd c{3};
        for (auto& l : c.each) l->client(select_kv);
        CHECK(show(c[0].to_server()) == show(select_kv));
        CHECK(c.w.flights.size().followers == 2);
        c.turn(false, backwards);
        CHECK(c.w.flights.size().flights == 0);
        for (std::size_t i = 1; i < 3; ++i) CHECK(show(c[i].to_server()) == show(select_kv));
        for (auto& l : c.each) {
            l->server(answer("one"));
            CHECK(show(l->to_client()) == show(answer("one")));
        }
        c.turn(true);
        CHECK(c.w.store.statistics().entries == 0);
        CHECK(c.ask(1) == "");
        CHECK(show(c.ask(2)) == show(answer("server")));
    }
}

TEST_CASE("switch: who was to lead a flight next leaves it") {
    crowd c{3};
    for (auto& l : c.each) l->client(select_kv);
    c[0].server_gone();
    c.w.options.cache = false;
    c[1].switched();
    c.deliver();
    c[2].switched();
    c.deliver();
    CHECK(c.w.flights.size().flights == 0);
    for (std::size_t i = 1; i < 3; ++i) {
        CHECK(show(c[i].to_server()) == show(select_kv));
        c[i].server(answer("one"));
        CHECK(show(c[i].to_client()) == show(answer("one")));
    }
}

TEST_CASE("switch: an answer that began before is kept neither off nor on again") {
    crowd c;
    c[0].client(select_kv);
    c.turn(false);
    c.turn(true);
    c[0].server(answer("one"));
    CHECK(show(c[0].to_client()) == show(answer("one")));
    CHECK(c.ask(1) == "");
}

TEST_CASE("switch: what is written while it is off is seen when it is on") {
    crowd c;
    c.passes(0, select_kv, answer("old"));
    c.turn(false);
    c.passes(1, insert_kv, inserted);
    c.turn(true);
    CHECK(c.ask(0) == "");
}

TEST_CASE("switch: a write whose transaction is open over all of it is seen") {
    crowd c;
    c.passes(0, select_kv, answer("old"));
    c.passes(1, limited::begin, limited::begun);
    c.turn(false);
    c.passes(1, insert_kv, completed("INSERT 0 1") + ready('T'));
    c.turn(true);
    CHECK(c.ask(1, completed("SELECT 0") + ready('T')) == "");  // never in a block
    CHECK(show(c.ask(0)) == show(answer("old")));               // it is not committed yet
    c.passes(1, query("COMMIT"), completed("COMMIT") + ready());
    CHECK(c.ask(0) == "");
}

TEST_CASE("switch: sessions that begin while it is off are followed") {
    crowd c{3, false};
    c.passes(0, query("SET datestyle = 'German'"), completed("SET") + ready());
    c.passes(1, query("DO $$ BEGIN PERFORM 1; END $$"), completed("DO") + ready());
    c.w.publish();  // which may have changed anything
    c.turn(true);
    c.passes(2, select_kv, answer("iso"));
    CHECK(show(c.ask(2)) == show(answer("iso")));
    CHECK(c.ask(0) == "");  // under settings of its own
    CHECK(show(c.ask(0)) == show(answer("server")));
    (void)c[1].outcomes();
    CHECK(c.ask(1) == "");  // whatever that has done
    CHECK(c[1].outcomes() == std::vector{reason::tainted_session});
    CHECK(c.ask(1) == "");
}

TEST_CASE("switch: a write of a session that began while it is off outdates what comes later") {
    crowd c{2, false};
    c.turn(true);
    c.passes(1, select_kv, answer("old"));
    c.turn(false);
    c.passes(0, insert_kv, inserted);
    c.turn(true);
    CHECK(c.ask(1) == "");
}

TEST_CASE("switch: a session that was not followed is never answered here") {
    world w;
    w.options.cache = false;
    wired l{w};
    l.log_in();
    w.options.cache = true;
    l.switched();
    for (int i = 0; i < 2; ++i) {
        l.client(select_kv);
        CHECK(show(l.to_server()) == show(select_kv));
        l.server(answer("one"));
        CHECK(show(l.to_client()) == show(answer("one")));
    }
    l.client_gone();
}

TEST_CASE("switch: a rule that is turned off counts at the next statement, and so its return") {
    crowd c{1};
    c.passes(0, select_kv, answer("one"));
    CHECK(show(c.ask(0)) == show(answer("one")));
    (void)c[0].outcomes();
    c.rules([](auto& r) { r.mode = policy::rule_mode::off; });
    CHECK(c.ask(0) == "");
    CHECK(c[0].outcomes() == std::vector{reason::rule_off});
    c.rules([](auto& r) { r.tables = {"other"}; });
    CHECK(c.ask(0) == "");
    CHECK(c[0].outcomes() == std::vector{reason::no_rule});
    c.rules([](auto&) {});
    CHECK(show(c.ask(0)) == show(answer("one")));
}

TEST_CASE("switch: a shorter ttl counts for what is kept from then on") {
    crowd c{1};
    c.rules([](auto& r) { r.ttl = std::chrono::seconds{1}; });
    c.passes(0, select_kv, answer("one"));
    c.w.now += std::chrono::seconds{2};
    CHECK(c.ask(0) == "");
}

TEST_CASE("switch: limits begin with a request of an idle session") {
    crowd c{2, true, policy::tenant_options{}};
    c.passes(1, limited::begin, limited::begun);
    c.w.tenants->adopt(limited::two_a_minute);
    c.tell();
    for (int i = 0; i < 2; ++i) c.passes(0, insert_kv, inserted);
    c[0].client(insert_kv);
    CHECK(show(c[0].to_client()) == show(over_rate + ready()));
    // The block was begun without limits, and ends so.
    c.passes(1, insert_kv, completed("INSERT 0 1") + ready('T'));
    c.passes(1, query("COMMIT"), completed("COMMIT") + ready());
    c[1].client(insert_kv);
    CHECK(show(c[1].to_client()) == show(over_rate + ready()));
}

TEST_CASE("switch: other limits keep what was used") {
    crowd c{1, true, limited::two_a_minute};
    for (int i = 0; i < 2; ++i) c.passes(0, insert_kv, inserted);
    c.w.tenants->adopt(limits([](policy::tier& t, auto&) {
        t.queries_per_minute = 2;
        t.burst = 3;
    }));
    c.tell();
    c.passes(0, insert_kv, inserted);  // one more than before
    c[0].client(insert_kv);
    CHECK(show(c[0].to_client()).find("55P03") != std::string::npos);
}

TEST_CASE("switch: limits off, who waits for its turn runs, and a block is not limited any more") {
    crowd c{3, true, limits([](policy::tier& t, auto&) {
                t.max_concurrent = 1;
                t.max_result_rows = 1;
            })};
    for (std::size_t i = 0; i < 2; ++i) c[i].client(insert_kv);
    CHECK(show(c[0].to_server()) == show(insert_kv));
    CHECK(c[1].to_server().empty());
    c.w.tenants->adopt({});
    c.tell();
    CHECK(show(c[1].to_server()) == show(insert_kv));
    for (std::size_t i = 0; i < 2; ++i) {
        c[i].server(inserted);
        CHECK(show(c[i].to_client()) == show(inserted));
    }
    const auto rows = row_of("a") + row_of("b") + completed("SELECT 2") + ready();
    c.passes(2, query("SELECT v FROM other"), described() + rows);
}

TEST_CASE("switch: limits off in the middle of a block, on again after it") {
    crowd c{1, true, limited::two_a_minute};
    c.passes(0, limited::begin, limited::begun);
    for (int i = 0; i < 2; ++i) c.passes(0, insert_kv, completed("INSERT 0 1") + ready('T'));
    c.w.tenants->adopt({});
    c.tell();
    c.passes(0, insert_kv, completed("INSERT 0 1") + ready('T'));
    c.w.tenants->adopt(limited::two_a_minute);
    c.tell();
    c.passes(0, insert_kv, completed("INSERT 0 1") + ready('T'));
    c.passes(0, query("COMMIT"), completed("COMMIT") + ready());
    c[0].client(insert_kv);
    CHECK(show(c[0].to_client()) == show(over_rate + ready()));
}

TEST_CASE("switch: what was not timed from its beginning has no measurement") {
    crowd c{1, true, policy::tenant_options{}};
    c[0].client(insert_kv);
    c.w.options.measures = true;
    c.tell();
    c[0].server(inserted);
    (void)c[0].to_server();
    (void)c[0].to_client();
    c.passes(0, insert_kv, inserted);
    CHECK(c[0].measured().size() == 1);
}
