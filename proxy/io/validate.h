// The command `pgsidecar validate`: the checkpoint before a switch from blue (the server itself) to
// green (through the proxy). Reads the workload, sees to the two connections, has it run and
// judged, and writes both reports.
#pragma once
#include <cstdint>
#include <iosfwd>
#include <string>

#include "config/settings.h"

namespace pgsidecar::io {

struct validate_request {
    std::string workload, from_console, values;  // files; a connection string
    std::string blue, green, console;            // libpq connection strings
    std::string database, user;
    std::string duration, target, timeout = "60s";
    std::string report;
    unsigned clients = 1, rounds = 5, top = 50, max_unstable = 0;
    double max_slowdown = 50;
    std::uint64_t seed = 1;
    bool allow_writes = false, unprepared = false;
};

inline constexpr unsigned gentle_clients = 2, gentle_rounds = 20, gentle_seconds = 60;

// The exit code: 0 passed, 1 not, 2 what was asked for makes no sense, and nothing was run then;
// 130: SIGINT or SIGTERM came, and the reports are of what was done until then.
[[nodiscard]] int validate(const config::settings& settings, const validate_request& request,
                           const std::string& program_version, std::ostream& out,
                           std::ostream& err);

}  // namespace pgsidecar::io
