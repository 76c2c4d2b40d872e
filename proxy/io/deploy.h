// `pgsidecar deploy`: a new version or configuration (green) beside the one that serves (blue),
// tried out on a port of its own, then in blue's place by the hand-over (handover.h); and the four
// ways back. One process at a time works on a deployment, by a lock that a crash gives back;
// rollback asks for none, for it must not wait. ops/deployment.h has the states.
#pragma once
#include <cstdint>
#include <iosfwd>
#include <string>

#include "config/load.h"
#include "proxy/io/migrate.h"
#include "proxy/io/validate.h"

namespace pgsidecar::io {

struct deploy_request {
    enum class action : std::uint8_t {
        green,
        switch_over,
        status,
        flag,
        config,
        application,
        database
    };
    action what = action::status;
    std::string state;       // file; empty: beside takeover_socket
    std::string program;     // green's; empty: this one
    std::string start;       // shell command that starts a generation; empty: directly
    std::string log;         // of processes that are started directly; empty: beside the state
    std::uint16_t port = 0;  // where green is tried out; 0: a free one
    unsigned timeout_seconds = 60;
    unsigned drain_seconds = 60;
    bool no_validate = false;
    bool force = false;   // rollback application
    std::string console;  // rollback flag, config: libpq connection string
    std::string file;     // rollback application
    validate_request validation;
    migrate_request migration;
};

// Exit code 0: it is so (also when it was before); 1: it is not, and what served still does; 2: an
// option or the configuration is not valid; or that of validate.
[[nodiscard]] int deploy(const config::sources& from, const deploy_request& request,
                         const std::string& program_version, std::ostream& out, std::ostream& err);

}  // namespace pgsidecar::io
