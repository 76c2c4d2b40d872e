#include "config/tiers.h"

#include <algorithm>
#include <utility>

namespace pgsidecar::config {

policy::tier inherited_tier(const policy::tier& base, std::string_view name) {
    policy::tier out{base};
    out.name.clear();
    if (name == "premium") policy::make_premium(out);
    return out;
}

void complete_tiers(std::vector<policy::tier>& tiers) {
    for (policy::tier& shipped : policy::shipped_tiers()) {
        const auto found = std::ranges::find(tiers, shipped.name, &policy::tier::name);
        if (shipped.name == "default") {
            if (found == tiers.end()) {
                tiers.insert(tiers.begin(), std::move(shipped));
            } else {
                std::rotate(tiers.begin(), found, found + 1);
            }
        } else if (found == tiers.end()) {
            policy::tier added = inherited_tier(tiers.front(), shipped.name);
            added.name = std::move(shipped.name);
            tiers.push_back(std::move(added));
        }
    }
}

}  // namespace pgsidecar::config
