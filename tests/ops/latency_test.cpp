#include "proxy/ops/latency.h"

#include <doctest/doctest.h>

namespace {

using pgsidecar::ops::latency;
using us = std::chrono::microseconds;

TEST_CASE("latency: every duration lies within its bucket, and buckets follow each other") {
    for (std::size_t bucket = 1; bucket + 1 < 150; ++bucket) {
        CAPTURE(bucket);
        const auto most = latency::bound(bucket);
        CHECK(latency::bucket_of(most) == bucket);
        CHECK(latency::bucket_of(most + us{1}) == bucket + 1);
        CHECK(latency::bound(bucket - 1) < most);
    }
    CHECK(latency::bucket_of(us{-5}) == 0);
    CHECK(latency::bucket_of(us::max()) == 159);
}

TEST_CASE("latency: a quantile is never too low, and at most a quarter too high") {
    latency all;
    for (int i = 1; i <= 1000; ++i) all.add(us{i});
    CHECK(all.count() == 1000);
    CHECK(all.total() == us{500'500});
    for (const auto& [part, exact] : {std::pair{0.5, 500}, {0.95, 950}, {0.99, 990}, {1.0, 1000}}) {
        CAPTURE(part);
        const auto found = all.quantile(part).count();
        CHECK(found >= exact);
        CHECK(found <= exact * 5 / 4);
    }
    CHECK(latency{}.quantile(0.5) == us{0});
}

TEST_CASE("latency: cumulative counts, merging and differences") {
    latency a, b;
    a.add(us{3});
    a.add(us{100});
    b.add(us{100'000});
    auto sum = a;
    sum.merge(b);
    CHECK(sum.count() == 3);
    CHECK(sum.at_most(us{2}) == 0);
    CHECK(sum.at_most(us{3}) == 1);
    CHECK(sum.at_most(latency::bound(latency::bucket_of(us{100}))) == 2);
    CHECK(sum.at_most(us::max()) == 3);
    const auto later = sum.since(a);
    CHECK(later.count() == 1);
    CHECK(later.total() == us{100'000});
    CHECK(later.at_most(us{99'999}) == 0);
}

}  // namespace
