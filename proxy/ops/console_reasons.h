// What a reason code means, in a sentence for the operator.
#pragma once
#include <string_view>

#include "policy/reason.h"

namespace pgsidecar::ops {

[[nodiscard]] std::string_view explanation_of(policy::reason why) noexcept;

}  // namespace pgsidecar::ops
