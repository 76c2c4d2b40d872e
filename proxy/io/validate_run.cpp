#include "proxy/io/validate_run.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <ostream>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "proxy/io/interruption.h"

namespace pgsidecar::io {
namespace {

using clock = std::chrono::steady_clock;
using std::to_string;

// A statement with one set of its parameters.
struct question {
    std::size_t statement = 0;
    std::size_t set = 0;  // from 1; 0: it has none
};

std::vector<question> questions_of(const std::vector<ops::workload_statement>& statements) {
    std::vector<question> out;
    for (std::size_t i = 0; i < statements.size(); ++i) {
        if (statements[i].parameters.empty()) out.push_back({i, 0});
        for (std::size_t p = 1; p <= statements[i].parameters.size(); ++p) out.push_back({i, p});
    }
    return out;
}

// What the clients share.
struct course {
    const ops::validation& run;
    const run_options& options;
    std::vector<question> questions;
    std::atomic<std::uint64_t> pairs{0}, different{0};
    std::atomic<bool> stop{false};
    std::mutex lock;
    std::vector<std::string> broken;  // under lock

    course(const ops::validation& r, const run_options& o)
        : run{r}, options{o}, questions{questions_of(r.statements)} {}
    [[nodiscard]] bool over() const { return stop || interruption::came(); }
    void break_off(std::string why) {
        const std::lock_guard guard{lock};
        if (std::ranges::find(broken, why) == broken.end()) broken.push_back(std::move(why));
        stop = true;
    }
};

class client {
  public:
    client(course& c, unsigned number)
        : course_{c},
          blue_{c.options.blue, c.options.timeout, c.options.unprepared},
          green_{c.options.green, c.options.timeout, c.options.unprepared},
          random_{c.run.seed + number},
          tallies_(c.run.statements.size()),
          last_(c.questions.size()) {}

    [[nodiscard]] bool connect() {
        if (!blue_.connect()) course_.break_off("blue: " + blue_.problem());
        if (!green_.connect()) course_.break_off("green: " + green_.problem());
        return blue_.problem().empty() && green_.problem().empty();
    }
    [[nodiscard]] ops::side blue() const { return blue_.describe(); }
    [[nodiscard]] ops::side green() const { return green_.describe(); }
    [[nodiscard]] const std::vector<ops::statement_tally>& tallies() const { return tallies_; }

    // What another client has seen in the first pass.
    void know(const client& other) { last_ = other.last_; }

    void first_pass() {
        for (std::size_t q = 0; q < last_.size() && !course_.over(); ++q) pair(q, false, true);
    }
    void rounds(clock::time_point end) {
        std::vector<std::size_t> order;
        for (std::size_t q = 0; q < last_.size(); ++q)
            order.insert(order.end(), statement(q).weight, q);
        const auto by_time = course_.run.duration.count() > 0;
        for (unsigned round = 0; by_time || round < course_.run.rounds; ++round) {
            std::ranges::shuffle(order, random_);
            for (std::size_t i = 0; i < order.size(); ++i) {
                if (course_.over() || (by_time && clock::now() >= end)) return;
                pair(order[i], (round + i) % 2 == 1, false);
            }
        }
    }

  private:
    const ops::workload_statement& statement(std::size_t q) const {
        return course_.run.statements[course_.questions[q].statement];
    }
    validate_connection::timed ask(validate_connection& side, std::size_t q) {
        const auto& at = course_.questions[q];
        const auto* values = at.set > 0 ? &statement(q).parameters[at.set - 1] : nullptr;
        return side.ask(statement(q), at.statement, values);
    }

    // A difference counts when blue says the same before and after it. Where blue's own answer has
    // changed nobody can say what green's should have been.
    void pair(std::size_t q, bool green_first, bool first_time) {
        const bool ordered = statement(q).ordered;
        auto& tally = tallies_[course_.questions[q].statement];
        validate_connection::timed blue, green;
        if (green_first) green = ask(green_, q);
        blue = ask(blue_, q);
        if (!green_first) green = ask(green_, q);

        auto identity = blue.answer.identity(ordered);
        bool changed = last_[q] && *last_[q] != identity;
        auto what = ops::difference_of(blue.answer, green.answer, ordered);
        if (first_time || what) {
            const auto again = ask(blue_, q).answer.identity(ordered);
            changed = changed || again != identity;
            identity = again;
        }
        if (interruption::came()) return;  // it may have come in the middle of an answer
        last_[q] = identity;

        ++tally.pairs;
        if (changed) ++tally.unstable;
        if (blue.answer.failed()) {
            ++tally.failed;
            if (tally.sqlstate.empty()) tally.sqlstate = blue.answer.failure();
        } else if (!green.answer.failed()) {
            tally.blue.add(blue.took);
            (first_time ? tally.green_first : tally.green).add(green.took);
        }
        tally.rows = std::max(tally.rows, blue.answer.rows());
        tally.bytes = std::max(tally.bytes, blue.answer.bytes());
        if (what && !changed) {
            ++tally.different;
            ++course_.different;
            if (!tally.first)
                tally.first = ops::finding{std::move(*what), course_.questions[q].set};
        }
        ++course_.pairs;
        if (!blue_.problem().empty()) course_.break_off("blue: " + blue_.problem());
        if (!green_.problem().empty()) course_.break_off("green: " + green_.problem());
    }

