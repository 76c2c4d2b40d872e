// The application's own settings, as its appsettings.json has them, in the words of this program.
// Read are the sections Performance and PerformanceLimits, and Default and pgsidecar of
// Logging.LogLevel; whatever else the file holds is passed over. Keys are compared as .NET does,
// without regard to case, and "A:B" is the same as B inside A. A new key is a row in a table.
// Where two keys mean the same setting the more special one wins: LogLevel.Default gives way to
// EnableDetailedLogging and that to LogLevel.pgsidecar; Performance to PerformanceLimits.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/tree.h"

namespace pgsidecar::config {

struct appsettings_result {
    node root;  // as of a YAML file; each key has the alias and the line that it has in the JSON
    std::vector<text_problem> problems;  // in the order of lines
    std::vector<text_problem> notes;     // keys that are known and have no effect
};

// `tiers` are the names that PerformanceLimits may use: tier "premium" is there also as
// "PremiumTenant". Values fit the bounds of the settings that they become. Never throws for what
// the text holds, and shows nothing of sections that it passes over.
[[nodiscard]] appsettings_result read_appsettings(std::string_view json,
                                                  std::span<const std::string> tiers);

// The part of the reference page about them, made from the same tables.
[[nodiscard]] std::string appsettings_reference();

}  // namespace pgsidecar::config
