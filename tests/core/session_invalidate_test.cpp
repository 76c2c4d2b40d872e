// What INVALIDATE says of a rule or a tenant reaches entries, answers under way and the shared
// tier, and nobody else's. The tenant stands in application_name, which is no part of a key: two of
// them share their entries until one is named.
#include <doctest/doctest.h>

#include <deque>

#include "tests/core/limited.h"
#include "tests/core/two_sessions.h"

using namespace core_test;
using namespace std::chrono_literals;

namespace {

constexpr cache::instance_id another{'y', 'o', 'u'};
const auto select_other = query("SELECT v FROM other");

policy::tenant_options by_application_name(unsigned max_tenants = 100) {
    return {.limits = policy::enforcement::enforce,
            .sources = {{.where = policy::tenant_source::from::application_name}},
            .max_tenants = max_tenants};
}

struct tenants {
    explicit tenants(const policy::tenant_options& options = by_application_name(),
                     bool tier = false) {
        if (tier) w.share_tier();
        w.limit(options);
    }
    ~tenants() {
        for (auto& l : links) l->client_gone();
        CHECK(w.unrest({}) == "");
    }
    wired& of(std::string name) {
        links.push_back(std::make_unique<wired>(w, (links.size() + 1) << 20));
        links.back()->log_in({{"application_name", name}});
        return *links.back();
    }
    world w;
    std::deque<std::unique_ptr<wired>> links;
};

bool hit(wired& l, std::string_view request = select_kv) {
    l.client(request);
    const bool here = l.to_server().empty();
    if (!here) l.server(answer("from the server"));
    (void)l.to_client();
    return here;
}

}  // namespace

TEST_CASE("invalidate: a tenant gets nothing older, and others go on as before") {
    tenants t;
    auto &a = t.of("a"), &b = t.of("b");
    CHECK(!hit(a));
    CHECK(hit(a));
    CHECK(hit(b));
    t.w.versions.bump_tenant("a");
    CHECK(hit(b));
    CHECK(!hit(a));
    CHECK(hit(a));
    CHECK(hit(b));
    // Each time, and of a session that has not asked before.
    t.w.versions.bump_tenant("a");
    CHECK(!hit(t.of("a")));
    CHECK(hit(a));
}

TEST_CASE("invalidate: what another tenant has put meanwhile is not proven new for the one named") {
    tenants t;
    auto &a = t.of("a"), &b = t.of("b");
    t.w.versions.bump_tenant("a");
    CHECK(!hit(b));
    CHECK(!hit(a));
    CHECK(hit(a));
    t.w.versions.bump_tenant("b");
    CHECK(hit(a));
    CHECK(!hit(b));
}

TEST_CASE("invalidate: an answer under way is not kept for the tenant, named first or again") {
    tenants t;
    auto &a = t.of("a"), &b = t.of("b");
    for (int i = 0; i < 2; ++i) {
        a.client(select_kv);
        REQUIRE(!a.to_server().empty());
        t.w.versions.bump_tenant("a");
        a.server(answer("old"));
        (void)a.to_client();
        CHECK(hit(b) == (i == 0));  // b has not been named, and the second was not kept at all
        CHECK(!hit(a));
        CHECK(hit(a));
        t.w.store.clear();
    }
}

TEST_CASE("invalidate: a batch is as a query is") {
    tenants t;
    auto& a = t.of("a");
    const auto batch = parse("", "SELECT v FROM kv") + bind("") + execute() + sync_now();
    const auto reply =
        parse_complete() + bind_complete() + row_of("x") + completed("SELECT 1") + ready();
    const auto served = [&] {
        a.client(batch);
        const bool here = a.to_server().empty();
        if (!here) a.server(reply);
        CHECK(show(a.to_client()) == show(reply));
        return here;
    };
    CHECK(!served());
    CHECK(served());
    t.w.versions.bump_tenant("a");
    CHECK(!served());
    CHECK(served());
}

TEST_CASE("invalidate: who stands in for a tenant that there is no room for counts as anybody") {
    tenants t{by_application_name(1)};
    auto &a = t.of("a"), &b = t.of("b");
    CHECK(!hit(b));
    CHECK(hit(b));
    CHECK(hit(a));
    t.w.versions.bump_tenant("b");  // known as the default tenant
    CHECK(hit(a));
    CHECK(!hit(b));
    CHECK(hit(b));
}

TEST_CASE("invalidate: where nobody asks who the tenant is, naming one is naming all") {
    two t;
    t.fill("one");
    CHECK(t.hit());
    t.w.versions.bump_tenant("a");
    CHECK(!t.hit());
    CHECK(t.hit());
}

TEST_CASE("invalidate: a rule's entries alone") {
    two t;
    auto next = std::make_shared<policy::cache_rules>(*t.w.rules);
    auto of_kv = next->rules.front();
    of_kv.name = "of_kv";
    of_kv.tables = {"public.kv"};
    next->rules.insert(next->rules.begin(), of_kv);
    t.w.deciders.front().adopt(next, {});
    for (auto* l : {&t.reader, &t.writer}) l->switched();
    for (const auto& request : {select_kv, select_other}) {
        CHECK(!hit(t.reader, request));
        CHECK(hit(t.reader, request));
    }
    t.w.versions.rule("of_kv").bump();
    CHECK(hit(t.reader, select_other));
    CHECK(!hit(t.reader));
    CHECK(hit(t.reader));
    t.w.versions.rule("all").bump();
    CHECK(hit(t.reader));
    CHECK(!hit(t.reader, select_other));
    CHECK(hit(t.reader, select_other));
}

TEST_CASE("invalidate: the shared tier brings nothing back that is older") {
    tenants t{by_application_name(), true};
    auto& a = t.of("a");
    const auto find = [&](std::string_view value, std::chrono::microseconds age) {
        core::tier_find f{.bytes = described() + row_of(value) + completed("SELECT 1"),
                          .rows = 1,
                          .filler = another,
                          .ttl = 5min};
        f.catalog = t.w.db().latest_catalog()->fingerprint();
        f.asked = t.w.now;
        f.age = age;
        return core::tier_finds{f};
    };
    const auto served = [&](std::string_view value, std::chrono::microseconds age) {
        a.client(select_kv);
        REQUIRE(a.questions > 0);
        a.tier_answer(find(value, age));
        const bool here = a.to_server().empty();
        if (!here) a.server(answer("from the server"));
        (void)a.to_client();
        return here;
    };
    CHECK(served("one", 10s));
    CHECK(hit(a));
    t.w.now += 1min;
    t.w.versions.bump_tenant("a");
    CHECK(!served("one", 1min + 10s));
    // Nor later on; what was filled since is served.
    t.w.now += 2min;
    t.w.store.clear();
    CHECK(!served("one", 3min + 10s));
    t.w.store.clear();
    CHECK(served("new", 1min));
    // While the question is under way.
    t.w.store.clear();
    a.client(select_kv);
    t.w.versions.bump_tenant("a");
    a.tier_answer(find("new", 1min));
    CHECK(!a.to_server().empty());
    a.server(answer("from the server"));
}
