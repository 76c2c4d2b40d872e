// Rows on their way into prescription_query_metrics. Workers add, one thread takes; nobody waits
// for anybody longer than it takes to move a worker's rows. Bounded: what does not fit is dropped
// and counted. Any thread.
#pragma once
#include <algorithm>
#include <array>
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
    std::chrono::system_clock::time_point ended;
    std::chrono::duration<std::uint32_t, std::micro> took{};  // 71 minutes at most
    std::uint32_t rows = 0;
    std::uint32_t tenant = 0, type = 0;  // which of the batch's names

    // What is more than a member can hold becomes the most that it can.
    [[nodiscard]] static decltype(took) clamp(std::chrono::nanoseconds exact) noexcept {
        const std::int64_t us = (exact.count() + 500) / 1000;
        return decltype(took){static_cast<std::uint32_t>(
            std::clamp<std::int64_t>(us, 0, std::numeric_limits<std::uint32_t>::max()))};
    }
    [[nodiscard]] static std::uint32_t clamp(std::uint64_t exact) noexcept {
        return static_cast<std::uint32_t>(
            std::min<std::uint64_t>(exact, std::numeric_limits<std::uint32_t>::max()));
    }
};

// Rows and the names that they share. A name that was not met for a while is listed again, which
// costs its place in the list and nothing else.
class metrics_batch {
  public:
    using name = std::shared_ptr<const std::string>;
    // Of a row with names that no other row has: what the settings' reference says.
    static constexpr std::size_t most_row_bytes = sizeof(metrics_row) + 2 * sizeof(name);
    static_assert(most_row_bytes <= 64);
    // The queue's batches are made for so many rows at once, and nearly all are full: what waits
    // takes no more memory than its rows, however few came at a time.
    static constexpr std::size_t usual_rows = 4096;

    // The names' numbers in `r` are set here. `tenant` is a part of what `owner` keeps.
    template <class Owner>
    void add(metrics_row r, const std::shared_ptr<Owner>& owner, const std::string& tenant,
             const name& type) {
        r.tenant = number_of(owner, tenant);
        r.type = number_of(type, *type);
        put(r);
    }
    // Appends what rows of the other have, in their order.
    void append(const metrics_batch& other, std::size_t first, std::size_t count);
    void clear() noexcept;

    [[nodiscard]] std::size_t size() const noexcept { return rows_.size(); }
    [[nodiscard]] bool empty() const noexcept { return rows_.empty(); }
    [[nodiscard]] bool full() const noexcept { return rows_.size() >= usual_rows; }
    [[nodiscard]] const std::vector<metrics_row>& rows() const noexcept { return rows_; }
    [[nodiscard]] const std::vector<name>& names() const noexcept { return names_; }
    [[nodiscard]] std::size_t held_bytes() const noexcept {
        return rows_.capacity() * sizeof(metrics_row) + names_.capacity() * sizeof(name);
    }

  private:
    // By address, so that a row costs no look at the name and no count of its owners.
    template <class Owner>
    [[nodiscard]] std::uint32_t number_of(const std::shared_ptr<Owner>& owner,
                                          const std::string& text) {
        auto& slot = recent_[(reinterpret_cast<std::uintptr_t>(&text) >> 4U) % recent_.size()];
        if (slot >= names_.size() || names_[slot].get() != &text) slot = listed({owner, &text});
        return slot;
    }
    [[nodiscard]] std::uint32_t listed(name of);
    void put(const metrics_row& r) {
        if (rows_.empty()) rows_.reserve(usual_rows);
        rows_.push_back(r);
    }

    std::vector<metrics_row> rows_;
    std::vector<name> names_;
    std::array<std::uint32_t, 64> recent_{};  // the number of a name met lately
};

class metrics_queue {
  public:
    using batch = metrics_batch;

    explicit metrics_queue(std::size_t most_rows) : most_{most_rows} {}

    // All of them; `rows` is empty afterwards. A full batch is taken as it is, others are joined.
    void add(batch& rows);
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
    void join(const batch& rows, std::size_t count);

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
[[nodiscard]] std::string copy_text(const metrics_batch& batch, std::chrono::seconds offset,
                                    bool ascii);

}  // namespace pgsidecar::ops
