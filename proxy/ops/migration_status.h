// What `migrate status` prints, made from what the database was found to hold.
#pragma once
#include <string>
#include <vector>

#include "proxy/ops/migration_queries.h"

namespace pgsidecar::ops {

struct object_status {
    std::string object;
    std::string from;   // "made", "found" (not by us), or empty: it is not there
    std::string state;  // "ok", or what is wrong
    bool mends = true;  // whether `up` would put right what is not ok
    [[nodiscard]] bool ok() const { return state == "ok" || !mends; }
};

struct step_status {
    int version = 0;
    std::string name;
    bool optional = false;
    std::string applied_at, applied_by;  // empty: not applied
    std::vector<object_status> objects;
    // Whether nothing is to be done: applied as a whole, or optional and not applied.
    [[nodiscard]] bool ok(bool optional_wanted) const;
};

[[nodiscard]] std::vector<step_status> migration_status(const migration_facts& facts);

// Why the records cannot be read, empty when they can or there are none. Then migration_status()
// would take what was applied for not applied.
[[nodiscard]] std::string records_problem(const migration_facts& facts);

// A line for each step and each of its objects, in columns.
[[nodiscard]] std::string render(const std::vector<step_status>& steps);

}  // namespace pgsidecar::ops
