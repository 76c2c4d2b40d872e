#include "proxy/core/memo.h"

#include <doctest/doctest.h>

#include <string>

namespace {

using pgsidecar::core::memo;

std::string_view itself(const std::string& text) { return text; }
using texts = memo<std::string, itself>;

void keep(texts& m, std::string text, std::size_t cost) {
    m.keep(std::make_shared<const std::string>(std::move(text)), cost);
}

}  // namespace

TEST_CASE("memo: what was asked for outlives what was not") {
    texts m{80};
    for (const auto* text : {"a", "b", "c", "d", "e", "f", "g", "h"}) keep(m, text, 10);
    CHECK(m.bytes() == 80);
    CHECK(m.find("a"));
    for (int time = 0; time < 2; ++time) keep(m, "i", 10);
    CHECK(m.bytes() == 80);
    CHECK(m.find("a"));
    CHECK_FALSE(m.find("b"));
    CHECK(m.find("i"));
}

TEST_CASE("memo: it is bounded, and what is asked often stays while others come and go") {
    texts m{8000};
    keep(m, "often", 1000);
    for (int i = 0; i < 100; ++i) {
        for (int time = 0; time < 2; ++time) keep(m, std::to_string(i), 1000);
        CHECK(m.bytes() <= 8000);
        CHECK(m.find("often"));
    }
    CHECK_FALSE(m.find("0"));
    CHECK(m.find("99"));
}

TEST_CASE("memo: what comes once pushes out nothing, what comes again is let in") {
    texts m{800};
    const auto held = [&](const std::string& name, int many) {
        int found = 0;
        for (int i = 0; i < many; ++i) found += m.find(name + std::to_string(i)) != nullptr;
        return found;
    };
    for (int i = 0; i < 80; ++i) keep(m, "known " + std::to_string(i), 10);
    for (int i = 0; i < 50'000; ++i) keep(m, "passing " + std::to_string(i), 10);
    CHECK(held("known ", 80) == 80);
    for (int i = 0; i < 10; ++i) {
        keep(m, "back " + std::to_string(i), 10);
        keep(m, "passing once more " + std::to_string(i), 10);
        keep(m, "back " + std::to_string(i), 10);
        CHECK(m.bytes() <= 800);
    }
    CHECK(held("back ", 10) == 10);
    CHECK(held("passing once more ", 10) == 0);
    CHECK(held("known ", 80) == 70);
}

TEST_CASE("memo: one value does not push out the others, and a second of the same text none") {
    texts m{80};
    keep(m, "a", 10);
    keep(m, "too much", 11);
    CHECK_FALSE(m.find("too much"));
    const auto first = m.find("a");
    keep(m, "a", 10);
    CHECK(m.find("a") == first);
    CHECK(m.bytes() == 10);
}

TEST_CASE("memo: a lower limit takes what was not asked for, at once; who holds a value keeps it") {
    texts m{800};
    for (const auto* text : {"a", "b", "c"}) keep(m, text, 10);
    const auto held = m.find("b");
    m.limit(10);
    CHECK(m.bytes() == 10);
    CHECK_FALSE(m.find("a"));
    CHECK_FALSE(m.find("c"));
    CHECK(m.find("b") == held);
    m.limit(0);
    CHECK(m.bytes() == 0);
    CHECK_FALSE(m.find("b"));
    CHECK(*held == "b");
}
