#!/usr/bin/env bash
# Run once by the postgres image, when its data folder is new: the application's roles and database, and
# the role by which pgsidecar reads the catalogs.
set -euo pipefail
roles=${ROLES_FOLDER:-/roles}
run() { psql -X -v ON_ERROR_STOP=1 -U "${POSTGRES_USER:-postgres}" "$@"; }
run -d postgres -v owner="$OWNER_PASSWORD" -v app="$APP_PASSWORD" -f "$roles/application.sql"
run -d prescriptions -f "$roles/control-user.sql"
# By standard input: an argument can be read by everybody on the machine.
run -d postgres <<<"\\getenv password CONTROL_PASSWORD
ALTER ROLE pgsidecar PASSWORD :'password';"
