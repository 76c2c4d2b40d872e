// What all clients of a run share: its options, its count of operations, and what went wrong.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "kinds.h"

namespace pgsidecar::crossing {

struct options {
    std::uint16_t port = 0;
    std::uint16_t direct_port = 0;
    std::uint64_t seed = 1;
    std::uint64_t operations = 1'000'000;
    int seconds = 0;  // 0: until the operations are done
    int clients = 200;
    int threads = 2;
    int most_mismatches = 5;
    int stall = 120;  // seconds without any progress
};

struct run_state {
    options opt;
    std::atomic<std::uint64_t> done{0};  // answers that were as they had to be
    std::array<std::atomic<std::uint64_t>, kind_count> good{}, bad{};
    std::atomic<int> mismatches{0};
    std::atomic<bool> unknown{false};  // a commit was sent whose answer nobody will hear
    std::atomic<bool> stopping{false};
    std::mutex talking;

    void count(kind k) {
        good[static_cast<std::size_t>(k)].fetch_add(1, std::memory_order_relaxed);
        if (done.fetch_add(1, std::memory_order_relaxed) + 1 >= opt.operations) stopping = true;
    }
};

// Small and quick; a run is repeated by its seed.
class dice {
  public:
    explicit dice(std::uint64_t seed) : state_{seed} {}
    std::uint64_t next() {  // splitmix64
        auto z = state_ += 0x9e3779b97f4a7c15U;
        z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
        return z ^ (z >> 31U);
    }
    int below(int n) { return static_cast<int>(next() % static_cast<std::uint64_t>(n)); }
    bool chance(int percent) { return below(100) < percent; }
    template <typename T>
    const auto& pick(const T& from) {
        return from[static_cast<std::size_t>(below(static_cast<int>(from.size())))];
    }

  private:
    std::uint64_t state_;
};

}  // namespace pgsidecar::crossing
