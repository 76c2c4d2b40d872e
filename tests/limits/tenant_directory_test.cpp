// What the directory knows of tenants: one of each name, its tier, no more than there is room for.
#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>

#include "policy/tenants.h"

using namespace std::chrono_literals;
using namespace pgsidecar::policy;

namespace {
using time_point = rate_limiter::time_point;

constexpr time_point start{1h};

tier named(std::string name, std::vector<std::string> members = {}) {
    tier t;
    t.name = std::move(name);
    t.members = std::move(members);
    return t;
}
}  // namespace

TEST_CASE("directory: one name is one tenant") {
    tenant_directory d{{}};
    const auto a = d.find("a", start);
    CHECK(a->name == "a");
    CHECK(d.find("a", start + 1h) == a);
    CHECK(d.find("A", start) != a);
    CHECK(d.find("b", start) != a);
    const auto everyone = d.find("", start);
    CHECK(everyone->name == "default");
    CHECK(d.find("default", start) == everyone);
    CHECK(d.size() == 4);

    tenant_directory other{{.default_tenant = "others"}};
    CHECK(other.find("", start)->name == "others");
    CHECK(other.find("default", start) != other.find("", start));
}

TEST_CASE("directory: the first tier that has the tenant among its members, or the default one") {
    tenant_options options;
    options.default_tier = "basic";
    options.default_tenant = "gold-default";
    options.tiers = {named("unused"), named("gold", {"gold-*", "acme"}),
                     named("silver", {"*-eu", "acme"}), named("basic")};
    tenant_directory d{std::move(options)};
    static constexpr std::pair<std::string_view, std::string_view> rows[] = {
        {"acme", "gold"},   {"gold-1", "gold"},    {"gold-eu", "gold"},
        {"x-eu", "silver"}, {"somebody", "basic"}, {"ACME", "basic"},
        {"acme2", "basic"}, {"basic", "basic"},    {"gold-default", "gold"}};
    for (const auto& [name, want] : rows) {
        CAPTURE(name);
        CHECK(d.find(name, start)->of->name == want);
    }
    CHECK(d.find("", start)->of->name == "gold");

    tenant_directory lost{{.default_tier = "missing", .tiers = {named("a"), named("b")}}};
    CHECK(lost.find("x", start)->of->name == "a");
}

TEST_CASE("directory: all that are known") {
    tenant_directory d{{}};
    const auto a = d.find("a", start), b = d.find("b", start);
    const auto all = d.known();
    CHECK(all.size() == 3);
    CHECK(all.front()->name == "default");
    for (const auto& one : {a, b}) CHECK(std::ranges::find(all, one) != all.end());
}

TEST_CASE("directory: a tenant's tier outlives the directory") {
    auto d = std::make_unique<tenant_directory>(
        tenant_options{.tiers = {named("default"), named("gold", {"a"})}});
    const auto a = d->find("a", start);
    d.reset();
    CHECK(a->of->name == "gold");
}

TEST_CASE("directory: bounded; who is idle and has its whole rate is forgotten for a new name") {
    tenant_directory d{{.limits = enforcement::enforce, .max_tenants = 3}};
    const rate r{.per_minute = 60, .burst = 2};
    const auto held = d.find("held", start);
    held->met[0] = 1;
    CHECK(d.find("used", start)->queries.take(start, r) == 0ns);  // full again after a second
    d.find("idle", start)->met[0] = 2;
    CHECK(d.size() == 4);  // with the default one

    const auto fourth = d.find("fourth", start);
    CHECK(fourth->name == "fourth");
    CHECK(d.size() == 4);
    CHECK(d.find("held", start) == held);

    // Nobody is left to be forgotten: held, used and fourth stay.
    CHECK(d.find("idle", start)->name == "default");
    CHECK(d.find("fifth", start + 900ms)->name == "default");
    CHECK(d.size() == 4);
    CHECK(d.find("fourth", start) == fourth);
    CHECK(!d.find("used", start)->queries.full(start + 900ms));

    CHECK(d.find("fifth", start + 1s)->name == "fifth");       // in place of the used one
    CHECK(d.find("idle", start + 1099ms)->name == "default");  // not looked for that often
    CHECK(d.find("idle", start + 1100ms)->name == "idle");     // in place of the fifth
    CHECK(d.find("idle", start + 1100ms)->met[0] == 0);
    CHECK(d.find("held", start + 1s) == held);
    CHECK(held->met[0] == 1);
}