    course& course_;
    validate_connection blue_, green_;
    std::mt19937_64 random_;
    std::vector<ops::statement_tally> tallies_;
    std::vector<std::optional<cache::hash128>> last_;  // of blue, by question
};

// Tells whoever sits before it how far it is, until told to stop.
class teller {
  public:
    teller(const course& c, std::ostream& out, std::uint64_t expected)
        : course_{c}, out_{out}, expected_{expected}, thread_{[this] { run(); }} {}
    ~teller() {
        {
            const std::lock_guard guard{lock_};
            done_ = true;
        }
        changed_.notify_all();
        thread_.join();
    }
    teller(const teller&) = delete;
    teller& operator=(const teller&) = delete;

  private:
    void run() {
        constexpr std::chrono::seconds each{1};
        std::unique_lock guard{lock_};
        bool told = false;
        for (auto next = begun_ + each; !changed_.wait_until(guard, next, [this] { return done_; });
             next += each) {
            out_ << "\r\033[K" << line() << std::flush;
            told = true;
        }
        if (told) out_ << "\r\033[K" << std::flush;
    }
    [[nodiscard]] std::string line() const {
        const auto took = std::chrono::duration_cast<std::chrono::seconds>(clock::now() - begun_);
        std::string out = "pgsidecar: validate: " + to_string(course_.pairs.load());
        if (expected_ > 0) out += " of " + to_string(expected_);
        return out + " pairs of answers, " + to_string(course_.different.load()) + " different, " +
               to_string(took.count()) + " s";
    }

    const course& course_;
    std::ostream& out_;
    std::uint64_t expected_;  // 0: time decides
    clock::time_point begun_ = clock::now();
    std::mutex lock_;
    std::condition_variable changed_;
    bool done_ = false;
    std::thread thread_;
};

std::uint64_t expected_pairs(const course& c) {
    if (c.run.duration.count() > 0) return 0;
    std::uint64_t each_round = 0;
    for (const auto& q : c.questions) each_round += c.run.statements[q.statement].weight;
    return c.questions.size() + each_round * c.run.rounds * c.run.clients;
}

}  // namespace

void run_validation(ops::validation& run, const run_options& options, std::ostream& progress) {
    course shared{run, options};
    std::vector<std::unique_ptr<client>> clients;
    const auto begun = clock::now();
    {
        std::optional<teller> tells;
        if (options.terminal) tells.emplace(shared, progress, expected_pairs(shared));
        for (unsigned i = 0; i < run.clients; ++i) {
            clients.push_back(std::make_unique<client>(shared, i));
            if (!clients.back()->connect() || shared.over()) break;
        }
        if (!shared.over()) clients.front()->first_pass();
        for (auto& c : clients) c->know(*clients.front());
        const auto end = clock::now() + run.duration;
        std::vector<std::thread> threads;
        for (auto& c : clients) {
            threads.emplace_back([&shared, &c, end] {
                try {
                    if (!shared.over()) c->rounds(end);
                } catch (const std::exception& error) {
                    shared.break_off(std::string{"a client ended: "} + error.what());
                }
            });
        }
        for (auto& t : threads) t.join();
    }
    run.took = std::chrono::duration_cast<std::chrono::milliseconds>(clock::now() - begun);
    run.blue = clients.front()->blue();
    run.green = clients.front()->green();
    run.tallies.assign(run.statements.size(), {});
    for (const auto& c : clients)
        for (std::size_t i = 0; i < run.tallies.size(); ++i) run.tallies[i].merge(c->tallies()[i]);
    run.interrupted = interruption::came();
    run.broken.insert(run.broken.end(), shared.broken.begin(), shared.broken.end());
}

}  // namespace pgsidecar::io
