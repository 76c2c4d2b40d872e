// The program while it is a service: between the service manager, who starts and stops it, and the
// server. What it reports is decided by ops::service_state; a thread reports progress meanwhile.
//
// run() gives the process's first thread to the service manager until the service has ended.
#pragma once
#include "proxy/io/service_command.h"

namespace pgsidecar::io {

// The exit code of the process. Not started by the service manager: says so and returns 2.
[[nodiscard]] int run_as_service(const service_request& request);

}  // namespace pgsidecar::io
