// What `pgsidecar validate` asks both sides: statements with the values of their parameters, from a
// SQL file (read_workload) or from the console (workload_console.h). Statements end with a
// semicolon, as PostgreSQL's own lexer finds it. Lines of comment right before a statement may say:
//     -- name: newest page          how reports call it
//     -- weight: 5                  how often it is asked in a round (1 to 100)
//     -- params: ["pharmacy-07", 3] values of $1, $2 ...; a line for each set. It is prepared then
//     -- order: any                 compare the rows without regard to their order
//     -- format: binary             ask for binary results, as drivers do
// Nothing here runs anything; a statement that may change something is refused, by file and line.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/facts.h"

namespace pgsidecar::config {
struct node;
}

namespace pgsidecar::ops {

// One value for each parameter; nothing is NULL.
using workload_values = std::vector<std::optional<std::string>>;

struct workload_statement {
    std::string sql;         // as it was written, without its semicolon
    std::string normalized;  // the form that reports show
    std::string name{};      // empty: it has none
    int line = 0;            // of its first word; 0: it is from no file
    unsigned weight = 1;
    bool prepared = false;  // else sent as a simple query
    bool binary = false;
    bool ordered = false;                       // it has an ORDER BY of its own
    std::vector<workload_values> parameters{};  // prepared: one set at least, else none
};

struct workload_problem {
    int line = 0;
    std::string reason;  // no part of a literal or value is in it
};

// Of the console's statements: what could not be asked, and why.
struct skipped_statement {
    std::string normalized;
    std::string why;
};

struct workload {
    std::vector<workload_statement> statements;
    std::vector<workload_problem> problems;  // of a file: it must not be used then
    std::vector<skipped_statement> skipped;
};

inline constexpr std::size_t max_workload_size = std::size_t{16} << 20U;  // bytes of a file
inline constexpr std::size_t max_workload_statements = 10'000;
inline constexpr unsigned max_workload_weight = 100;

[[nodiscard]] workload read_workload(std::string_view text, bool allow_writes);

// One JSON array of strings, numbers, true, false and null. Nothing: `why` says what is wrong.
[[nodiscard]] std::optional<workload_values> read_values(std::string_view json, std::string& why);
[[nodiscard]] std::optional<workload_values> values_of(const config::node& array, std::string& why);

// Why a statement is not run; empty when it is. What only the server knows (functions of the
// application that write) is left to its READ ONLY transactions.
[[nodiscard]] std::string why_not_run(const policy::sql_facts& facts, bool allow_writes);

// Whether the outermost query has an ORDER BY.
[[nodiscard]] bool orders_rows(std::string_view sql);

}  // namespace pgsidecar::ops
