// One HTTP POST of JSON, with a bound on its time. Follows no redirect. Blocks: for a thread of its
// own.
#pragma once
#include <chrono>
#include <string>

#include "config/webhook_url.h"

namespace pgsidecar::io {

// Empty when the other side said 2xx, else why not, fit for the log.
[[nodiscard]] std::string post_json(const config::webhook_url& to, const std::string& body,
                                    std::chrono::milliseconds at_most);

}  // namespace pgsidecar::io
