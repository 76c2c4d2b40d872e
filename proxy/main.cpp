// The program: command line, settings, and one of the commands.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include "config/load.h"
#include "proxy/io/command_line.h"
#include "proxy/io/configuration.h"
#include "proxy/io/connection_string_command.h"
#include "proxy/io/deploy_command.h"
#include "proxy/io/diagnose_command.h"
#include "proxy/io/log.h"
#include "proxy/io/migrate_command.h"
#include "proxy/io/server.h"
#include "proxy/io/service_command.h"
#include "proxy/io/validate_command.h"
#include "proxy/version.h"

namespace {

constexpr int exit_failure = 1;
constexpr int exit_bad_config = 2;

struct arguments {
    std::string config_file;
    std::vector<std::string> overrides;
    bool print_origins = false;
    bool take_over = false;
};

pgsidecar::config::sources sources_of(const arguments& given) {
    return {given.config_file, given.overrides,
            pgsidecar::config::choose_environment(std::getenv("PGSIDECAR_ENVIRONMENT"),
                                                  std::getenv("ASPNETCORE_ENVIRONMENT"))};
}

// False after every problem has been printed, one a line.
bool load(pgsidecar::io::configuration& from) {
    const auto loaded = from.start();
    for (const auto& problem : loaded.problems) std::cerr << "pgsidecar: " << problem << '\n';
    return loaded.ok;
}

int run(const arguments& given) {
    pgsidecar::io::configuration configuration{sources_of(given)};
    if (!load(configuration)) return exit_bad_config;
    try {
        pgsidecar::io::open_log(configuration.settings()->log);
        for (const auto& note : configuration.current().notes) {
            const std::string line = pgsidecar::config::to_string(note);
            // A line is what somebody wrote to no effect; without one it is said for orientation.
            note.line > 0 ? pgsidecar::io::log_warning(line) : pgsidecar::io::log_info(line);
        }
        return pgsidecar::io::server{configuration, std::string{"pgsidecar "} + pgsidecar::version,
                                     given.take_over}
            .run();
    } catch (const std::exception& error) {
        std::cerr << "pgsidecar: " << error.what() << '\n';
        return exit_failure;
    }
}

int check(const arguments& given) {
    pgsidecar::io::configuration configuration{sources_of(given)};
    if (!load(configuration)) return exit_bad_config;
    const auto& loaded = configuration.current();
    std::cout << (given.print_origins ? pgsidecar::config::dump(loaded)
                                      : pgsidecar::config::dump(loaded.value));
    for (const auto& note : loaded.notes)
        std::cerr << "pgsidecar: " << pgsidecar::config::to_string(note) << '\n';
    std::cerr << "pgsidecar: " << given.config_file << " is valid\n";
    return 0;
}

void add_config_options(CLI::App& command, arguments& given) {
    command
        .add_option("-c,--config", given.config_file,
                    "Configuration file (YAML), under the overlay of the environment")
        ->required()
        ->type_name("FILE");
    command
        .add_option("--set", given.overrides,
                    "Override one setting, e.g. --set cache.max_memory=1GB (may be repeated)")
        ->type_name("KEY=VALUE")
        ->take_all()
        ->expected(1);
}

}  // namespace

int main(int argc, char** argv, char** variables) {
    CLI::App app{
        "pgsidecar: a caching sidecar proxy for PostgreSQL.\n"
        "Clients connect to it as to the server; repeated queries that its rules allow are "
        "answered\n"
        "from memory, everything else passes through.\n\n"
        "  pgsidecar check -c pgsidecar.yaml     check the file, print the settings in effect\n"
        "  pgsidecar check --print -c ...        the same, with where each setting comes from\n"
        "  pgsidecar run -c pgsidecar.yaml       run in the foreground, log to standard error\n"
        "  pgsidecar run --take-over -c ...      the same, in the place of the process that runs\n"
        "  pgsidecar migrate up -c pgsidecar.yaml  make pgsidecar's tables in the database\n"
        "  pgsidecar validate -c ...             compare the proxy's answers with the server's\n"
        "  pgsidecar connection-string ...       point an application at pgsidecar, and back\n"
        "  pgsidecar deploy green -c ...         a new version beside the one that serves, and "
        "switch\n"
        "  pgsidecar diagnose --out x.zip -c ... all that is asked first when something is "
        "wrong\n"};
    app.require_subcommand(1);
    app.set_version_flag("--version", std::string{"pgsidecar "} + pgsidecar::version);
    app.footer(
        "PGSIDECAR_ENVIRONMENT, or else ASPNETCORE_ENVIRONMENT, names an environment "
        "(Development,\n"
        "Test, Staging, Production, Live): what pgsidecar.<Environment>.yaml beside the file says\n"
        "goes on top of it.\n\n"
        "Signals: SIGTERM or SIGINT end it once sessions are idle (a second one at once),\n"
        "SIGHUP loads the configuration anew, SIGUSR1 logs the counters. Exit code 2: the\n"
        "configuration or the command line is invalid.");

    arguments given;
    auto* run_command = app.add_subcommand("run", "Run the proxy in the foreground");
    auto* check_command =
        app.add_subcommand("check", "Check a configuration and print the settings in effect");
    auto* version_command = app.add_subcommand("version", "Print the version");
    add_config_options(*run_command, given);
    add_config_options(*check_command, given);
    run_command->add_flag("--take-over", given.take_over,
                          "Take the place of the process that runs now (takeover_socket), if one "
                          "does,\nwithout a client's notice");
    check_command->add_flag("--print", given.print_origins,
                            "Say behind each setting where its value comes from");
    const auto add_config = [&given](CLI::App& command) { add_config_options(command, given); };
    const pgsidecar::io::migrate_command migrate{app, add_config};
    const pgsidecar::io::validate_command validate{app, add_config};
    const pgsidecar::io::connection_string_command connection_string{app};
    const pgsidecar::io::diagnose_command diagnose{app, add_config};
    const pgsidecar::io::deploy_command deploy{app, add_config};
    const pgsidecar::io::service_command service{app, add_config};
    try {
        const pgsidecar::io::command_line line{argc, argv};
        app.parse(line.count(), line.words());
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : exit_bad_config;  // 0: --help, --version
    }

    if (*version_command) {
        std::cout << "pgsidecar " << pgsidecar::version << '\n';
        return 0;
    }
    if (connection_string.chosen()) return connection_string.run(variables);
    if (diagnose.chosen()) return diagnose.run(sources_of(given), pgsidecar::version);
    if (deploy.chosen()) return deploy.run(sources_of(given), pgsidecar::version);
    if (migrate.chosen()) {
        pgsidecar::io::configuration configuration{sources_of(given)};
        return load(configuration) ? migrate.run(*configuration.settings()) : exit_bad_config;
    }
    if (validate.chosen()) {
        pgsidecar::io::configuration configuration{sources_of(given)};
        return load(configuration) ? validate.run(*configuration.settings(), pgsidecar::version)
                                   : exit_bad_config;
    }
    if (service.chosen())
        return service.run(sources_of(given), std::string{"pgsidecar "} + pgsidecar::version);
    return *check_command ? check(given) : run(given);
}
