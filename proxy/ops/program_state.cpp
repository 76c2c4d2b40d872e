#include "proxy/ops/program_state.h"

#include <algorithm>

namespace pgsidecar::ops {
namespace {

// A mode that is off has no limit to be near to.
std::uint32_t limit_of(const policy::tenant_options& all, policy::enforcement mode,
                       std::uint32_t limit) {
    return all.effective(mode) == policy::enforcement::off ? 0 : limit;
}

}  // namespace

std::vector<tenant_usage> usage_of(const policy::tenant_directory& all,
                                   policy::rate_limiter::time_point now) {
    std::vector<tenant_usage> out;
    const auto options = all.options();
    for (const auto& one : all.known()) {
        const auto& tier = *one->of;
        const auto rate = tier.rate();
        auto& u = out.emplace_back();
        u.name = one->name;
        u.tier = tier.name;
        u.per_minute = limit_of(*options, tier.queries_per_minute_mode, tier.queries_per_minute);
        u.burst = std::max(rate.burst, 1U);
        u.rate_used = u.per_minute == 0 ? 0 : one->queries.used(now, rate);
        u.running = one->lane.running();
        u.waiting = one->lane.waiting();
        u.max_concurrent = limit_of(*options, tier.max_concurrent_mode, tier.max_concurrent);
        for (std::size_t i = 0; i < u.met.size(); ++i) u.met[i] = one->met[i].load();
    }
    return out;
}

std::uint32_t tenant_usage::rate_left() const noexcept {
    // A token that is nearly there is not there; what doubles lose must not cost a whole one.
    constexpr double rounding = 1e-6;
    const auto left = (1.0 - rate_used) * static_cast<double>(burst) + rounding;
    return static_cast<std::uint32_t>(std::clamp(left, 0.0, static_cast<double>(burst)));
}

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
