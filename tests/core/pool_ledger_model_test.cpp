// Random calls by several workers to several pools, held against a plain model of who has what.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <random>
#include <string>
#include <vector>

#include "tests/core/ledger_desk.h"

using namespace core_test;

namespace {

constexpr unsigned workers = 3;
using orders = pool_ledger::orders;

struct model_pool {
    pool_ledger::pool_ptr real;
    std::string database, user;
    struct one {
        place who;
        pool_ledger::time_point since;
    };
    std::deque<one> idle, waiting;
    std::size_t in_use = 0, opening = 0;
    bool blocked = false, gone = false;  // after a failure; the server could not be reached
    pool_ledger::time_point blocked_until{};
    [[nodiscard]] std::size_t total() const { return idle.size() + in_use + opening; }
};

class model {
  public:
    explicit model(unsigned seed) : random_{seed} {
        auto& s = settings_;
        s.default_pool_size = 1 + pick(4);
        s.min_pool_size = pick(3);
        s.reserve_pool_size = pick(3);
        s.reserve_pool_timeout = std::chrono::milliseconds{pick(4000)};
        s.max_db_connections = pick(2) ? 0 : 1 + pick(6);
        s.max_user_connections = pick(2) ? 0 : 1 + pick(6);
        s.server_idle_timeout = std::chrono::milliseconds{pick(3) ? 1 + pick(9000) : 0};
        s.server_login_retry = std::chrono::milliseconds{pick(2) ? pick(5000) : 0};
        ledger_.adopt(s);
        for (const char* database : {"d1", "d2"})
            for (const char* user : {"ann", "bob"})
                for (const char* more : {"", "+"}) {
                    auto& p = pools_.emplace_back();
                    p.database = database;
                    p.user = user;
                    p.real = ledger_.of(p.database + p.user + more, database, user);
                }
    }

    void step() {
        now_ += std::chrono::milliseconds{pick(40)};
        auto& p = pools_[pick(pools_.size())];
        switch (pick(13)) {
            case 0:
            case 1:
            case 2:
            case 3:
                return acquire(p);
            case 4:
            case 5:
                return finish_use(p, pick(5) == 0);
            case 6:
            case 7:
                return finish_opening(p, pick(4) == 0);
            case 8:
                return forget(p);
            case 9:
                return lose(p);
            case 10:
                if (pick(20) == 0) return close_idle(p.database);
                now_ += std::chrono::milliseconds{pick(3000)};
                return tick();
            case 11:
                return take_own(p);
            default:
                return tick();
        }
    }
    // Everybody who waits is served in the end, when nobody comes any more.
    void drain() {
        for (int i = 0; i < 4000 && waiting() > 0; ++i) {
            now_ += 250ms;
            for (auto& p : pools_) {
                finish_use(p, false);
                finish_opening(p, false);
            }
            tick();
        }
        CHECK(waiting() == 0);
        for (auto& p : pools_) {
            while (p.in_use > 0) finish_use(p, true);
            while (p.opening > 0) finish_opening(p, false);
        }
    }

  private:
    unsigned pick(std::size_t n) {
        return static_cast<unsigned>(random_() % static_cast<unsigned>(n));
    }
    [[nodiscard]] place fresh() { return {pick(workers), ++last_}; }
    [[nodiscard]] std::size_t waiting() const {
        std::size_t n = 0;
        for (const auto& p : pools_) n += p.waiting.size();
        return n;
    }
    static auto find(std::deque<model_pool::one>& in, const place& who) {
        return std::find_if(in.begin(), in.end(), [&](const auto& o) { return o.who == who; });
    }
    model_pool& of(const pool_ledger::pool_ptr& real) {
        return *std::find_if(pools_.begin(), pools_.end(),
                             [&](const auto& p) { return p.real == real; });
    }

