// core_simulation [--seed N] [--steps N] [--seeds N] [--clients N]: prints each seed that fails.
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
        else
            return std::fprintf(stderr, "unknown option %s\n", argv[i]), 2;
    }
    std::map<core_test::policy::reason, std::size_t> outcomes;
    std::size_t failures = 0, connections = 0, unsettled = 0;
    for (const auto last = options.seed + seeds; options.seed < last; ++options.seed) {
        const auto report = core_test::simulation{options}.run();
        for (const auto& [why, count] : report.outcomes) outcomes[why] += count;
        connections += report.connections;
        unsettled += report.unsettled;
        if (report.violation.empty()) continue;
        ++failures;
        std::printf("%s\n", report.violation.c_str());
    }
    for (const auto& [why, count] : outcomes)
        std::printf("%8zu %s\n", count, std::string{to_string(why)}.c_str());
    std::printf("%zu connections, %zu commits of unknown outcome, %zu of %llu seeds failed\n",
                connections, unsettled, failures, static_cast<unsigned long long>(seeds));
    return failures == 0 ? 0 : 1;
}
