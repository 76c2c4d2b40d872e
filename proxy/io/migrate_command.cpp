#include "proxy/io/migrate_command.h"

#include <CLI/CLI.hpp>
#include <iostream>
#include <string>

namespace pgsidecar::io {
namespace {

using action = migrate_request::action;

constexpr const char* about =
    "Make, remove or look over what pgsidecar keeps in a database: the tables\n"
    "prescription_query_cache (with its index) and prescription_query_metrics, a record of what "
    "was\n"
    "made in pgsidecar_migrations; with --wal a publication, or with --notify triggers, that tell\n"
    "of writes past the proxy.";

constexpr const char* examples =
    "  pgsidecar migrate status -c pgsidecar.yaml --database clinic\n"
    "  pgsidecar migrate up     -c pgsidecar.yaml --database clinic\n"
    "  pgsidecar migrate up     -c pgsidecar.yaml --database clinic --wal\n"
    "  pgsidecar migrate up     -c pgsidecar.yaml --database clinic --notify\n"
    "  pgsidecar migrate down   -c pgsidecar.yaml --database clinic\n\n"
    "It connects as upstream.control_connection says; --database clinic takes another database\n"
    "there, and --database 'host=db user=owner dbname=clinic' (or a URI) takes another role or\n"
    "server altogether, with host, port and TLS of the upstream where it names none. Keep the\n"
    "password in a password file: what stands on a command line, others can read.\n\n"
    "The same SQL lies in deploy/sql, for running it by hand with psql. Exit code 0: done, or for\n"
    "status everything is applied; 1: not, and then nothing was changed; 2: the configuration or\n"
    "the connection string is not valid.";

void add_options(CLI::App& command, migrate_request& request) {
    command
        .add_option("--database", request.database,
                    "Database, or libpq connection string, instead of control_connection's")
        ->type_name("NAME|CONNINFO");
    command
        .add_option("--schema", request.schema,
                    "Schema of the tables (the first that exists of the role's search_path)")
        ->type_name("NAME");
}

CLI::App* add_action(CLI::App& command, migrate_request& request, action what, const char* name,
                     const char* text, const std::function<void(CLI::App&)>& add_config) {
    auto* sub = command.add_subcommand(name, text);
    add_config(*sub);
    add_options(*sub, request);
    sub->callback([&request, what] { request.what = what; });
    return sub;
}

}  // namespace

migrate_command::migrate_command(CLI::App& program,
                                 const std::function<void(CLI::App&)>& add_config)
    : command_{program.add_subcommand("migrate", about)} {
    command_->require_subcommand(1);
    command_->footer(examples);
    auto* up = add_action(*command_, request_, action::up, "up",
                          "Make what is not there yet, in one transaction. Needs CREATE on the "
                          "schema.\nTables that are there stay as they are; may be run again.",
                          add_config);
    up->add_flag("--notify", request_.notify,
                 "Also the triggers that tell of writes past the proxy, on all tables that cache "
                 "rules name, their partitions and parents. Needs a superuser. Run it again for "
                 "new tables. Their writers cannot use PREPARE TRANSACTION then");
    up->add_flag("--wal", request_.wal,
                 "Also the publication of all tables that cache rules name, their partitions and "
                 "parents, with event triggers that tell of definitions in the write-ahead log and "
                 "keep the publication in step. Needs a superuser, and a server with wal_level = "
                 "logical. Tables without primary key or REPLICA IDENTITY are left out");
    auto* down =
        add_action(*command_, request_, action::down, "down",
                   "Remove what up made, and nothing else, in one transaction", add_config);
    down->add_flag("--notify", request_.notify, "Remove the triggers alone, the tables stay");
    down->add_flag("--wal", request_.wal, "Remove the publication alone, the tables stay");
    down->add_flag("--drop-data", request_.drop_data,
                   "Remove the tables that up made even if they hold rows");
    auto* status = add_action(*command_, request_, action::status, "status",
                              "Print each step, when and by whom it was applied, and whether what "
                              "is there is as it must be",
                              add_config);
    status->add_flag("--notify", request_.notify, "Exit code 1 also when notify is not applied");
    status->add_flag("--wal", request_.wal, "Exit code 1 also when wal is not applied");
}

bool migrate_command::chosen() const { return command_->parsed(); }

int migrate_command::run(const config::settings& settings) const {
    return migrate(settings, request_, std::cout, std::cerr);
}

}  // namespace pgsidecar::io
