// Rows on their way into prescription_query_metrics. Workers add, one thread takes; nobody waits
// for anybody longer than it takes to move a worker's rows. Bounded: what does not fit is dropped
// and counted. Any thread.
#pragma once
#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace pgsidecar::ops {

struct metrics_row {
    std::shared_ptr<const std::string> tenant, type;
    std::chrono::system_clock::time_point ended;
    std::chrono::duration<std::uint32_t, std::micro> took{};  // 71 minutes at most
    std::uint32_t rows = 0;

    // What is more than a member can hold becomes the most that it can.
    [[nodiscard]] static decltype(took) clamp(std::chrono::nanoseconds exact) noexcept {
        const auto us = std::chrono::round<std::chrono::microseconds>(exact).count();
        return decltype(took){static_cast<std::uint32_t>(
            std::clamp<std::int64_t>(us, 0, std::numeric_limits<std::uint32_t>::max()))};
    }
    [[nodiscard]] static std::uint32_t clamp(std::uint64_t exact) noexcept {
        return static_cast<std::uint32_t>(
            std::min<std::uint64_t>(exact, std::numeric_limits<std::uint32_t>::max()));
    }
};
static_assert(sizeof(metrics_row) <= 64, "what the settings' reference says");

class metrics_queue {
  public:
    using batch = std::vector<metrics_row>;

    explicit metrics_queue(std::size_t most_rows) : most_{most_rows} {}

    void add(batch&& rows);  // takes each row out of it
    // The oldest, empty when there is nothing; waits for something until the time is over. It stays
    // in the queue until done(): one taker at a time.
    [[nodiscard]] const batch* front(std::chrono::milliseconds patience);
    void done(bool written);  // false: nobody will take it, so it is dropped
    // Waits until it is closed, for so long at most.
    void pause(std::chrono::milliseconds length);
    // No more is added; nobody waits any more.
    void close();
    [[nodiscard]] bool closed() const;

    struct counts {
        std::uint64_t written = 0, dropped = 0;
        std::size_t waiting = 0;
    };
    [[nodiscard]] counts count() const;

  private:
    // Each is made for so many rows at once, and nearly all are full: what waits takes no more
    // memory than its rows, however few came at a time.
    static constexpr std::size_t batch_rows = 4096;

    const std::size_t most_;
    mutable std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<batch> batches_;
    counts counts_;
    bool taken_ = false;  // the first is being written, and stays as it is
    bool closed_ = false;
};

// The rows as COPY's text format has them, a line each; `offset` is that of the connection's time
// zone from UTC. A time or a number that the column cannot hold becomes its greatest.
// `ascii`: other characters become '?', for a database whose encoding lacks them.
[[nodiscard]] std::string copy_text(const metrics_queue::batch& rows, std::chrono::seconds offset,
                                    bool ascii);

}  // namespace pgsidecar::ops
