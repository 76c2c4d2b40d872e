// The tier below this process's memory that several sidecars share: what the workers ask it and put
// into it, on one thread of its own. A worker never waits: an answer comes as a call, from that
// thread, also where the tier is not there; and a session stops waiting by itself when its time is
// up. What is asked for while the thread is busy goes out together.
//
//     up --an error, or too many answers that come too late--> down --it answers in time--> up
//
// While it is down nobody asks it (tier_guard::available), and it is tried again ever more seldom.
// Puts are bounded in bytes, dropped above that, and never come before somebody who waits.
#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "config/settings.h"
#include "proxy/core/tier.h"
#include "proxy/core/tier_guard.h"
#include "proxy/io/tier_cipher.h"
#include "proxy/io/tier_engine.h"
#include "proxy/ops/tier_totals.h"

namespace pgsidecar::io {

class shared_tier {
  public:
    using answer = std::function<void(core::tier_finds)>;

    // Throws std::runtime_error: a file that cannot be read. Null where there is to be none.
    [[nodiscard]] static std::unique_ptr<shared_tier> make(const config::settings& settings);
    shared_tier(const config::settings& settings, std::unique_ptr<tier_engine> engine);
    ~shared_tier() { stop(); }
    shared_tier(const shared_tier&) = delete;
    shared_tier& operator=(const shared_tier&) = delete;

    void start();
    void stop();  // who still waits hears nothing
    // For the first log-ins: whether it is there, once that is known.
    void wait_ready(std::chrono::milliseconds at_most);

    // Any thread.
    void get(core::tier_question question, answer then);
    void put(std::vector<core::tier_offer> offers);
    void count(const core::tier_work& work);
    [[nodiscard]] core::tier_guard& guard() noexcept { return guard_; }
    [[nodiscard]] ops::tier_totals totals() const;

  private:
    using time_point = std::chrono::steady_clock::time_point;
    struct question {
        core::tier_question asked;
        answer then;
    };
    void run();
    void work();  // while it is up
    void try_open();
    void down(const std::string& why);
    void refuse_waiting();
    void serve(std::vector<question> all);
    [[nodiscard]] core::tier_finds open_all(const question& q, std::span<tier_get> found,
                                            time_point asked);
    void deliver(std::deque<core::tier_offer> offers);
    [[nodiscard]] std::optional<tier_put> seal(const core::tier_offer& offer);
    [[nodiscard]] std::string name_of(const core::tier_key& key) const;
    void report_refused(const std::string& why);

    const config::shared_cache_settings settings_;
    const cache::instance_id self_;
    core::tier_guard guard_;
    std::unique_ptr<tier_engine> engine_;
    std::unique_ptr<tier_cipher> cipher_;  // null: nothing is encrypted
    std::uint64_t sealed_ = 0;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<question> questions_;
    std::deque<core::tier_offer> offers_;
    std::size_t offered_ = 0;  // bytes of them
    bool stopping_ = false;
    bool tried_ = false;

    bool up_ = false;
    bool complained_ = false;
    unsigned failures_ = 0;  // in a row, without being up for long
    unsigned slow_ = 0;      // answers in a row that came too late
    std::string last_refusal_;
    time_point try_at_{}, up_since_{};
    std::atomic<unsigned> late_in_a_row_{0};

    struct counters {
        std::atomic<std::uint64_t> asked{0}, found{0}, used{0}, refused{0}, harmed{0}, late{0},
            outages{0}, puts{0}, put_bytes{0}, put_refused{0}, dropped{0}, queued{0};
    } count_;
    std::thread thread_;
};

}  // namespace pgsidecar::io
