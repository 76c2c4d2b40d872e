// A ledger with a clock of its own, and what it has ordered so far as text.
#pragma once
#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "proxy/core/pool_ledger.h"

namespace core_test {

using namespace std::chrono_literals;
using pgsidecar::core::pool_ledger;
namespace config = pgsidecar::config;

using place = pool_ledger::place;
using answer = pool_ledger::answer;

inline std::string show(const place& p) {
    return std::to_string(p.worker) + "/" + std::to_string(p.id);
}
inline std::string show(const std::optional<place>& p) { return p ? show(*p) : "nobody"; }
inline std::string show(const std::vector<place>& all) {
    std::string out;
    for (const auto& p : all) out += (out.empty() ? "" : " ") + show(p);
    return out;
}

struct desk {
    config::pool_settings s;                // may change between calls
    std::atomic<std::uint64_t> altered{0};  // what a log-in is given
    pool_ledger ledger{s, &altered};
    pool_ledger::time_point now{1h};
    pool_ledger::orders todo;
    std::vector<pool_ledger::pool_ptr> held;

    // As its settings are by now.
    pool_ledger& here() {
        ledger.adopt(s);
        return ledger;
    }
    pool_ledger::pool& pool(const std::string& user = "ann", const std::string& database = "db",
                            const std::string& more = {}) {
        return *held.emplace_back(here().of(user + "@" + database + more, database, user));
    }
    // "take 1/7", "wait" or "refused ..."; orders are added to those before.
    std::string acquire(pool_ledger::pool& p, place who) {
        auto got = here().acquire(p, who, now);
        for (const auto& o : got.todo.open) todo.open.push_back(o);
        for (const auto& o : got.todo.close) todo.close.push_back(o);
        if (got.what == answer::refused) return "refused " + got.error;
        return got.what == answer::take ? "take " + show(got.connection) : "wait";
    }
    std::string opened(pool_ledger::pool& p, place c) {
        return show(here().opened(p, c, {now, altered.load()}, now, todo));
    }
    std::string released(pool_ledger::pool& p, place c) { return released(p, c, now); }
    std::string released(pool_ledger::pool& p, place c, pool_ledger::time_point born) {
        return released(p, c, {born, altered.load()});
    }
    std::string released(pool_ledger::pool& p, place c, const pool_ledger::birth& born) {
        return show(here().released(p, c, born, now, todo));
    }
    std::string refused(pool_ledger::pool& p, std::string error = "no") {
        return show(here().failed(p, std::move(error), false, now, todo));
    }
    std::string unreachable(pool_ledger::pool& p, std::string error = "gone") {
        return show(here().failed(p, std::move(error), true, now, todo));
    }
    void closed(pool_ledger::pool& p) { here().closed(p, now, todo); }
    void tick(std::chrono::milliseconds later = 0ms) {
        now += later;
        here().tick(now, todo);
    }
    // A connection that somebody uses.
    void use(pool_ledger::pool& p, place who, place c) {
        REQUIRE(acquire(p, who) == "wait");
        REQUIRE(opens() == std::to_string(who.worker));
        REQUIRE(opened(p, c) == show(who));
    }
    // One that nobody does.
    void idle(pool_ledger::pool& p, place c) {
        use(p, {c.worker, 1000 + c.id}, c);
        REQUIRE(released(p, c) == "nobody");
    }
    // Where connections are to be opened, and which are to be closed; forgotten then.
    std::string opens() {
        std::string out;
        for (const auto& o : std::exchange(todo.open, {}))
            out += (out.empty() ? "" : " ") + std::to_string(o.worker);
        return out;
    }
    std::string closes() {
        std::string out;
        for (const auto& o : std::exchange(todo.close, {}))
            out += (out.empty() ? "" : " ") + show(o.connection);
        return out;
    }
    // total, idle, opening, waiting
    std::string count(const pool_ledger::pool& p) const { return text(ledger.count(p)); }
    std::string count() const { return text(ledger.count()); }

  private:
    static std::string text(const pool_ledger::counts& c) {
        return std::to_string(c.total) + " " + std::to_string(c.idle) + " " +
               std::to_string(c.opening) + " " + std::to_string(c.waiting);
    }
};

}  // namespace core_test
