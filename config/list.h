// The settings in effect as a table, for whoever shows them in a program: SHOW CONFIG. Passwords in
// connection strings are replaced, as in dump().
#pragma once
#include <string>
#include <vector>

#include "config/settings.h"

namespace pgsidecar::config {

struct listed_setting {
    std::string key;  // a rule's or a tier's with its number, "cache.rules[0].ttl"
    std::string value, by_default;
    bool changeable = true;  // without starting anew
};

// In the order of the reference.
[[nodiscard]] std::vector<listed_setting> list_settings(const settings& s);

}  // namespace pgsidecar::config
