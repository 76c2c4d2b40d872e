// The thread between the workers and a shared tier, with an engine that does as it is told.
#include "proxy/io/shared_tier.h"

#include <doctest/doctest.h>

#include <future>
#include <map>

using namespace pgsidecar;
using namespace std::chrono_literals;
using steady = std::chrono::steady_clock;

namespace {

// What the test and the tier's thread share.
struct place {
    std::mutex mutex;
    std::condition_variable changed;
    std::map<std::string, std::string> entries;
    std::vector<std::size_t> gets;  // names of each call
    bool away = false, full = false, held = false;
    std::size_t waiting = 0;  // calls that are held
    unsigned opened = 0;

    void hold(bool is) {
        {
            const std::lock_guard lock{mutex};
            held = is;
        }
        changed.notify_all();
    }
    template <class Condition>
    void await(Condition condition) {
        std::unique_lock lock{mutex};
        REQUIRE(changed.wait_for(lock, 60s, condition));
    }
};

class obedient : public io::tier_engine {
  public:
    explicit obedient(place& p) : p_{p} {}
    std::string_view name() const noexcept override { return "redis"; }
    std::string open(time_point) override {
        const std::lock_guard lock{p_.mutex};
        ++p_.opened;
        return p_.away ? "it is away" : "";
    }
    std::string check(time_point) override {
        std::unique_lock lock{p_.mutex};
        const auto asked = steady::now();
        const auto said = hour_ + elapsed();
        clock_.note(said, asked, steady::now());
        return p_.away ? "it is away" : "";
    }
    const core::tier_clock& clock_of(std::string_view) const override { return clock_; }
    std::string get(std::span<io::tier_get> all, time_point) override {
        std::unique_lock lock{p_.mutex};
        p_.gets.push_back(all.size());
        ++p_.waiting;
        p_.changed.notify_all();
        p_.changed.wait(lock, [this] { return !p_.held; });
        --p_.waiting;
        if (p_.away) return "it is away";
        for (auto& g : all) {
            g.now = hour_ + elapsed();
            const auto it = p_.entries.find(g.name);
            g.found = it != p_.entries.end();
            if (g.found) g.sealed = it->second;
        }
        return {};
    }
    std::string put(std::span<io::tier_put> all, time_point) override {
        const std::lock_guard lock{p_.mutex};
        if (p_.away) return "it is away";
        for (auto& p : all) {
            if (p_.full)
                p.refused = "OOM";
            else
                p_.entries[p.name] = p.sealed;
        }
        p_.changed.notify_all();
        return {};
    }
    void close() noexcept override {}

  private:
    static std::chrono::microseconds elapsed() {
        static const auto start = steady::now();
        return std::chrono::duration_cast<std::chrono::microseconds>(steady::now() - start);
    }
    static constexpr std::chrono::microseconds hour_{1h};
    place& p_;
    core::tier_clock clock_;
};

config::settings with(std::chrono::milliseconds timeout = 10s) {
    config::settings s;
    s.shared_cache.timeout = timeout;
    return s;
}

core::tier_question question(std::vector<std::string> keys) {
    core::tier_question q{.number = 1, .keys = {}, .due = steady::now() + 60s};
    for (auto& k : keys) {
        const auto hash = cache::hash_key(k);
        q.keys.push_back({std::move(k), hash});
    }
    return q;
}

std::vector<core::tier_offer> offer(const std::string& key, const std::string& body) {
    std::vector<core::tier_offer> out(1);
    out[0].entry = cache::make_entry(key, body, {}, steady::now() + 1h, 3);
    out[0].hash = cache::hash_key(key);
    out[0].versions = {5, 6};
    out[0].catalog = 7;
    out[0].ttl = 5min;
    out[0].began = steady::now();
    return out;
}

struct tiered {
    explicit tiered(const config::settings& s = with()) : tier{s, std::make_unique<obedient>(p)} {
        tier.start();
    }
    void up() {
        for (const auto end = steady::now() + 60s; !tier.guard().available();) {
            REQUIRE(steady::now() < end);
            std::this_thread::yield();
        }
    }
    std::future<core::tier_finds> ask(core::tier_question q) {
        auto promise = std::make_shared<std::promise<core::tier_finds>>();
        tier.get(std::move(q), [promise](core::tier_finds f) { promise->set_value(std::move(f)); });
        return promise->get_future();
    }
    void fill(const std::string& key, const std::string& body) {
        const auto before = tier.totals().puts;
        tier.put(offer(key, body));
        const auto end = steady::now() + 60s;
        while (tier.totals().puts == before) {
            REQUIRE(steady::now() < end);
            std::this_thread::yield();
        }
    }
    place p;
    io::shared_tier tier;
};

}  // namespace

TEST_CASE("shared tier: what was put is found again, with all that a reader judges by") {
    tiered t;
    t.up();
    t.fill("key", "body");
    const auto found = t.ask(question({"other", "key"})).get();
    REQUIRE(found.size() == 2);
    CHECK(!found[0]);
    REQUIRE(found[1]);
    const auto& f = *found[1];
    CHECK(f.body() == "body");
    CHECK(f.rows == 3);
    CHECK(f.versions == cache::hash128{5, 6});
    CHECK(f.catalog == 7);
    CHECK(f.ttl == 5min);
    CHECK(f.age >= 0us);
    CHECK(f.age < 60s);
    CHECK(f.asked <= steady::now());
}

