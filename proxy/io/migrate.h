// `pgsidecar migrate`: makes, removes and looks over what pgsidecar keeps in a database. One
// connection, one transaction: either all of it happens or nothing. What is done is the SQL of
// deploy/sql (proxy/ops/migration_sql.h); this file asks for it and words the outcome.
#pragma once
#include <iosfwd>
#include <string>

#include "config/settings.h"

namespace pgsidecar::io {

struct migrate_request {
    enum class action { up, down, status };
    action what = action::status;
    // A name alone: the database to use instead of the one that control_connection names. A libpq
    // connection string: instead of control_connection. Empty: control_connection as it is.
    std::string database;
    std::string schema;  // empty: the first that exists of the connection's search_path
    // up: this step too; down: this step alone, or these two; status: it must be applied.
    bool notify = false;
    bool wal = false;
    bool drop_data = false;  // down: tables that hold rows as well
};

// The exit code: 0 done (status: everything is applied), 1 not, 2 it is not said where to connect.
// Nothing that is printed holds a password. Blocks as long as the server does.
[[nodiscard]] int migrate(const config::settings& settings, const migrate_request& request,
                          std::ostream& out, std::ostream& err);

}  // namespace pgsidecar::io
