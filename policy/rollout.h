// A rule that is in force for a part of the tenants: which ones, always the same. A higher
// percentage keeps those that were in; each rule has an order of tenants of its own.
#pragma once
#include <string_view>

namespace pgsidecar::policy {

[[nodiscard]] bool in_rollout(std::string_view tenant, std::string_view rule,
                              unsigned percent) noexcept;

}  // namespace pgsidecar::policy
