// Admission: limits hold, nobody is forgotten, tenants take turns.
#include "policy/gate.h"

#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <map>
#include <random>
#include <thread>
#include <vector>

using namespace pgsidecar::policy;

namespace {
using tickets = std::vector<gate::ticket>;
}

TEST_CASE("gate: without limits everything runs") {
    gate g;
    gate::lane l;
    tickets admitted;
    for (gate::ticket t = 0; t < 1000; ++t) CHECK(g.enter(l, t, admitted));
    CHECK(l.running() == 1000);
    for (int i = 0; i < 1000; ++i) g.leave(l, admitted);
    CHECK(g.running() == 0);
    CHECK(admitted.empty());
}

TEST_CASE("gate: above the tenant's limit requests wait, and run in their order") {
    gate g;
    gate::lane l;
    l.limit(2);
    tickets admitted;
    CHECK(g.enter(l, 1, admitted));
    CHECK(g.enter(l, 2, admitted));
    for (const gate::ticket t : {3, 4, 5}) CHECK(!g.enter(l, t, admitted));
    CHECK(g.waiting() == 3);
    CHECK(l.waiting() == 3);
    g.leave(l, admitted);
    CHECK(admitted == tickets{3});
    CHECK(l.waiting() == 2);
    g.leave(l, admitted);
    g.leave(l, admitted);
    CHECK(admitted == tickets{3, 4, 5});
    CHECK(l.running() == 2);
    CHECK(g.waiting() == 0);
    CHECK(l.waiting() == 0);
}

TEST_CASE("gate: one tenant at its limit is in nobody's way") {
    gate g;
    gate::lane noisy, quiet;
    noisy.limit(1);
    tickets admitted;
    CHECK(g.enter(noisy, 1, admitted));
    for (gate::ticket t = 2; t < 100; ++t) CHECK(!g.enter(noisy, t, admitted));
    for (gate::ticket t = 100; t < 200; ++t) CHECK(g.enter(quiet, t, admitted));
    CHECK(admitted.empty());
}

TEST_CASE("gate: where all wait for the limit of all, tenants take turns") {
    gate g{1};
    std::array<gate::lane, 3> lanes;
    tickets admitted;
    CHECK(g.enter(lanes[0], 1, admitted));
    // A hundred of the noisy one, then two of each other.
    for (gate::ticket t = 100; t < 200; ++t) CHECK(!g.enter(lanes[0], t, admitted));
    for (const gate::ticket t : {200, 201}) CHECK(!g.enter(lanes[1], t, admitted));
    for (const gate::ticket t : {300, 301}) CHECK(!g.enter(lanes[2], t, admitted));
    auto* running = &lanes[0];
    for (int i = 0; i < 8; ++i) {
        g.leave(*running, admitted);
        running = &lanes[admitted.back() / 100 - 1];
    }
    CHECK(admitted == tickets{100, 200, 300, 101, 201, 301, 102, 103});
}

TEST_CASE("gate: a newcomer does not overtake those who wait") {
    gate g{1};
    gate::lane a, b;
    tickets admitted;
    CHECK(g.enter(a, 1, admitted));
    CHECK(!g.enter(a, 2, admitted));
    CHECK(!g.enter(b, 3, admitted));
    g.leave(a, admitted);
    CHECK(admitted == tickets{2});
    CHECK(!g.enter(b, 4, admitted));
    g.leave(a, admitted);
    CHECK(admitted == tickets{2, 3});
}

TEST_CASE("gate: who gives up waits no more; who was admitted meanwhile has to leave") {
    gate g;
    gate::lane l;
    l.limit(1);
    tickets admitted;
    CHECK(g.enter(l, 1, admitted));
    for (const gate::ticket t : {2, 3}) CHECK(!g.enter(l, t, admitted));
    CHECK(g.give_up(l, 2, admitted));
    CHECK(g.waiting() == 1);
    CHECK(!g.give_up(l, 2, admitted));
    g.leave(l, admitted);
    CHECK(admitted == tickets{3});
    CHECK(!g.give_up(l, 3, admitted));
    g.leave(l, admitted);
    CHECK(g.running() == 0);
    CHECK(l.running() == 0);
}

