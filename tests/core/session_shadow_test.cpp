// mode: shadow asks the server each time, and compares; rollout_percent leaves tenants out.
#include <doctest/doctest.h>

#include "policy/rollout.h"
#include "tests/core/limited.h"
#include "tests/core/two_sessions.h"

using namespace core_test;
using policy::reason;

namespace {

struct shadowed : two {
    shadowed() { mode(policy::rule_mode::shadow); }
    void mode(policy::rule_mode m) {
        auto next = std::make_shared<policy::cache_rules>(*w.rules);
        next->rules.front().mode = m;
        w.deciders.front().adopt(next, {});
        for (auto* l : {&reader, &writer}) l->switched();
    }
    // "equal", "different", or "" where nothing was compared; it always comes from the server.
    std::string ask(std::string_view value, const std::string& request = select_kv) {
        reader.client(request);
        REQUIRE(show(reader.to_server()) == show(request));
        const auto reply = answer(value);
        reader.server(reply);
        CHECK(show(reader.to_client()) == show(reply));
        const auto found = reader.compared();
        if (found.empty()) return {};
        CHECK(found.size() == 1);
        CHECK(*found.front().rule == "all");
        CHECK(found.front().text->sql == "SELECT v FROM kv");
        return found.front().equal ? "equal" : "different";
    }
};

}  // namespace

TEST_CASE("shadow: the server answers each time, and is compared from the second time on") {
    shadowed s;
    CHECK(s.ask("one") == "");
    CHECK(s.ask("one") == "equal");
    CHECK(s.ask("two") == "different");
    CHECK(s.ask("two") == "equal");  // the newest is kept
    CHECK(s.reader.outcomes() == std::vector(4, reason::shadow));
}

TEST_CASE("shadow: a proxied write, done or under way, is no difference") {
    shadowed s;
    CHECK(s.ask("one") == "");
    s.writer.client(query("INSERT INTO kv VALUES ('1')"));
    CHECK(s.ask("two") == "");  // its commit is in flight
    s.writer.server(completed("INSERT 0 1") + ready());
    CHECK(s.ask("two") == "");
    CHECK(s.ask("two") == "equal");
    // Between the question and the answer.
    s.reader.client(select_kv);
    s.writer.client(query("INSERT INTO kv VALUES ('1')"));
    s.writer.server(completed("INSERT 0 1") + ready());
    s.reader.server(answer("three"));
    CHECK(s.reader.compared().empty());
}

TEST_CASE("shadow: an error and a refusal to record are no difference") {
    shadowed s;
    CHECK(s.ask("one") == "");
    s.reader.client(select_kv);
    s.reader.server(failed("42501") + ready());
    (void)s.reader.to_server();
    (void)s.reader.to_client();
    CHECK(s.reader.compared().empty());
    s.reader.client(select_kv);
    s.reader.server(notice() + answer("two"));
    CHECK(s.reader.compared().empty());
    (void)s.reader.to_server();
    (void)s.reader.to_client();
    CHECK(s.ask("one") == "equal");
}

TEST_CASE("shadow: batches are compared part by part") {
    shadowed s;
    const auto run = bind("") + execute();
    const auto batch = parse("", "SELECT v FROM kv") + run + run + sync_now();
    const auto reply = [](std::string_view a, std::string_view b) {
        return parse_complete() + bind_complete() + row_of(a) + completed("SELECT 1") +
               bind_complete() + row_of(b) + completed("SELECT 1") + ready();
    };
    const auto ask = [&](std::string_view a, std::string_view b) {
        s.reader.client(batch);
        REQUIRE(show(s.reader.to_server()) == show(batch));
        s.reader.server(reply(a, b));
        CHECK(show(s.reader.to_client()) == show(reply(a, b)));
        std::string out;
        for (const auto& one : s.reader.compared()) out += one.equal ? '=' : '!';
        return out;
    };
    CHECK(ask("x", "x") == "");
    CHECK(ask("x", "x") == "==");
    CHECK(ask("x", "y") == "=!");
    CHECK(s.reader.outcomes() == std::vector(6, reason::shadow));
}

TEST_CASE("shadow: nobody waits for another's answer") {
    shadowed s;
    s.reader.client(select_kv);
    s.writer.client(select_kv);
    CHECK(show(s.reader.to_server()) == show(select_kv));
    CHECK(show(s.writer.to_server()) == show(select_kv));
    s.reader.server(answer("one"));
    s.writer.server(answer("one"));
    CHECK(s.w.flights.size().flights == 0);
}

TEST_CASE("shadow: what it has kept is served when the rule is on") {
    shadowed s;
    CHECK(s.ask("one") == "");
    s.mode(policy::rule_mode::on);
    CHECK(s.hit());
}

TEST_CASE("rollout: tenants stay in as it grows, and rules differ in whom they take first") {
    std::size_t in = 0, both = 0;
    for (int i = 0; i < 1000; ++i) {
        const auto tenant = "tenant-" + std::to_string(i);
        unsigned first = 0;
        while (!policy::in_rollout(tenant, "rule", first)) ++first;
        for (unsigned percent = 0; percent <= 100; ++percent)
            CHECK(policy::in_rollout(tenant, "rule", percent) == (percent >= first));
        CHECK(first > 0);
        const bool here = policy::in_rollout(tenant, "rule", 20);
        in += here ? 1U : 0U;
        both += here && policy::in_rollout(tenant, "another", 20) ? 1U : 0U;
    }
    CHECK(in > 150);
    CHECK(in < 250);
    CHECK(both < 80);
    // For ever: what is written here is what sidecars of other versions do.
    CHECK_FALSE(policy::in_rollout("clinic-7", "prescriptions", 18));
    CHECK(policy::in_rollout("clinic-7", "prescriptions", 19));
}

TEST_CASE("rollout: whose turn has not come is not served") {
    world w;
    w.rules->rules.front().rollout_percent = 50;
    w.options.rollout = true;
    policy::tenant_options tenants;
    tenants.sources = {{.where = policy::tenant_source::from::setting, .name = "app.tenant_id"}};
    w.limit(tenants);
    wired l{w};
    l.log_in();
    std::size_t served = 0, left_out = 0;
    for (int i = 0; i < 20; ++i) {
        const auto name = std::to_string(i);
        const auto set = query("SET app.tenant_id = '" + name + "'");
        l.client(set);
        l.server(completed("SET") + ready());
        (void)l.outcomes();
        (void)l.to_server();
        for (int times = 0; times < 2; ++times) {
            l.client(select_kv);
            if (!l.to_server().empty()) l.server(answer("one"));
        }
        const auto got = l.outcomes();
        const bool in = policy::in_rollout(name, "all", 50);
        CHECK(got ==
              (in ? std::vector{reason::miss, reason::hit} : std::vector(2, reason::rollout)));
        ++(in ? served : left_out);
    }
    CHECK(served > 0);
    CHECK(left_out > 0);
    l.client_gone();
}

TEST_CASE("rollout: nobody is in it while the tenant is not known") {
    world w;
    w.rules->rules.front().rollout_percent = 99;
    wired l{w};
    l.log_in();
    l.client(select_kv);
    l.server(answer("one"));
    CHECK(l.outcomes() == std::vector{reason::rollout});
    l.client_gone();
}
