#include "proxy/io/validate_command.h"

#include <CLI/CLI.hpp>
#include <iostream>

namespace pgsidecar::io {
namespace {

constexpr const char* about =
    "The checkpoint before a switch: ask the server itself (blue) and the proxy (green) the same\n"
    "statements, compare every answer byte for byte, and hold the times against the target";

constexpr const char* examples =
    "  pgsidecar validate -c pgsidecar.yaml --workload prescriptions.sql --database clinic --user "
    "app\n"
    "  pgsidecar validate -c pgsidecar.yaml --workload prescriptions.sql --blue 'dbname=clinic "
    "user=app' \\\n"
    "      --green port=6432 --report report.json\n"
    "  pgsidecar validate -c pgsidecar.yaml --from-console dbname=pgsidecar --values "
    "values.json\n\n"
    "The file holds SQL statements, each with a semicolon at its end. Comments right before one "
    "may\n"
    "say more of it; a statement with parameters needs at least one line of values:\n\n"
    "  -- name: newest page\n"
    "  -- weight: 5\n"
    "  -- params: [\"pharmacy-07\", 100]\n"
    "  SELECT id, drug_name FROM prescriptions WHERE tenant_id = $1 ORDER BY id DESC LIMIT $2;\n\n"
    "Only SELECTs that change nothing are run, in sessions that are READ ONLY. Each is asked "
    "once,\n"
    "then in rounds, so that green has its answer in the cache. Without ORDER BY rows are "
    "compared\n"
    "as a set. An answer that changes on blue itself (now(), others who write) counts as "
    "unstable.\n"
    "What differs is told by row, column and length, never by value.\n\n"
    "The connections: blue is the upstream of the configuration, green its listen_addr and\n"
    "listen_port; --blue and --green replace what they name. What green does not name (database,\n"
    "user, password) it has from blue. PGPASSFILE and the other variables of libpq are read.\n\n"
    "Exit code 0: passed; 1: not (a difference, a failure, too slow, a side out of reach); 2: the\n"
    "configuration, an option or the workload is not valid, and nothing was run; 130: interrupted "
    "by\n"
    "SIGINT or SIGTERM, and the reports tell what was done until then (a second signal ends it at\n"
    "once). More, and the fields of the report: deploy/validate/README.md.";

void add_workload(CLI::App& command, validate_request& r) {
    command.add_option("--workload", r.workload, "SQL file with the statements")->type_name("FILE");
    command
        .add_option("--from-console", r.from_console,
                    "Instead: the statements that the admin console says are called most")
        ->type_name("CONNINFO");
    command
        .add_option("--values", r.values,
                    "With --from-console: JSON with values for placeholders, by statement")
        ->type_name("FILE");
    command.add_option("--top", r.top, "With --from-console: so many statements (50)")
        ->type_name("N")
        ->check(CLI::Range(1, 1000));
}

void add_sides(CLI::App& command, validate_request& r) {
    command.add_option("--blue", r.blue, "The server (the configuration's upstream)")
        ->type_name("CONNINFO");
    command.add_option("--green", r.green, "The proxy (the configuration's listen_addr and _port)")
        ->type_name("CONNINFO");
    command.add_option("--database", r.database, "Database, where no connection string names one")
        ->type_name("NAME");
    command.add_option("--user", r.user, "User, likewise")->type_name("NAME");
    command
        .add_option("--console", r.console,
                    "Admin console that is asked for the hit ratio (green's, dbname=pgsidecar)")
        ->type_name("CONNINFO");
}

void add_run(CLI::App& command, validate_request& r) {
    command
        .add_option("--clients", r.clients,
                    "Clients at once (1); above 2 needs enable_load_testing: true")
        ->type_name("N")
        ->check(CLI::Range(1, 1000));
    auto* rounds = command.add_option(
        "--rounds", r.rounds,
        "How often each statement is asked again (5); above 20 needs enable_load_testing");
    rounds->type_name("N")->check(CLI::Range(1, 1'000'000));
    command
        .add_option("--duration", r.duration,
                    "Instead of rounds: for so long, as 30s; above 60s needs enable_load_testing")
        ->type_name("TIME")
        ->excludes(rounds);
    command.add_option("--timeout", r.timeout, "How long one answer may take (60s)")
        ->type_name("TIME");
    command.add_option("--seed", r.seed, "Of the order in which statements are asked (1)")
        ->type_name("N");
    command.add_flag("--unprepared", r.unprepared,
                     "Send parameters with a Parse each time, as drivers that prepare nothing");
    command.add_flag("--allow-writes", r.allow_writes,
                     "Also INSERT, UPDATE, DELETE, MERGE and functions that write. Each is run on "
                     "both sides, so twice or more often where both lead to one database");
}

void add_limits(CLI::App& command, validate_request& r) {
    command
        .add_option("--target", r.target,
                    "What p95 through green may be (performance_target); 0 is no target")
        ->type_name("TIME");
    command
        .add_option(
            "--max-slowdown", r.max_slowdown,
            "By how much p50 and p95 of green's repeats may be above blue's (50); less than "
            "1 ms is never too much")
        ->type_name("PERCENT")
        ->check(CLI::Range(0.0, 1e6));
    command
        .add_option("--max-unstable", r.max_unstable,
                    "Of how many statements blue's own answer may change (0)")
        ->type_name("N");
    command.add_option("--report", r.report, "Where to write the report as JSON")
        ->type_name("FILE");
}

}  // namespace

validate_command::validate_command(CLI::App& program,
                                   const std::function<void(CLI::App&)>& add_config)
    : command_{program.add_subcommand("validate", about)} {
    add_config(*command_);
    add_workload(*command_, request_);
    add_sides(*command_, request_);
    add_run(*command_, request_);
    add_limits(*command_, request_);
    command_->footer(examples);
}

bool validate_command::chosen() const { return command_->parsed(); }

int validate_command::run(const config::settings& settings,
                          const std::string& program_version) const {
    return validate(settings, request_, program_version, std::cout, std::cerr);
}

}  // namespace pgsidecar::io
