// core_simulation [--seed N] [--steps N] [--seeds N] [--clients N] [--limits 1] [--pooled 1]
//     [--trace 1]: prints each seed that fails.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "tests/core/simulation.h"

int main(int argc, char** argv) {
    core_test::simulation_options options{.seed = 1, .steps = 2000};
    std::uint64_t seeds = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view name = argv[i];
        const auto value = std::strtoull(argv[i + 1], nullptr, 10);
        if (name == "--seed")
            options.seed = value;
        else if (name == "--steps")
            options.steps = value;
        else if (name == "--seeds")
            seeds = value;
        else if (name == "--clients")
            options.clients = value;
        else if (name == "--limits")
            options.limits = value != 0;
        else if (name == "--pooled")
            options.pooled = value != 0;
        else if (name == "--trace")
            options.trace = value != 0;
        else
            return std::fprintf(stderr, "unknown option %s\n", argv[i]), 2;
    }
    std::map<core_test::policy::reason, std::size_t> outcomes;
    std::array<std::uint64_t, core_test::policy::limit_kinds> met{};
    std::size_t failures = 0, connections = 0, unsettled = 0;
    std::size_t kept = 0, unconfirmed = 0, given_up = 0;
    std::size_t lines = 0, attached = 0, unfit = 0, refused = 0;
    for (const auto last = options.seed + seeds; options.seed < last; ++options.seed) {
        const auto report = core_test::simulation{options}.run();
        for (const auto& [why, count] : report.outcomes) outcomes[why] += count;
        connections += report.connections;
        unsettled += report.unsettled;
        for (std::size_t k = 0; k < met.size(); ++k) met[k] += report.met[k];
        kept += report.kept;
        unconfirmed += report.unconfirmed;
        given_up += report.given_up;
        lines += report.lines;
        attached += report.attached;
        unfit += report.unfit;
        refused += report.refused;
        if (report.violation.empty()) continue;
        ++failures;
        std::printf("%s\n", report.violation.c_str());
        (void)std::fflush(stdout);
    }
    for (const auto& [why, count] : outcomes)
        std::printf("%8zu %s\n", count, std::string{to_string(why)}.c_str());
    for (std::size_t k = 0; k < met.size(); ++k)
        std::printf("%8llu %s met\n", static_cast<unsigned long long>(met[k]),
                    std::string{to_string(static_cast<core_test::policy::limit_kind>(k))}.c_str());
    std::printf("%zu answers cut whose writes are kept, %zu unconfirmed, %zu servers given up\n",
                kept, unconfirmed, given_up);
    std::printf(
        "%zu shared connections, given %zu times, %zu times unfit, %zu requests without one\n",
        lines, attached, unfit, refused);
    std::printf("%zu connections, %zu commits of unknown outcome, %zu of %llu seeds failed\n",
                connections, unsettled, failures, static_cast<unsigned long long>(seeds));
    return failures == 0 ? 0 : 1;
}
