// The ledger between real threads, each of which does what it is told to: for TSan, and to see that
// no connection is with two.
#include <doctest/doctest.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "tests/core/ledger_desk.h"

using namespace core_test;

namespace {

enum state : int { idle, used, closed };

// What the threads share: the ledger, who has which connection, and what is sent to whom.
class crossing {
  public:
    static constexpr std::uint64_t nothing = 0, refusal = 1;

    crossing() {
        settings.default_pool_size = 3;
        settings.max_db_connections = 5;
        settings.server_idle_timeout = 1ms;
        settings.min_pool_size = 1;
        settings.server_login_retry = 0ms;  // nobody is left waiting for it
        ledger.adopt(settings);
        for (std::size_t i = 0; i < pools.size(); ++i)
            pools[i] = ledger.of(std::to_string(i), i < 2 ? "db" : "other", "ann");
    }

    config::pool_settings settings;
    pool_ledger ledger{settings};
    std::array<pool_ledger::pool_ptr, 3> pools{};
    std::atomic<int> faults{0};

    std::uint64_t add() {
        const auto made = ++last_;
        return made < connections_.size() ? made : (++faults, nothing);
    }
    void become(std::uint64_t connection, state from, state to) {
        if (connections_[connection].exchange(to) != from) ++faults;
    }
    void send(const place& who, std::uint64_t connection) {
        const std::lock_guard lock{mutex_};
        if (!mail_.emplace(who.id, connection).second) ++faults;
        sent_.notify_all();
    }
    std::uint64_t receive(const place& who) {
        std::unique_lock lock{mutex_};
        if (!sent_.wait_for(lock, 60s, [&] { return mail_.contains(who.id); }))
            return ++faults, nothing;
        const auto connection = mail_.at(who.id);
        mail_.erase(who.id);
        return connection;
    }
    void obey(const pool_ledger::orders& first, unsigned worker) {
        auto todo = first;
        while (!todo.open.empty() || !todo.close.empty()) {
            pool_ledger::orders more;
            for (const auto& o : todo.close) become(o.connection.id, idle, closed);
            for (const auto& o : todo.open) {
                const auto made = add();
                if (made % 16 == 0) {
                    for (const auto& who : ledger.failed(*o.of, "no", false, clock::now(), more))
                        send(who, refusal);
                    continue;
                }
                pass_on(made, ledger.opened(*o.of, {worker, made}, {}, clock::now(), more));
            }
            todo = std::move(more);
        }
    }
    void release(pool_ledger::pool& p, std::uint64_t connection, unsigned worker) {
        pool_ledger::orders todo;
        become(connection, used, idle);
        pass_on(connection, ledger.released(p, {worker, connection}, {}, clock::now(), todo));
        if (connection % 8 == 0 && ledger.lost(p, {worker, connection}, clock::now(), todo))
            become(connection, idle, closed);
        obey(todo, worker);
    }
    void close(pool_ledger::pool& p, std::uint64_t connection, unsigned worker) {
        pool_ledger::orders todo;
        become(connection, used, closed);
        ledger.closed(p, clock::now(), todo);
        obey(todo, worker);
    }
    using clock = std::chrono::steady_clock;

  private:
    void pass_on(std::uint64_t connection, const std::optional<place>& whose) {
        if (whose) send(*whose, connection);
    }
    std::vector<std::atomic<int>> connections_ = std::vector<std::atomic<int>>(1 << 18);
    std::atomic<std::uint64_t> last_{refusal};
    std::mutex mutex_;
    std::condition_variable sent_;
    std::map<std::uint64_t, std::uint64_t> mail_;  // which connection, by who
};

void work(crossing& c, unsigned worker, unsigned rounds) {
    std::mt19937 random{worker};
    for (unsigned i = 1; i <= rounds && c.faults == 0; ++i) {
        auto& p = *c.pools[random() % c.pools.size()];
        const place me{worker, worker * 1'000'000ULL + i};
        auto got = c.ledger.acquire(p, me, crossing::clock::now());
        c.obey(got.todo, worker);
        if (got.what == answer::wait && random() % 8 == 0 && c.ledger.forget(p, me)) continue;
        const auto mine = got.what == answer::take ? got.connection.id : c.receive(me);
        if (mine == crossing::nothing) return;
        if (mine == crossing::refusal) continue;
        c.become(mine, idle, used);
        if (c.ledger.count(p).total > c.settings.default_pool_size) ++c.faults;
        if (random() % 4 == 0)
            c.close(p, mine, worker);
        else
            c.release(p, mine, worker);
        pool_ledger::orders todo;
        if (random() % 16 == 0) c.ledger.tick(crossing::clock::now(), todo);
        if (random() % 16 == 0) c.ledger.close_idle("db", todo);
        c.obey(todo, worker);
    }
}

}  // namespace

TEST_CASE("pool ledger: threads that take and give back") {
    crossing c;
    std::vector<std::thread> threads;
    for (unsigned worker = 0; worker < 8; ++worker)
        threads.emplace_back([&c, worker] { work(c, worker, 1000); });
    for (auto& t : threads) t.join();
    CHECK(c.faults == 0);
    const auto all = c.ledger.count();
    CHECK(all.waiting == 0);
    CHECK(all.opening == 0);
    CHECK(all.total == all.idle);
}