TEST_CASE("shared tier: what is asked for while it is busy goes out together") {
    tiered t;
    t.up();
    t.p.hold(true);
    auto first = t.ask(question({"a"}));
    t.p.await([&] { return t.p.waiting == 1; });
    std::vector<std::future<core::tier_finds>> others;
    for (int i = 0; i < 10; ++i) others.push_back(t.ask(question({"b", "c"})));
    t.p.hold(false);
    CHECK(first.get().size() == 1);
    for (auto& o : others) CHECK(o.get().size() == 2);
    const std::lock_guard lock{t.p.mutex};
    CHECK(t.p.gets == std::vector<std::size_t>{1, 20});
}

TEST_CASE("shared tier: an entry under another one's name, or damaged, is nothing") {
    tiered t;
    t.up();
    t.fill("key", "body");
    {
        const std::lock_guard lock{t.p.mutex};
        t.p.entries.begin()->second.back() ^= 1;
    }
    CHECK(!t.ask(question({"key"})).get().at(0));
    CHECK(t.tier.totals().harmed == 1);
    CHECK(t.tier.totals().found == 0);
}

TEST_CASE("shared tier: nobody waits for one that is away, and it is tried again") {
    tiered t;
    t.up();
    {
        const std::lock_guard lock{t.p.mutex};
        t.p.away = true;
    }
    CHECK(t.ask(question({"key"})).get().empty());
    CHECK(!t.tier.guard().available());
    CHECK(t.ask(question({"key"})).get().empty());  // at once
    t.tier.put(offer("key", "body"));
    CHECK(t.tier.totals().dropped == 1);
    CHECK(t.tier.totals().outages == 1);
    {
        const std::lock_guard lock{t.p.mutex};
        t.p.away = false;
    }
    t.up();
    CHECK(t.ask(question({"key"})).get().size() == 1);
}

TEST_CASE("shared tier: when sessions have waited in vain for some times it is not asked") {
    tiered t;
    t.up();
    core::tier_work late;
    late.late = 1;
    for (int i = 0; i < 7; ++i) t.tier.count(late);
    CHECK(t.tier.guard().available());
    (void)t.ask(question({"a"})).get();  // in time
    for (int i = 0; i < 7; ++i) t.tier.count(late);
    CHECK(t.tier.guard().available());
    t.p.hold(true);
    auto held = t.ask(question({"a"}));
    t.p.await([&] { return t.p.waiting == 1; });
    t.tier.count(late);
    CHECK(!t.tier.guard().available());
    t.p.hold(false);
    (void)held.get();
    CHECK(t.tier.totals().late == 15);
    t.up();  // it answers in time
}

TEST_CASE("shared tier: a question whose time is up is not sent") {
    tiered t;
    t.up();
    auto q = question({"a"});
    q.due = steady::now();
    CHECK(t.ask(std::move(q)).get().empty());
    const std::lock_guard lock{t.p.mutex};
    CHECK(t.p.gets.empty());
}

TEST_CASE("shared tier: one that is full refuses entries and still answers") {
    tiered t;
    t.up();
    t.fill("key", "body");
    {
        const std::lock_guard lock{t.p.mutex};
        t.p.full = true;
    }
    t.tier.put(offer("key2", "body"));
    CHECK(t.ask(question({"key"})).get().at(0).has_value());
    const auto end = steady::now() + 60s;
    while (t.tier.totals().put_refused == 0) {
        REQUIRE(steady::now() < end);
        std::this_thread::yield();
    }
    CHECK(t.tier.guard().available());
}

TEST_CASE("shared tier: no more than max_queued waits") {
    auto s = with();
    s.shared_cache.max_queued = 64U << 10;
    tiered t{s};
    t.up();
    t.p.hold(true);
    auto held = t.ask(question({"a"}));
    t.p.await([&] { return t.p.waiting == 1; });
    for (int i = 0; i < 10; ++i)
        t.tier.put(offer("key" + std::to_string(i), std::string(20'000, 'x')));
    CHECK(t.tier.totals().dropped == 7);
    CHECK(t.tier.totals().queued_bytes > 60'000);
    t.p.hold(false);
    (void)held.get();
    const auto end = steady::now() + 60s;
    while (t.tier.totals().queued_bytes > 0) {
        REQUIRE(steady::now() < end);
        std::this_thread::yield();
    }
    CHECK(t.tier.totals().puts == 3);
}

TEST_CASE("shared tier: an answer that has lived its time is not put any more") {
    tiered t;
    t.up();
    auto old = offer("old", "body");
    old[0].began -= 6min;
    t.tier.put(std::move(old));
    t.fill("new", "body");
    const std::lock_guard lock{t.p.mutex};
    CHECK(t.p.entries.size() == 1);
}

TEST_CASE("shared tier: the end comes also while it is asked") {
    tiered t;
    t.up();
    t.p.hold(true);
    auto held = t.ask(question({"a"}));
    t.p.await([&] { return t.p.waiting == 1; });
    std::thread ending{[&] { t.tier.stop(); }};
    t.p.hold(false);
    ending.join();
    CHECK(t.ask(question({"a"})).get().empty());
}
