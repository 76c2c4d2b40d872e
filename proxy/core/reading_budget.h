// How often the catalogs may be read. Code that may define anything asks for them after each of its
// runs; reading them may take a quarter of one server process's time, and a second's worth at once.
#pragma once
#include <algorithm>
#include <chrono>

namespace pgsidecar::core {

class reading_budget {
  public:
    using time_point = std::chrono::steady_clock::time_point;
    // How long to wait before reading may begin.
    [[nodiscard]] std::chrono::milliseconds wait(time_point now) {
        left_ = std::min<time_point::duration>(at_most, left_ + (now - since_) / share);
        since_ = now;
        if (left_.count() > 0) return std::chrono::milliseconds{0};
        return std::chrono::ceil<std::chrono::milliseconds>(-left_ * share) +
               std::chrono::milliseconds{1};
    }
    void spend(time_point begin, time_point end) { left_ -= end - begin; }

  private:
    static constexpr int share = 4;
    static constexpr std::chrono::seconds at_most{1};
    time_point::duration left_ = at_most;
    time_point since_{};
};

}  // namespace pgsidecar::core
