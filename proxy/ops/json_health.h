// The bodies of /healthz and /readyz.
#pragma once
#include <string>

#include "proxy/ops/program_state.h"

namespace pgsidecar::ops {

// {"status":"alive"}: that the program answers at all is the news.
[[nodiscard]] std::string health_json();
// {"status":"ready","checks":{"upstream":{"status":"ok","detail":"..."},...}}; "not ready" when a
// check has failed.
[[nodiscard]] std::string readiness_json(const program_state& state);

[[nodiscard]] std::string_view to_string(readiness_check::state s) noexcept;

}  // namespace pgsidecar::ops
