#include "proxy/io/connection_string_command.h"

#include <CLI/CLI.hpp>
#include <iostream>

namespace pgsidecar::io {
namespace {

using action = connection_string_request::action;

constexpr const char* about =
    "Point an application at pgsidecar, and back: host and port of its connection string, in\n"
    "appsettings.json, web.config or a file of variables";

constexpr const char* examples =
    "  pgsidecar connection-string show    --file appsettings.Production.json\n"
    "  pgsidecar connection-string set     --file appsettings.Production.json --host 127.0.0.1 "
    "--port 6432\n"
    "  pgsidecar connection-string restore --file appsettings.Production.json\n"
    "  pgsidecar connection-string show                      the variables of this process\n\n"
    "Files: appsettings*.json (ConnectionStrings; comments and trailing commas are fine), "
    "web.config\n"
    "and app.config (<connectionStrings>), and lines ConnectionStrings__NAME=... as in a .env or "
    "an\n"
    "EnvironmentFile. Only Host (or Server) and Port change, every other byte of the file stays.\n"
    "Postgres URIs are refused (Npgsql does not read them), several hosts unless --all-hosts is "
    "given.\n\n"
    "set keeps FILE.pgsidecar-backup, from before the first change, and FILE.pgsidecar-record "
    "beside\n"
    "the file; both hold what the file holds, with its mode and owner. restore puts the very bytes "
    "back\n"
    "and removes both. It refuses when somebody else has changed the file since. No password is "
    "shown.\n"
    "Start the application anew where it reads its settings only then.\n\n"
    "Exit code 0: done, or there was nothing to do; 1: not, and the file is as before; 2: an "
    "option is\n"
    "not valid.";

}  // namespace

connection_string_command::connection_string_command(CLI::App& program)
    : command_{program.add_subcommand("connection-string", about)} {
    command_->require_subcommand(1);
    command_->footer(examples);
    const auto add = [this](const char* name, const char* text, action what) {
        auto* sub = command_->add_subcommand(name, text);
        sub->callback([this, what] { request_.what = what; });
        return sub;
    };
    const auto add_name = [this](CLI::App& sub) {
        sub.add_option("--name", request_.name,
                       "Which connection string, as DefaultConnection (the only one of PostgreSQL)")
            ->type_name("NAME");
    };
    auto* show =
        add("show", "Print where the connection strings lead, without secrets", action::show);
    show->add_option("--file", request_.files,
                     "File of the application (may be repeated); without "
                     "it the variables of this process")
        ->type_name("FILE");
    add_name(*show);
    auto* set = add("set", "Send one to this host and port, and keep a backup", action::set);
    set->add_option("--file", request_.files, "File of the application")
        ->type_name("FILE")
        ->required()
        ->expected(1);
    add_name(*set);
    set->add_option("--host", request_.host, "Where pgsidecar listens")
        ->type_name("HOST")
        ->required();
    set->add_option("--port", request_.port, "And its port")
        ->type_name("PORT")
        ->required()
        ->check(CLI::Range(1, 65535));
    set->add_flag("--all-hosts", request_.all_hosts, "Also replace a list of hosts, by the one");
    set->add_flag("--dry-run", request_.dry_run, "Say what would change, write nothing");
    set->add_flag(
        "--force", request_.force,
        "Also where the file has changed since its backup: the older backup is kept under "
        "another name");
    auto* restore = add("restore", "Put the file back as it was before set", action::restore);
    restore->add_option("--file", request_.files, "File of the application")
        ->type_name("FILE")
        ->required()
        ->expected(1);
    restore->add_flag("--dry-run", request_.dry_run, "Say what would be done, write nothing");
    restore->add_flag(
        "--force", request_.force,
        "Also where the file has changed since: what is there is kept under another name");
}

bool connection_string_command::chosen() const { return command_->parsed(); }

int connection_string_command::run(char** environment) const {
    std::vector<std::string> variables;
    for (char** at = environment; at != nullptr && *at != nullptr; ++at)
        variables.emplace_back(*at);
    return connection_string(request_, variables, std::cout, std::cerr);
}

}  // namespace pgsidecar::io
