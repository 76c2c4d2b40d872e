// What single values cannot show: combinations that are impossible or can never have an effect.
#pragma once
#include <string>
#include <vector>

#include "config/settings.h"

namespace pgsidecar::config {

struct finding {
    std::string key;                // the key to name
    std::vector<std::string> also;  // further keys that it depends on
    std::string reason;
};

// Lists are counted as the file has them: tiers before complete_tiers().
[[nodiscard]] std::vector<finding> check_combinations(const settings& s);

}  // namespace pgsidecar::config
