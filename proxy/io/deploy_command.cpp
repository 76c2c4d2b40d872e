#include "proxy/io/deploy_command.h"

#include <CLI/CLI.hpp>
#include <iostream>

namespace pgsidecar::io {
namespace {

using action = deploy_request::action;

constexpr const char* about =
    "Bring a new version or configuration (green) into the place of the one that serves (blue),\n"
    "without a client's notice, and take it back";

constexpr const char* examples =
    "  pgsidecar deploy green    -c pgsidecar.yaml        try it out on a port of its own\n"
    "  pgsidecar deploy switch   -c pgsidecar.yaml --workload prescriptions.sql --database clinic "
    "--user app\n"
    "  pgsidecar deploy status   -c pgsidecar.yaml        what is where, and what comes next\n"
    "  pgsidecar deploy rollback flag        -c pgsidecar.yaml\n"
    "  pgsidecar deploy rollback config      -c pgsidecar.yaml\n"
    "  pgsidecar deploy rollback application -c pgsidecar.yaml --file appsettings.json\n"
    "  pgsidecar deploy rollback database    -c pgsidecar.yaml\n\n"
    "green starts a process that nobody else is told of: on 127.0.0.1 and a free port, with the "
    "new\n"
    "configuration, without metrics, alerts and shared tier. It is ready when /readyz says so.\n"
    "switch passes the checkpoint (validate, the server against green), starts the new one with\n"
    "--take-over in the place of blue, ends the one that was tried out, and waits for blue's "
    "clients\n"
    "to go (--drain). Blue ends by itself. With --start it is the service manager that starts "
    "it:\n\n"
    "  pgsidecar deploy switch -c pgsidecar.yaml --workload w.sql --start 'systemctl start "
    "pgsidecar@{generation}'\n\n"
    "Each command may be run again, also after it was killed: it goes on from where things are. "
    "The\n"
    "state is kept in TAKEOVER_SOCKET.deploy.yaml (--state). takeover_socket must be set. Linux "
    "only.\n\n"
    "Exit code 0: it is so; 1: it is not, and whoever served still does; 2: an option or the\n"
    "configuration is not valid; of switch also what validate has.";

}  // namespace

CLI::App* deploy_command::add(CLI::App& to, action what, const char* name, const char* text,
                              const std::function<void(CLI::App&)>& add_config) {
    auto* sub = to.add_subcommand(name, text);
    add_config(*sub);
    sub->callback([this, what] { request_.what = what; });
    sub->add_option("--state", request_.state, "File with the state (beside takeover_socket)")
        ->type_name("FILE");
    return sub;
}

void deploy_command::add_green(const std::function<void(CLI::App&)>& add_config) {
    auto* green =
        add(*command_, action::green, "green",
            "Start the new one beside the one that serves, and wait until it is ready", add_config);
    green->add_option("--program", request_.program, "The new version (this program)")
        ->type_name("FILE");
    green->add_option("--port", request_.port, "Where it is tried out, on 127.0.0.1 (a free one)")
        ->type_name("PORT")
        ->check(CLI::Range(1, 65535));
    green
        ->add_option("--timeout", request_.timeout_seconds, "How long it may take to be ready (60)")
        ->type_name("SECONDS")
        ->check(CLI::Range(1, 3600));
    green->add_option("--log", request_.log, "Where what it prints goes (STATE.log)")
        ->type_name("FILE");
}

void deploy_command::add_switch(const std::function<void(CLI::App&)>& add_config) {
    auto* sub =
        add(*command_, action::switch_over, "switch",
            "Pass the checkpoint, take blue's place, and let blue's clients go", add_config);
    auto& v = request_.validation;
    sub->add_option("--workload", v.workload, "SQL file with what green is asked (see validate)")
        ->type_name("FILE");
    sub->add_option("--database", v.database, "Database of the workload")->type_name("NAME");
    sub->add_option("--user", v.user, "User that asks it")->type_name("NAME");
    sub->add_option("--blue", v.blue, "The server (the configuration's upstream)")
        ->type_name("CONNINFO");
    sub->add_option("--rounds", v.rounds, "How often each statement is asked again (5)")
        ->type_name("N")
        ->check(CLI::Range(1, 1'000'000));
    sub->add_option("--target", v.target, "What p95 through green may be; 0 is no target")
        ->type_name("TIME");
    sub->add_option("--max-slowdown", v.max_slowdown, "How much slower green's repeats may be (50)")
        ->type_name("PERCENT")
        ->check(CLI::Range(0.0, 1e6));
    sub->add_option("--report", v.report, "Where to write the report as JSON")->type_name("FILE");
    sub->add_flag("--no-validate", request_.no_validate, "Leave the checkpoint out");
    sub->add_option(
           "--start", request_.start,
           "Shell command that starts the new one; {generation}, {config} and {program} stand for "
           "themselves (directly: program run --take-over)")
        ->type_name("COMMAND");
    sub->add_option("--timeout", request_.timeout_seconds, "How long each step may take (60)")
        ->type_name("SECONDS")
        ->check(CLI::Range(1, 3600));
    sub->add_option("--drain", request_.drain_seconds,
                    "How long to wait for blue's clients to go (60)")
        ->type_name("SECONDS")
        ->check(CLI::Range(0, 1'000'000));
    sub->add_option("--log", request_.log, "Where what it prints goes (STATE.log)")
        ->type_name("FILE");
}

void deploy_command::add_rollback(const std::function<void(CLI::App&)>& add_config) {
    auto* back = command_->add_subcommand("rollback", "Take it back, at once: one of four ways");
    back->require_subcommand(1);
    const auto add_console = [this](CLI::App& sub) {
        sub.add_option("--console", request_.console,
                       "Admin console, where the configuration does not say it all")
            ->type_name("CONNINFO");
    };
    add_console(*add(*back, action::flag, "flag",
                     "Everything passes through: enable_optimizations = false", add_config));
    add_console(*add(*back, action::config, "config", "The configuration that was in force before",
                     add_config));
    auto* application = add(
        *back, action::application, "application",
        "The application's connection string as it was (connection-string restore)", add_config);
    application->add_option("--file", request_.file, "File of the application")
        ->type_name("FILE")
        ->required();
    application->add_flag("--force", request_.force, "Also where the file has changed since");
    auto* database = add(*back, action::database, "database",
                         "What migrate up has made is removed (migrate down)", add_config);
    database
        ->add_option("--database", request_.migration.database,
                     "Database, or libpq connection string, instead of control_connection's")
        ->type_name("NAME|CONNINFO");
    database->add_option("--schema", request_.migration.schema, "Schema of the tables")
        ->type_name("NAME");
    database->add_flag("--drop-data", request_.migration.drop_data, "Also tables that hold rows");
}

deploy_command::deploy_command(CLI::App& program, const std::function<void(CLI::App&)>& add_config)
    : command_{program.add_subcommand("deploy", about)} {
    command_->require_subcommand(1);
    command_->footer(examples);
    add_green(add_config);
    add_switch(add_config);
    add_rollback(add_config);
    add(*command_, action::status, "status", "Print what is where, and what comes next",
        add_config);
}

bool deploy_command::chosen() const { return command_->parsed(); }

int deploy_command::run(const config::sources& from, const std::string& program_version) const {
    return deploy(from, request_, program_version, std::cout, std::cerr);
}

}  // namespace pgsidecar::io
