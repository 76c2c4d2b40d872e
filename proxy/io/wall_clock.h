// The time of day for the rows of metrics: many statements a second bear it.
#pragma once
#include <chrono>

namespace pgsidecar::io {

// What the wall clock says at a moment of the steady one. Looks at it itself only now and then: a
// clock that is set anew is followed within that time.
class wall_clock {
  public:
    [[nodiscard]] std::chrono::system_clock::time_point at(
        std::chrono::steady_clock::time_point when) {
        if (when - looked_ > std::chrono::milliseconds{100}) {
            looked_ = when;
            then_ = std::chrono::system_clock::now();
        }
        return then_ + std::chrono::round<std::chrono::system_clock::duration>(when - looked_);
    }

  private:
    std::chrono::steady_clock::time_point looked_{};
    std::chrono::system_clock::time_point then_{};
};

}  // namespace pgsidecar::io
