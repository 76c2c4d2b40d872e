// `pgsidecar diagnose`: all that is asked first when something is wrong, in one ZIP file that may
// be sent away. What is asked: the machine, the service, the configuration, certificates, the
// ports, the server, the console, HTTP, the log, each within a bound of time, and each answer or
// the reason why there is none is a file of the ZIP. Nothing has to run. ops::scrubber makes the
// texts fit for strangers.
#pragma once
#include <chrono>
#include <iosfwd>
#include <string>
#include <vector>

#include "config/load.h"

namespace pgsidecar::io {

struct diagnose_request {
    std::string out;
    std::string console;             // libpq connection string; empty: by the configuration
    std::string unit = "pgsidecar";  // the service's
    std::vector<std::string> logs;   // more files whose ends are wanted
    unsigned timeout_seconds = 5;    // of each answer
    unsigned log_kilobytes = 512;
};

// Exit code 0: the file was written, whatever it says; 1: it was not; 2: an option is not valid.
[[nodiscard]] int diagnose(const config::sources& from, const diagnose_request& request,
                           const std::string& program_version, std::ostream& progress);

}  // namespace pgsidecar::io
