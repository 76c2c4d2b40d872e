// What `pgsidecar diagnose` tells of the machine and of the program's processes on it, as text.
// Only what has no other place: nothing of the environment's variables, and of command lines only
// what ops::command_line() lets through. What cannot be known is said to be unknown.
#pragma once
#include <cstddef>
#include <string>

#include "proxy/ops/diagnosis.h"

namespace pgsidecar::io {

[[nodiscard]] std::string describe_machine();
[[nodiscard]] std::string describe_processes(const ops::scrubber& scrub);
// By the service manager: the unit (its instances, too), running or not, since when.
[[nodiscard]] std::string describe_service(const std::string& unit);
// The end of what the service manager keeps of its log; empty: nothing, or it is not known.
[[nodiscard]] std::string service_log(const std::string& unit, std::size_t at_most);
// Letters, digits and . _ - @ * may stand in a command.
[[nodiscard]] bool fit_unit_name(const std::string& unit) noexcept;

}  // namespace pgsidecar::io
