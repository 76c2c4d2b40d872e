// The machine's own log, which its administrators watch: syslog (POSIX, and RFC 3164 on the wire).
// May block while nobody reads it: for a thread of its own.
#pragma once
#include <string>

namespace pgsidecar::io {

enum class event_severity { notice, warning };

// As `pgsidecar`, facility daemon. Empty, or why it is not there.
[[nodiscard]] std::string write_event(event_severity how, const std::string& line);

}  // namespace pgsidecar::io
