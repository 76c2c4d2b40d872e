#include "proxy/ops/tenant_series.h"

#include <doctest/doctest.h>

#include <random>

#include "proxy/ops/observations.h"

using namespace pgsidecar::ops;

namespace {

// Only the first number matters here; the others are made from it.
tenant_series::numbers numbers(std::uint64_t calls) { return {calls, 2 * calls}; }

std::uint64_t shown(const tenant_series& s) {
    auto sum = s.others()[0];
    for (const auto& [name, n] : s.named()) sum += n[0];
    return sum;
}

}  // namespace

TEST_CASE("as long as there is room every name has its own numbers, from its beginning") {
    tenant_series s{2};
    s.update({{"a", numbers(5)}});
    s.update({{"a", numbers(7)}, {"b", numbers(9)}});
    CHECK(s.named().at("a") == numbers(7));
    CHECK(s.named().at("b") == numbers(9));
    CHECK_FALSE(s.has_others());
}

TEST_CASE("above the bound those with most are named, the rest is one sum") {
    tenant_series s{2};
    s.update({{"a", numbers(5)}, {"b", numbers(9)}, {"c", numbers(1)}, {"d", numbers(2)}});
    CHECK(s.named().size() == 2);
    CHECK(s.named().at("a") == numbers(5));
    CHECK(s.named().at("b") == numbers(9));
    CHECK(s.has_others());
    CHECK(s.others() == numbers(3));
}

TEST_CASE("no bound at all: everything is one sum") {
    tenant_series s{0};
    s.update({{"a", numbers(5)}, {"b", numbers(9)}});
    CHECK(s.named().empty());
    CHECK(s.others() == numbers(14));
}

TEST_CASE("a name that rises gets a series from zero; no number steps back by it") {
    tenant_series s{1};
    s.update({{"a", numbers(10)}, {"b", numbers(3)}});
    CHECK(s.others() == numbers(3));
    s.update({{"a", numbers(10)}, {"b", numbers(20)}});  // not yet twice as much
    CHECK(s.named().contains("a"));
    CHECK(s.others() == numbers(20));
    s.update({{"a", numbers(10)}, {"b", numbers(21)}});
    REQUIRE(s.named().contains("b"));
    CHECK(s.named().at("b") == numbers(0));
    CHECK(s.others() == numbers(21));
    s.update({{"a", numbers(11)}, {"b", numbers(25)}});
    CHECK(s.named().at("b") == numbers(4));
    CHECK(s.others() == numbers(22));  // a's one more is among the others now
}

TEST_CASE("a name that was forgotten is counted among the others from then on") {
    tenant_series s{2};
    s.update({{"a", numbers(10)}, {"b", numbers(3)}});
    s.update({{"a", numbers(10)}, {std::string{other_name}, numbers(4)}});
    CHECK_FALSE(s.named().contains("b"));
    CHECK(s.others() == numbers(1));  // what came after the 3 that b had shown
    s.update({{"a", numbers(10)}, {"b", numbers(2)}, {std::string{other_name}, numbers(4)}});
    CHECK(s.named().at("b") == numbers(0));
    CHECK(s.others() == numbers(3));
}

TEST_CASE("whatever comes and goes, a series only grows, and what is new is shown once") {
    std::mt19937 random{7};
    tenant_series s{3};
    tenant_series::table all, before;
    std::uint64_t others = 0, total = 0;
    for (int round = 0; round < 3000; ++round) {
        const auto name = std::string(1, static_cast<char>('a' + random() % 8));
        const std::uint64_t more = random() % 50;
        if (random() % 20 == 0 && all.contains(name)) {  // forgotten, as the collector does
            for (std::size_t i = 0; i < tenant_series::width; ++i)
                all[std::string{other_name}][i] += all[name][i];
            all.erase(name);
        } else {
            all[name][0] += more, all[name][1] += 2 * more;
            total += more;
        }
        s.update(all);
        REQUIRE(s.named().size() <= 3);
        REQUIRE(s.others()[0] >= others);
        for (const auto& [of, n] : s.named()) {
            REQUIRE(n[1] == 2 * n[0]);
            if (before.contains(of) && n[0] < before.at(of)[0]) REQUIRE(n[0] <= more);
        }
        REQUIRE(shown(s) <= total);
        others = s.others()[0];
        before = s.named();
    }
    CHECK(others > 0);
}
