#include "proxy/ops/program_state.h"

#include <algorithm>

namespace pgsidecar::ops {

double tenant_usage::share() const noexcept {
    const double places = max_concurrent == 0
                              ? 0.0
                              : static_cast<double>(running) / static_cast<double>(max_concurrent);
    return std::clamp(std::max(rate_used, places), 0.0, 1.0);
}

bool program_state::ready() const noexcept {
    return std::ranges::none_of(
        checks, [](const auto& c) { return c.is == readiness_check::state::failed; });
}

}  // namespace pgsidecar::ops
