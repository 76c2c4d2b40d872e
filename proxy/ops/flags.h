// The switches that an operator turns while the program runs, as rows: the master switch, what it
// covers, and the mode and rollout of each rule. Keys are those that SET takes.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "config/load.h"
#include "proxy/ops/comparisons.h"

namespace pgsidecar::ops {

struct flag_row {
    std::string name;              // the key
    std::string scope;             // "all", or "rule NAME"
    std::string value;             // as the file would have it
    std::string origin;            // "pgsidecar.yaml:7", "SET", "default"
    comparison_counts compared{};  // of a rule's mode: what mode: shadow has counted so far
};

[[nodiscard]] std::vector<flag_row> flags(const config::load_result& in_force,
                                          const comparisons::by_rule& compared);

}  // namespace pgsidecar::ops
