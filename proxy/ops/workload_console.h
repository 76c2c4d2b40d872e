// A workload from what the admin console says is asked most (SHOW QUERIES). Its statements stand in
// their normal form: those without a placeholder are asked as they stand, the others with the
// values that --values gives. Whatever cannot be asked is skipped by name, never silently.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/ops/workload.h"

namespace pgsidecar::ops {

// By a statement's normal form, or its number in the console's column `fingerprint`.
using workload_value_sets = std::map<std::string, std::vector<workload_values>, std::less<>>;

// {"SELECT ... $1": [["a"], ["b"]], ...}. Nothing: `wrong` says where and why.
[[nodiscard]] std::optional<workload_value_sets> read_value_sets(std::string_view json,
                                                                 workload_problem& wrong);

// What SHOW QUERIES answered. Columns are found by their names: database, query, calls, and where
// it is there fingerprint. Of `database` alone (empty: of any), the most called first, `top` at
// most.
struct console_rows {
    std::vector<std::string> columns;
    std::vector<std::vector<std::string>> rows;
};
[[nodiscard]] workload console_workload(const console_rows& answer, std::string_view database,
                                        std::size_t top, const workload_value_sets& values,
                                        bool allow_writes);

// How many statements, and how many of them hits, all rows tell of; nothing without the columns
// `calls` and `hits`.
[[nodiscard]] bool count_hits(const console_rows& answer, std::uint64_t& hits,
                              std::uint64_t& calls);

}  // namespace pgsidecar::ops