TEST_CASE("gate: giving up and coming back wins no second turn") {
    gate g{1};
    std::array<gate::lane, 3> lanes;
    tickets admitted;
    CHECK(g.enter(lanes[0], 1, admitted));
    CHECK(!g.enter(lanes[1], 200, admitted));
    CHECK(!g.enter(lanes[2], 300, admitted));
    CHECK(g.give_up(lanes[2], 300, admitted));
    for (const gate::ticket t : {301, 302}) CHECK(!g.enter(lanes[2], t, admitted));
    CHECK(!g.enter(lanes[1], 201, admitted));
    auto* running = &lanes[0];
    for (int i = 0; i < 4; ++i) {
        g.leave(*running, admitted);
        running = &lanes[admitted.back() / 100 - 1];
    }
    CHECK(admitted == tickets{200, 301, 201, 302});
}

TEST_CASE("gate: a lane is forgotten with its last request, wherever its turn was") {
    gate g{1};
    gate::lane stays;
    tickets admitted;
    CHECK(g.enter(stays, 1, admitted));
    {
        gate::lane goes;
        CHECK(!g.enter(goes, 2, admitted));
        CHECK(g.give_up(goes, 2, admitted));
    }
    {
        gate::lane goes;
        goes.limit(1);
        CHECK(!g.enter(goes, 3, admitted));
        g.leave(stays, admitted);
        CHECK(admitted == tickets{3});
        g.leave(goes, admitted);
    }
    CHECK(g.enter(stays, 4, admitted));
    g.leave(stays, admitted);
    CHECK(g.running() == 0);
}

TEST_CASE("gate: a limit that is raised lets in who waits, one that is lowered disturbs nobody") {
    gate g;
    gate::lane l;
    l.limit(1);
    tickets admitted;
    CHECK(g.enter(l, 1, admitted));
    for (const gate::ticket t : {2, 3, 4}) CHECK(!g.enter(l, t, admitted));
    l.limit(3);
    g.leave(l, admitted);
    CHECK(admitted == tickets{2, 3, 4});
    l.limit(1);
    g.leave(l, admitted);
    g.leave(l, admitted);
    CHECK(!g.enter(l, 5, admitted));
    g.leave(l, admitted);
    CHECK(admitted == tickets{2, 3, 4, 5});
}

// Sessions of several threads that enter, work, give up and leave as they like. Each waits for the
// word that admits it, which another thread sends.
TEST_CASE("gate: threads never exceed a limit, and nobody waits for ever") {
    constexpr int workers = 4, rounds = 4000;
    constexpr std::uint32_t of_all = 3, of_lane = 2;
    gate g{of_all};
    std::array<gate::lane, 3> lanes;
    for (auto& l : lanes) l.limit(of_lane);
    std::array<std::atomic<std::uint32_t>, 3> busy{};
    std::atomic<std::uint32_t> busy_all{0}, exceeded{0}, waited{0};
    std::mutex mutex;
    std::condition_variable woken;
    std::map<gate::ticket, bool> words;  // admitted tickets that have not been heard of

    const auto tell = [&](tickets& admitted) {
        if (admitted.empty()) return;
        {
            const std::lock_guard lock{mutex};
            for (const auto t : admitted) words[t] = true;
        }
        woken.notify_all();
        admitted.clear();
    };
    const auto work = [&](unsigned seed) {
        std::mt19937 random{seed};
        tickets admitted;
        for (int i = 0; i < rounds; ++i) {
            const auto which = random() % lanes.size();
            auto& lane = lanes[which];
            const gate::ticket me = (gate::ticket{seed} << 32U) + static_cast<unsigned>(i);
            bool runs = g.enter(lane, me, admitted);
            tell(admitted);
            if (!runs) {
                waited.fetch_add(1);
                if (random() % 4 == 0 && g.give_up(lane, me, admitted)) {
                    tell(admitted);
                    continue;
                }
                tell(admitted);
                std::unique_lock lock{mutex};
                runs = woken.wait_for(lock, std::chrono::seconds{60},
                                      [&] { return words.erase(me) == 1; });
            }
            if (!runs) {
                exceeded.fetch_add(1000);  // forgotten
                return;
            }
            if (busy[which].fetch_add(1) >= of_lane) exceeded.fetch_add(1);
            if (busy_all.fetch_add(1) >= of_all) exceeded.fetch_add(1);
            if (random() % 8 == 0) std::this_thread::yield();
            busy_all.fetch_sub(1);
            busy[which].fetch_sub(1);
            g.leave(lane, admitted);
            tell(admitted);
        }
    };
    std::vector<std::jthread> threads;
    for (unsigned i = 1; i <= workers; ++i) threads.emplace_back(work, i);
    threads.clear();
    CHECK(exceeded == 0);
    CHECK(waited > 0);
    CHECK(g.running() == 0);
    CHECK(g.waiting() == 0);
    for (const auto& l : lanes) CHECK(l.running() == 0);
    CHECK(words.empty());
}
