// The state of a blue-green deployment on one machine, as `pgsidecar deploy` keeps it in a file.
// Each step is written down before it is taken, so that whoever runs the command again after a
// crash goes on from there; what can be asked of the system (who serves, who runs) is asked, and
// not believed.
//
//   none --green--> starting --answers--> ready --switch--> switching --taken over--> draining -->
//   done starting, ready, done --green--> starting again
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgsidecar::ops {

enum class deploy_phase : std::uint8_t { none, starting, ready, switching, draining, done };
[[nodiscard]] std::string_view to_string(deploy_phase phase) noexcept;

// A process, and when it began: another one may have its number later.
struct process_mark {
    int id = 0;           // 0 = none
    std::string started;  // in the system's own measure
    [[nodiscard]] bool operator==(const process_mark&) const = default;
};

struct deployment {
    deploy_phase phase = deploy_phase::none;
    unsigned generation = 0;  // {generation} of the command that starts a process
    std::string config;       // green's, with the overrides of --set
    std::vector<std::string> overrides;
    std::string program;
    std::string fingerprint;       // of the configuration's files and of the program
    std::uint16_t green_port = 0;  // where green is tried out
    std::uint16_t green_http_port = 0;
    process_mark green;     // the one that is tried out
    process_mark blue;      // who served when the switch began
    process_mark serving;   // who took its place
    std::string validated;  // "PASS ...", or why not, of this green; empty: nothing yet
};

// The checkpoint was not left out.
[[nodiscard]] bool passed(const deployment& d) noexcept;

[[nodiscard]] std::string write_deployment(const deployment& d);

struct deployment_read {
    std::optional<deployment> value;
    std::string problem;  // why there is none, with the line
};
[[nodiscard]] deployment_read read_deployment(std::string_view text);

// {generation}, {config} and {program} in a command for a shell; the values are quoted.
[[nodiscard]] std::string start_command(std::string_view command, const deployment& d);

// What is known of the system, beside the file, for describe().
struct deploy_facts {
    std::string place;    // takeover_socket
    std::string address;  // where clients connect
    int serving = 0;      // 0 = nobody
    bool green_runs = false, blue_runs = false;
    bool green_answers = false;
    bool pending = false;  // a rollback was begun and not ended
    bool changed = false;  // the configuration or the program is another one than was tried out
};
// For people: what is where, and what comes next.
[[nodiscard]] std::string describe(const deployment& d, const deploy_facts& now);

}  // namespace pgsidecar::ops