TEST_CASE("directory: a change of names gives no rate back (trap: one name for each query)") {
    tenant_directory d{{.limits = enforcement::enforce, .max_tenants = 10}};
    const rate r{.per_minute = 1, .burst = 1};
    int taken = 0;
    for (int i = 0; i < 1000; ++i) {
        const auto t = d.find("t" + std::to_string(i % 100), start + i * 1ms);
        taken += t->queries.take(start + i * 1ms, r) == 0ns ? 1 : 0;
    }
    CHECK(taken == 11);  // ten names and the default tenant
}

TEST_CASE("directory: several threads find one tenant for each name, in bounds") {
    constexpr int threads = 4;
    tenant_directory d{{.limits = enforcement::enforce, .max_tenants = 50}};
    const rate r{.per_minute = 1, .burst = 1'000'000};
    std::vector<std::shared_ptr<tenant>> firsts(threads);
    std::atomic<std::uint64_t> wrong{0};
    {
        std::vector<std::jthread> all;
        for (std::size_t t = 0; t < threads; ++t) {
            all.emplace_back([&, t] {
                firsts[t] = d.find("shared", start);
                for (int i = 0; i < 2000; ++i) {
                    // Half of the names come to stay, the others make room for each other.
                    const bool stays = i % 2 == 0;
                    const auto name = (stays ? "s" : "g") + std::to_string(i % (stays ? 40 : 300));
                    const auto got = d.find(name, start);
                    if (got->name != name && got->name != "default") ++wrong;
                    if (stays) wrong += got->queries.take(start, r) == 0ns ? 0U : 1U;
                    if (d.size() > 51) ++wrong;
                }
            });
        }
    }
    CHECK(wrong == 0);
    for (const auto& first : firsts) CHECK(first == firsts[0]);
    CHECK(d.find("shared", start) == firsts[0]);
    CHECK(d.size() <= 51);
}

TEST_CASE("directory: no limit does more than the master switch allows") {
    constexpr enforcement modes[] = {enforcement::off, enforcement::warn, enforcement::enforce};
    for (const auto most : modes) {
        tenant_directory d{{.limits = most}};
        CHECK(d.active() == (most != enforcement::off));
        for (const auto mode : modes) CHECK(d.effective(mode) == std::min(mode, most));
    }
    CHECK(!tenant_directory{{}}.active());
}

TEST_CASE("directory: requests wait for their limits only where these are enforced") {
    constexpr enforcement modes[] = {enforcement::off, enforcement::warn, enforcement::enforce};
    for (const auto most : modes) {
        for (const auto mode : modes) {
            tenant_options options{.limits = most, .tiers = {named("default")}};
            options.tiers[0].max_concurrent = 1;
            options.tiers[0].max_concurrent_mode = mode;
            tenant_directory d{std::move(options)};
            const auto t = d.find("t", start);
            std::vector<gate::ticket> admitted;
            CHECK(d.gate().enter(t->lane, 1, admitted));
            const bool both = most == enforcement::enforce && mode == enforcement::enforce;
            CHECK(d.gate().enter(t->lane, 2, admitted) == !both);
        }
        tenant_directory d{{.limits = most, .max_concurrent_requests = 1}};
        std::vector<gate::ticket> admitted;
        CHECK(d.gate().enter(d.find("a", start)->lane, 1, admitted));
        CHECK(d.gate().enter(d.find("b", start)->lane, 2, admitted) ==
              (most != enforcement::enforce));
    }
}

TEST_CASE("directory: whether statements' texts are looked at") {
    CHECK(!tenant_directory{{.sources = default_sources()}}.reads_comments());
    CHECK(tenant_directory{{.sources = {{.where = tenant_source::from::user},
                                        {.where = tenant_source::from::comment, .name = "tenant"}}}}
              .reads_comments());
}