    void acquire(model_pool& p) {
        const auto who = fresh();
        const auto got = ledger_.acquire(*p.real, who, now_);
        if (got.what == answer::take) {
            REQUIRE(p.waiting.empty());
            REQUIRE(!p.idle.empty());
            const auto mine = std::find_if(p.idle.rbegin(), p.idle.rend(), [&](const auto& o) {
                return o.who.worker == who.worker;
            });
            const auto want = mine == p.idle.rend() ? p.idle.back().who : mine->who;
            REQUIRE(show(got.connection) == show(want));
            p.idle.erase(find(p.idle, want));
            ++p.in_use;
        } else if (got.what == answer::refused) {
            REQUIRE(p.total() == 0);
            REQUIRE(p.blocked);
            REQUIRE(p.gone);
            REQUIRE(now_ < p.blocked_until);
            REQUIRE(got.error == "gone");
        } else {
            REQUIRE(p.idle.empty());
            p.waiting.push_back({who, now_});
        }
        obey(got.todo);
    }
    void take_own(model_pool& p) {
        const auto worker = pick(workers);
        const auto got = ledger_.take_own(*p.real, worker);
        const auto mine = std::find_if(p.idle.rbegin(), p.idle.rend(),
                                       [&](const auto& o) { return o.who.worker == worker; });
        REQUIRE(got.has_value() == (mine != p.idle.rend()));
        if (got) {
            REQUIRE(*got == mine->who.id);
            p.idle.erase(std::next(mine).base());
            ++p.in_use;
        }
        check(false);
    }
    void given(model_pool& p, const place& connection, const std::optional<place>& whose) {
        if (p.waiting.empty()) {
            REQUIRE(!whose);
            p.idle.push_back({connection, now_});
            return;
        }
        REQUIRE(whose);
        REQUIRE(show(*whose) == show(p.waiting.front().who));
        p.waiting.pop_front();
        ++p.in_use;
    }
    void finish_use(model_pool& p, bool ends) {
        if (p.in_use == 0) return;
        orders todo;
        --p.in_use;
        const auto connection = fresh();
        if (ends)
            ledger_.closed(*p.real, now_, todo);
        else
            given(p, connection, ledger_.released(*p.real, connection, {now_}, now_, todo));
        obey(todo);
    }
    void finish_opening(model_pool& p, bool fails) {
        if (p.opening == 0) return;
        orders todo;
        --p.opening;
        if (!fails) {
            const auto connection = fresh();
            const auto whose = ledger_.opened(*p.real, connection, {now_}, now_, todo);
            p.blocked = p.gone = false;
            given(p, connection, whose);
            return obey(todo);
        }
        const bool alone = p.total() == p.opening, gone = pick(2) == 0;
        const auto told = ledger_.failed(*p.real, gone ? "gone" : "no", gone, now_, todo);
        const auto all = p.waiting.size();
        REQUIRE(told.size() == (!alone ? 0 : gone ? all : std::min<std::size_t>(1, all)));
        for (const auto& who : told) {
            REQUIRE(show(who) == show(p.waiting.front().who));
            p.waiting.pop_front();
        }
        p.blocked = gone || !alone;
        p.gone = gone;
        p.blocked_until = now_ + settings_.server_login_retry;
        obey(todo);
    }
    void forget(model_pool& p) {
        const auto n = p.waiting.size();
        const auto who = n == 0 || pick(4) == 0 ? fresh() : p.waiting[pick(n)].who;
        const auto it = find(p.waiting, who);
        REQUIRE(ledger_.forget(*p.real, who) == (it != p.waiting.end()));
        if (it != p.waiting.end()) p.waiting.erase(it);
        check(false);
    }
    void lose(model_pool& p) {
        const auto n = p.idle.size();
        const auto which = n == 0 || pick(3) == 0 ? fresh() : p.idle[pick(n)].who;
        const auto it = find(p.idle, which);
        orders todo;
        REQUIRE(ledger_.lost(*p.real, which, now_, todo) == (it != p.idle.end()));
        if (it != p.idle.end()) p.idle.erase(it);
        obey(todo);
    }
    void close_idle(const std::string& database) {
        orders todo;
        ledger_.close_idle(database, todo);
        obey(todo);
        for (const auto& p : pools_) CHECK((p.database != database || p.idle.empty()));
    }
    void tick() {
        orders todo;
        ledger_.tick(now_, todo);
        obey(todo, true);
        const auto most = settings_.server_idle_timeout;
        for (auto& p : pools_) {
            if (now_ >= p.blocked_until) p.blocked = false;
            if (most.count() > 0 && !p.idle.empty() && now_ - p.idle.front().since >= most)
                REQUIRE(p.total() <= settings_.min_pool_size);
        }
        check(true);
    }

