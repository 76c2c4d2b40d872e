// What `pgsidecar connection-string` does: shows where an application's connection strings lead,
// sends one of them to another host and port, and takes that back. What stands in the file is read
// by ops/settings_text.h; the backup beside it is ops/settings_backup.h's.
#pragma once
#include <cstdint>
#include <iosfwd>
#include <string>
#include <vector>

namespace pgsidecar::io {

struct connection_string_request {
    enum class action : std::uint8_t { show, set, restore };
    action what = action::show;
    std::vector<std::string> files;  // set and restore: one
    std::string name;                // empty: the only one
    std::string host;
    std::uint16_t port = 0;
    bool dry_run = false;
    bool all_hosts = false;
    bool force = false;
};

// `environment`: NAME=VALUE of the process, for show without a file. Returns the exit code: 0 done,
// or there was nothing to do; 1 not, and nothing was changed; 2 the request is not valid.
[[nodiscard]] int connection_string(const connection_string_request& request,
                                    const std::vector<std::string>& environment, std::ostream& out,
                                    std::ostream& err);

}  // namespace pgsidecar::io
