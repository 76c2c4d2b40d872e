// What a shared tier's own clock shows, as far as this process can know it: from what it last said
// and how long ago that was. Entries bear its time, not ours, so that machines whose clocks differ
// agree on how old an entry is.
#pragma once
#include <chrono>

namespace pgsidecar::core {

class tier_clock {
  public:
    using local = std::chrono::steady_clock::time_point;
    using remote = std::chrono::microseconds;  // since 1970

    // It was asked then, and what it said came then.
    void note(remote said, local asked, local received) noexcept {
        using std::chrono::duration_cast;
        if (known()) {
            // The clock has been set back: what was filled before seems younger than it is. Clocks
            // that are only brought into step run slow by less than a thousandth.
            const auto least = at(asked) - duration_cast<remote>(asked - received_) / 1000;
            const auto lost = least - std::chrono::seconds{1} - said;
            if (lost > remote{0}) set_back_ += least - said;
        }
        said_ = said;
        received_ = received;
    }
    [[nodiscard]] bool known() const noexcept { return said_ != remote{0}; }
    [[nodiscard]] local read_at() const noexcept { return received_; }
    // Then it showed this, or somewhat more.
    [[nodiscard]] remote at(local when) const noexcept {
        return said_ + std::chrono::duration_cast<remote>(when - received_);
    }
    // By how much it has gone back in all, while anybody looked.
    [[nodiscard]] remote set_back() const noexcept { return set_back_; }

  private:
    remote said_{0};
    remote set_back_{0};
    local received_{};
};

}  // namespace pgsidecar::core
