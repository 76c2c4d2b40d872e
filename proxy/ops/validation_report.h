// A run of `pgsidecar validate` for people and for programs. Statements stand in their normal form;
// no literal, parameter or value is in either. deploy/validate/README.md describes the JSON; a
// field that changes its meaning or goes raises report_version.
#pragma once
#include <string>

#include "proxy/ops/validation.h"

namespace pgsidecar::ops {

inline constexpr int report_version = 1;

[[nodiscard]] std::string json_report(const validation& run, const validation_limits& limits,
                                      const verdict& result);
[[nodiscard]] std::string text_report(const validation& run, const validation_limits& limits,
                                      const verdict& result);

}  // namespace pgsidecar::ops