    void obey(const orders& todo, bool in_tick = false) {
        for (const auto& o : todo.close) {
            auto& p = of(o.of);
            const auto it = find(p.idle, o.connection);
            REQUIRE(it != p.idle.end());  // in use by nobody, and closed once
            p.idle.erase(it);
        }
        for (const auto& o : todo.open) {
            auto& p = of(o.of);
            ++p.opening;
            const bool asked = p.opening <= p.waiting.size();
            REQUIRE((asked || (in_tick && p.total() <= settings_.min_pool_size)));
            if (asked) REQUIRE(o.worker == p.waiting[p.opening - 1].who.worker);
        }
        if (!in_tick) check(false);
    }

    void check(bool after_tick) {
        pool_ledger::counts all;
        for (const auto& p : pools_) {
            const auto c = ledger_.count(*p.real);
            REQUIRE(c.total == p.total());
            REQUIRE(c.idle == p.idle.size());
            REQUIRE(c.opening == p.opening);
            REQUIRE(c.waiting == p.waiting.size());
            all.total += c.total;
            all.waiting += c.waiting;
            REQUIRE((p.waiting.empty() || p.idle.empty()));
            REQUIRE(c.total <= settings_.default_pool_size + settings_.reserve_pool_size);
            REQUIRE(!full(settings_.max_db_connections, &model_pool::database, p, 1));
            REQUIRE(!full(settings_.max_user_connections, &model_pool::user, p, 1));
            // Who waits without an attempt under way has a reason to.
            if (p.waiting.size() > p.opening) REQUIRE((held_back(p, after_tick)));
        }
        REQUIRE(ledger_.count().total == all.total);
        REQUIRE(ledger_.count().waiting == all.waiting);
    }
    [[nodiscard]] bool held_back(const model_pool& p, bool after_tick) const {
        if (p.blocked && (p.gone || p.total() > p.opening)) return true;
        const auto waits = now_ - p.waiting.front().since;
        const bool reserve = after_tick && waits >= settings_.reserve_pool_timeout;
        if (p.total() >= settings_.default_pool_size + (reserve ? settings_.reserve_pool_size : 0))
            return true;
        return stuck(settings_.max_db_connections, &model_pool::database, p) ||
               stuck(settings_.max_user_connections, &model_pool::user, p);
    }
    // As many as there may be, or `over` more; counted over all pools of that name.
    [[nodiscard]] bool full(std::size_t most, std::string model_pool::*name, const model_pool& p,
                            std::size_t over = 0) const {
        std::size_t n = 0;
        for (const auto& other : pools_)
            if (other.*name == p.*name) n += other.total();
        return most > 0 && n >= most + over;
    }
    [[nodiscard]] bool stuck(std::size_t most, std::string model_pool::*name,
                             const model_pool& p) const {
        return full(most, name, p) && std::all_of(pools_.begin(), pools_.end(), [&](auto& other) {
                   return other.*name != p.*name || other.idle.empty();
               });
    }

    std::mt19937 random_;
    config::pool_settings settings_;
    pool_ledger ledger_{settings_};
    std::vector<model_pool> pools_;
    pool_ledger::time_point now_{1h};
    std::uint64_t last_ = 0;
};

}  // namespace

TEST_CASE("pool ledger: whatever is called in whatever order, nobody is lost or served twice") {
    for (unsigned seed = 1; seed <= 300; ++seed) {
        CAPTURE(seed);
        model m{seed};
        for (int i = 0; i < 400; ++i) m.step();
        m.drain();
    }
}
