#include <array>

#include "config/schema.h"

namespace pgsidecar::config {
namespace {

constexpr std::uint64_t day = 24 * 3'600'000;  // milliseconds

// What bind() takes, less what stands behind it: `.lock`, and `.new.` with a process id.
std::string check_socket_path(std::string_view text) {
    constexpr std::size_t longest = 90;  // bytes
    if (text.size() > longest) return "is longer than 90 bytes";
    return check_path(text);
}

// How a row's lambda hands out a member.
#define PGSIDECAR_AT(member) [](settings& s) -> slot { return &s.member; }

constexpr std::array hand_over_table{
    key_row<settings>{
        "takeover_socket",
        PGSIDECAR_AT(takeover_socket),
        "Path of the Unix socket at which `pgsidecar run --take-over` asks the process "
        "that is running for its place: clients go on without an error. Only the same "
        "user and root may. Beside it lies a file with `.lock` behind its name, which "
        "stays. Empty is none. 90 bytes at most.",
        {},
        check_socket_path,
        key_flag::restart},
    key_row<settings>{
        "handover_timeout",
        PGSIDECAR_AT(handover_timeout),
        "How long a process that has handed over serves the clients that it has; then "
        "it shuts down as by SIGTERM. 0 is as long as they stay. Nothing is answered "
        "from the cache, by either process, before it has ended.",
        {0, 365 * day}},
    key_row<settings>{"so_reuseport",
                      PGSIDECAR_AT(so_reuseport),
                      "Whether the port is opened with SO_REUSEPORT, so that another program that "
                      "does so too (PgBouncer with the setting of this name) may have it at the "
                      "same time. New connections then go to either. Needs `takeover_socket`, by "
                      "which processes of pgsidecar know of each other.",
                      {},
                      nullptr,
                      key_flag::restart},
};
#undef PGSIDECAR_AT

}  // namespace

std::span<const key_row<settings>> hand_over_rows() noexcept { return hand_over_table; }

}  // namespace pgsidecar::config
