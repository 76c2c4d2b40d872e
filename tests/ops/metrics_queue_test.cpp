// Rows on their way into prescription_query_metrics: what waits, what is dropped, how it is
// written.
#include "proxy/ops/metrics_queue.h"

#include <doctest/doctest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace pgsidecar::ops;
using namespace std::chrono_literals;

namespace {

struct named_row : metrics_row {
    metrics_batch::name tenant, type;
};

named_row row(std::string tenant, std::string type = "select") {
    named_row out;
    out.tenant = std::make_shared<const std::string>(std::move(tenant));
    out.type = std::make_shared<const std::string>(std::move(type));
    return out;
}

void add(metrics_batch& to, const named_row& r) { to.add(r, r.tenant, *r.tenant, r.type); }

metrics_batch rows(std::size_t count, const std::string& tenant = "t") {
    metrics_batch out;
    const auto each = row(tenant);
    for (std::size_t i = 0; i < count; ++i) add(out, each);
    return out;
}

void put(metrics_queue& q, metrics_batch batch) { q.add(batch); }

std::string written(const named_row& r, std::chrono::seconds offset = 0s, bool ascii = false) {
    metrics_batch one;
    add(one, r);
    return copy_text(one, offset, ascii);
}

}  // namespace

TEST_CASE("metrics: a row as COPY has it") {
    auto r = row("clinic", "prescriptions");
    r.ended = std::chrono::sys_days{std::chrono::year{2026} / 2 / 28} + 23h + 59min + 58s + 7us;
    r.took = metrics_row::clamp(1234567us);
    r.rows = 42;
    CHECK(written(r) == "clinic\tprescriptions\t1234.57\t42\t2026-02-28 23:59:58.000007\n");
    CHECK(written(r, 5h + 45min) ==
          "clinic\tprescriptions\t1234.57\t42\t2026-03-01 05:44:58.000007\n");
    CHECK(written(r, -24h) == "clinic\tprescriptions\t1234.57\t42\t2026-02-27 23:59:58.000007\n");
}

