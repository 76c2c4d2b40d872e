// Processes of this machine, as `pgsidecar deploy` needs them: begun so that they outlive whoever
// began them, recognised again, asked to end. What the system is asked for is in these few
// functions alone; on other systems than Linux the functions that begin a process say that they
// cannot.
#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "proxy/ops/deployment.h"

namespace pgsidecar::io {

// Nothing with that number runs: id 0.
[[nodiscard]] ops::process_mark mark_of(int id);
[[nodiscard]] bool runs(const ops::process_mark& process);
// It ends as SIGTERM has it; false: it was not there.
bool ask_to_end(const ops::process_mark& process);

// In a session of its own, with nothing to read; what it prints is appended to `log` (mode 0600).
// Returns its id, 0: `problem` says why not.
[[nodiscard]] int start_detached(const std::vector<std::string>& arguments, const std::string& log,
                                 std::string& problem);
// Of a process that start_detached() began here: its exit code, 128 and more for a signal.
[[nodiscard]] std::optional<int> exit_code_of(int child);
// By the system's shell; waits for it.
[[nodiscard]] int run_command(const std::string& command, const std::string& log);

[[nodiscard]] std::string own_program();

}  // namespace pgsidecar::io
