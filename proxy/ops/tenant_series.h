// Which of many names (tenants, databases) have numbers of their own in /metrics: at most so many,
// those with most statements; what the others did is one sum. Whoever scrapes takes differences, so
// no number may ever step back, also when a name moves from the sum to the named ones or the other
// way. Therefore a name counts from zero when it gets a series of its own while some are summed up,
// and what it had then stays in the sum.
//
//     numbers = map of all names -> update(numbers) -> named(), others()
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>

namespace pgsidecar::ops {

class tenant_series {
  public:
    // What is counted of one name; the first decides who has most.
    static constexpr std::size_t width = 8;
    using numbers = std::array<std::uint64_t, width>;
    using table = std::map<std::string, numbers, std::less<>>;

    explicit tenant_series(std::size_t most) : most_{most} {}

    // All names as they are now. One that is missing was counted under other_name meanwhile.
    void update(const table& all);
    [[nodiscard]] const table& named() const noexcept { return named_; }
    [[nodiscard]] const numbers& others() const noexcept { return others_; }
    [[nodiscard]] bool has_others() const noexcept { return overflowed_; }

  private:
    void choose(const table& all);
    void end(table::iterator which);

    std::size_t most_;
    table named_;       // as last given out
    table before_;      // what each of them had when it was named
    numbers ended_{};   // given out under names that have no series any more
    numbers others_{};  // as last given out
    bool overflowed_ = false;
};

}  // namespace pgsidecar::ops
