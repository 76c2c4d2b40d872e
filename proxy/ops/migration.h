// What `pgsidecar migrate` is about: the steps with the objects that each makes, the columns that
// their tables must have, and how what a database holds differs from that. Values only; the SQL is
// in deploy/sql (migration_sql.h), and proxy/io/migrate runs it.
#pragma once
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "policy/rules.h"

namespace pgsidecar::ops {

struct migration_step {
    int version = 0;
    std::string_view name;
    bool optional = false;  // applied only when it is asked for
    // "table x": as they are recorded. The publication may have been given another name by hand.
    std::vector<std::string_view> objects{};
};
[[nodiscard]] const std::vector<migration_step>& migration_steps();

inline constexpr std::string_view versions_table = "pgsidecar_migrations";
// The comment of a table or index that `up` made; `down` removes none without it.
inline constexpr std::string_view made_mark = "Made by pgsidecar migrate.";

// One column of a table. shape: its type and what else it must be, "text, not null, primary key".
struct table_column {
    std::string table, name, shape;
    friend bool operator==(const table_column&, const table_column&) = default;
};

// The list that stands in up.sql between $columns$ and $columns$, which up.sql itself checks by.
[[nodiscard]] std::vector<table_column> expected_columns(std::string_view up_sql);

// The first difference of one table, in words; none: its columns are as expected. Their order does
// not matter. `found` holds what the database has, of any table.
[[nodiscard]] std::optional<std::string> column_difference(std::string_view table,
                                                           std::span<const table_column> expected,
                                                           std::span<const table_column> found);

// The table patterns of the rules that let something into the cache, each once.
[[nodiscard]] std::vector<std::string> watched_patterns(const policy::cache_rules& rules);

// As PostgreSQL reads them: {"a","b"}, "name".
[[nodiscard]] std::string array_literal(std::span<const std::string> texts);
[[nodiscard]] std::string quoted_identifier(std::string_view name);

}  // namespace pgsidecar::ops
