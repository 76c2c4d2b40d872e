// The questions of `migrate status` and what their answers mean. Each is asked with the schema as
// $1, in one snapshot and with search_path empty; `watched` and
// `published` with the patterns as $1 instead.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "proxy/ops/migration.h"

namespace pgsidecar::ops {

// The rows of one answer, NULL as an empty text.
using answer_rows = std::vector<std::vector<std::string>>;

namespace migration_queries {
extern const std::string_view relations;  // name, kind, comment, may be read
extern const std::string_view columns;    // table, column, shape
extern const std::string_view index;      // table, columns, is plain and valid
extern const std::string_view outside;    // of no schema's tables: object, empty or what is wrong
extern const std::string_view watched;    // schema, table, how its trigger is enabled or empty
extern const std::string_view published;  // table, as pgsidecar.wal_tables has it: state, reason
// version, step, when, by whom, object, made; the table's name is not a parameter.
[[nodiscard]] std::string records(std::string_view schema);
}  // namespace migration_queries

// What a database was found to hold.
struct migration_facts {
    answer_rows relations, columns, index, records, outside, watched, published;
};

}  // namespace pgsidecar::ops
