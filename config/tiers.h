// The tiers as a whole: what each starts from before its own keys are read, and which there are
// beside those that the file names.
#pragma once
#include <string_view>
#include <vector>

#include "policy/limits.h"

namespace pgsidecar::config {

// Tier `name` before its own keys are read, its name among them. `base` is the tier "default" with
// its own keys; it has no members.
[[nodiscard]] policy::tier inherited_tier(const policy::tier& base, std::string_view name);

// "default" first, then the others as they stood, shipped ones that were not named last.
void complete_tiers(std::vector<policy::tier>& tiers);

}  // namespace pgsidecar::config
