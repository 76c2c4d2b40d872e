// Admission of requests: at most `limit` of a tenant's run at a time, and at most so many of all
// tenants together. What comes above that waits: within its tenant in the order it came, and
// tenants take turns, so that a noisy one queues behind itself. Shared by all workers; it knows
// requests only as tickets and wakes nobody itself: the caller sends the admitted tickets to their
// workers.
//
//     enter -> true: runs, until leave
//           -> false: waits -> admitted by another call: runs, until leave
//                           -> give_up -> true: it waits no more
//                                      -> false: it had been admitted meanwhile, so leave is due
//
// While nobody waits a request takes no lock.
#pragma once
#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <vector>

namespace pgsidecar::policy {

class gate {
  public:
    // Chosen by the caller, unique among those that wait.
    using ticket = std::uint64_t;

    // One tenant's part. Outlives each of its requests from enter() to leave() or give_up().
    class lane {
      public:
        [[nodiscard]] std::uint32_t running() const noexcept { return running_.load(); }
        [[nodiscard]] std::uint32_t waiting() const noexcept { return queued_.load(); }
        // Of requests; 0 = no limit. What runs already is not disturbed; who waits is admitted with
        // the next call about this lane.
        void limit(std::uint32_t most) noexcept { most_.store(most); }

      private:
        friend class gate;
        std::atomic<std::uint32_t> most_{0};
        std::atomic<std::uint32_t> running_{0};
        std::atomic<std::uint32_t> queued_{0};  // as waiting_ has, for who looks
        std::deque<ticket> waiting_;            // under the gate's mutex, as is:
        bool in_turn_ = false;  // in turns_; one that waits for its own requests is not
    };

    explicit gate(std::uint32_t most = 0) noexcept : most_{most} {}
    gate(const gate&) = delete;
    gate& operator=(const gate&) = delete;

    void limit(std::uint32_t most) noexcept { most_.store(most); }
    [[nodiscard]] std::uint32_t running() const noexcept { return running_.load(); }
    [[nodiscard]] std::uint32_t waiting() const noexcept { return waiting_.load(); }

    // `admitted` gets, at its end, those others that may run now.
    [[nodiscard]] bool enter(lane& l, ticket who, std::vector<ticket>& admitted);
    // Runs in any case, and counts: what must not wait may take more than the limits.
    void enter_at_once(lane& l) noexcept {
        l.running_.fetch_add(1);
        running_.fetch_add(1);
    }
    void leave(lane& l, std::vector<ticket>& admitted);
    [[nodiscard]] bool give_up(lane& l, ticket who, std::vector<ticket>& admitted);

  private:
    enum class taking : std::uint8_t { done, lane_full, all_full };
    [[nodiscard]] taking take(lane& l) noexcept;
    void join_turns(lane& l);
    void admit(std::vector<ticket>& admitted);

    std::atomic<std::uint32_t> most_;
    std::atomic<std::uint32_t> running_{0};
    std::atomic<std::uint32_t> waiting_{0};
    std::mutex mutex_;
    std::deque<lane*> turns_;  // lanes of which somebody waits, whose turn is next in front
};

}  // namespace pgsidecar::policy