TEST_CASE("metrics: times are rounded to hundredths of a millisecond, and bounded") {
    const struct {
        std::chrono::nanoseconds exact;
        const char* text;
    } all[] = {{0ns, "0.00"},          {4999ns, "0.01"},      {4us, "0.00"},
               {14us, "0.01"},         {15us, "0.02"},        {-3s, "0.00"},
               {999'995us, "1000.00"}, {71min, "4260000.00"}, {5h, "4294967.30"}};
    for (const auto& one : all) {
        CAPTURE(one.text);
        auto r = row("t");
        r.took = metrics_row::clamp(one.exact);
        CHECK(written(r).find(std::string{"\t"} + one.text + "\t0\t") != std::string::npos);
    }
}

TEST_CASE("metrics: a count that the column cannot hold is the greatest that it can") {
    auto r = row("t");
    r.rows = metrics_row::clamp(std::uint64_t{1} << 40);
    CHECK(written(r).find("\t2147483647\t") != std::string::npos);
}

TEST_CASE("metrics: names keep their place in the line") {
    CHECK(written(row("a\tb\nc\\d\re")).starts_with("a\\tb\\nc\\\\d\\re\tselect\t"));
    CHECK(written(row("\\N")).starts_with("\\\\N\t"));
    CHECK(written(row("\xc3\xbc\xe2\x82\xac.")).starts_with("\xc3\xbc\xe2\x82\xac.\t"));
    CHECK(written(row("\xc3\xbc\xe2\x82\xac."), 0s, true).starts_with("??.\t"));
}

TEST_CASE("metrics: a type is cut to fifty characters, not bytes") {
    std::string fifty;
    for (int i = 0; i < 50; ++i) fifty += "\xc3\xbc";
    CHECK(written(row("t", fifty)).starts_with("t\t" + fifty + "\t"));
    CHECK(written(row("t", fifty + "\xc3\xbcx")).starts_with("t\t" + fifty + "\t"));
}

TEST_CASE("metrics: what does not fit is dropped and counted, the oldest stays") {
    metrics_queue q{10};
    put(q, rows(6));
    put(q, rows(6));
    put(q, rows(3));
    CHECK(q.count().waiting == 10);
    CHECK(q.count().dropped == 5);
    REQUIRE(q.front(0ms));
    CHECK(q.front(0ms)->size() == 10);
    put(q, rows(1));
    CHECK(q.count().dropped == 6);
    q.done(true);
    CHECK(q.count().written == 10);
    CHECK(q.count().waiting == 0);
    put(q, rows(7));
    CHECK(q.front(0ms)->size() == 7);
    q.done(false);
    CHECK(q.count().dropped == 13);
    CHECK(q.count().written == 10);
    CHECK(q.front(0ms) == nullptr);
}

TEST_CASE("metrics: what is being written stays as it is while others are added") {
    metrics_queue q{100'000};
    put(q, rows(1, "first"));
    const auto* first = q.front(0ms);
    for (int i = 0; i < 10'000; ++i) put(q, rows(1));
    CHECK(q.front(0ms) == first);
    REQUIRE(first->size() == 1);
    CHECK(*first->names()[first->rows()[0].tenant] == "first");
}

TEST_CASE("metrics: rows that come one at a time take no more memory than many at once") {
    constexpr std::size_t count = 100'000;
    metrics_queue q{count};
    for (std::size_t i = 0; i < count; ++i) put(q, rows(1, std::to_string(i)));
    std::size_t held = 0, seen = 0;
    while (const auto* batch = q.front(0ms)) {
        held += batch->held_bytes();
        seen += batch->size();
        q.done(true);
    }
    CHECK(seen == count);
    CHECK(held <= count * 64);
}

TEST_CASE("metrics: each row keeps its names, however the batches are cut and joined") {
    constexpr int tenants = 300, types = 7, count = 12'000;  // more names than are found at once
    std::vector<metrics_batch::name> tenant, type;
    for (int i = 0; i < tenants; ++i)
        tenant.push_back(std::make_shared<const std::string>("t" + std::to_string(i)));
    for (int i = 0; i < types; ++i)
        type.push_back(std::make_shared<const std::string>("y" + std::to_string(i)));
    metrics_queue q{count};
    metrics_batch part;
    for (int i = 0; i < count; ++i) {
        const auto& who = tenant[static_cast<std::size_t>(i * 31 % tenants)];
        part.add({.ended = {}, .rows = static_cast<std::uint32_t>(i)}, who, *who,
                 type[static_cast<std::size_t>(i % types)]);
        if (i % 9973 != 0 && !part.full() && i + 1 != count) continue;
        q.add(part);
        REQUIRE(part.empty());
    }
    std::string text;
    while (const auto* batch = q.front(0ms)) {
        text += copy_text(*batch, 0s, false);
        q.done(true);
    }
    std::string want;
    for (int i = 0; i < count; ++i)
        want += "t" + std::to_string(i * 31 % tenants) + "\ty" + std::to_string(i % types) +
                "\t0.00\t" + std::to_string(i) + "\t1970-01-01 00:00:00.000000\n";
    CHECK(text == want);
}

TEST_CASE("metrics: several add while one takes, and close() wakes who waits") {
    metrics_queue q{1'000'000};
    constexpr int threads = 4, batches = 500;
    std::vector<std::thread> adding;
    for (int t = 0; t < threads; ++t)
        adding.emplace_back([&q] {
            for (int i = 0; i < batches; ++i) put(q, rows(3));
        });
    std::thread taking{[&q] {
        while (q.front(1h)) q.done(true);
    }};
    for (auto& t : adding) t.join();
    q.close();
    taking.join();
    CHECK(q.closed());
    CHECK(q.count().written == std::uint64_t{threads} * batches * 3);
    q.pause(1h);
}
