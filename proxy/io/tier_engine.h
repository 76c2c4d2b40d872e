// Where a shared tier's entries lie, behind one interface: redis, or a table of a database. Used by
// one thread, which may wait in each call, but not beyond `until`. An error is told as a text for
// the log (no key, no content) and ends the connection: open() comes next. Names are fit for both:
// letters, digits and a few signs.
#pragma once
#include <chrono>
#include <span>
#include <string>
#include <string_view>

#include "proxy/core/tier_clock.h"

namespace pgsidecar::io {

struct tier_get {
    std::string name;
    bool found = false;
    std::string sealed;
    // The tier's clock, at some time of the call, and tier_clock::set_back().
    std::chrono::microseconds now{0};
    std::chrono::microseconds set_back{0};
};

struct tier_put {
    std::string name;
    std::string sealed;
    std::string tenant;
    std::chrono::microseconds expires{0};  // by the tier's clock
    std::string refused;                   // after the call: why this one was, a code
};

class tier_engine {
  public:
    using time_point = std::chrono::steady_clock::time_point;
    virtual ~tier_engine() = default;
    [[nodiscard]] virtual std::string_view name() const noexcept = 0;
    [[nodiscard]] virtual std::string open(time_point until) = 0;
    // One round trip, after which the clocks are known.
    [[nodiscard]] virtual std::string check(time_point until) = 0;
    // Of where the entry of that name lies; not known: check() is due.
    [[nodiscard]] virtual const core::tier_clock& clock_of(std::string_view name) const = 0;
    [[nodiscard]] virtual std::string get(std::span<tier_get> all, time_point until) = 0;
    [[nodiscard]] virtual std::string put(std::span<tier_put> all, time_point until) = 0;
    virtual void close() noexcept = 0;
};

}  // namespace pgsidecar::io
