// The files of deploy/sql, word for word; made from them when the program is built. Each is one
// statement that changes something and one query that tells what (outcome, object), for a
// transaction that the caller opens and ends.
#pragma once
#include <string_view>

namespace pgsidecar::ops::migration_sql {

extern const std::string_view up;
extern const std::string_view down;
extern const std::string_view notify_up;
extern const std::string_view notify_down;
extern const std::string_view wal_up;
extern const std::string_view wal_down;

}  // namespace pgsidecar::ops::migration_sql
