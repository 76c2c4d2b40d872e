#include "proxy/io/diagnose_command.h"

#include <CLI/CLI.hpp>
#include <iostream>

namespace pgsidecar::io {
namespace {

constexpr const char* about =
    "Write all that is asked first when something is wrong into one ZIP file, without secrets";

constexpr const char* examples =
    "  pgsidecar diagnose --out diagnosis.zip -c /etc/pgsidecar/pgsidecar.yaml\n"
    "  pgsidecar diagnose --out diagnosis.zip -c pgsidecar.yaml --console user=dba --log "
    "app.log\n\n"
    "In it: version, machine, processes and service; the settings in effect and what is wrong "
    "with\n"
    "them; certificates; who answers at the ports; the server; the admin console's tables; "
    "/metrics\n"
    "and /readyz; the end of the log. The program need not run, and the configuration need not be\n"
    "valid: what cannot be asked is said in README.txt.\n\n"
    "No password, token, literal or row is in it: what might be one is ***, tenants and "
    "applications\n"
    "have numbers. Names of databases, users, hosts, rules, tables and columns stand as they are,\n"
    "so look through it.\n"
    "The console is asked as the first of admin_users, with the password that ~/.pgpass has (or "
    "the\n"
    "file PGPASSFILE names); --console says otherwise.\n\n"
    "Exit code 0: the file was written; 1: it was not; 2: an option is not valid.";

}  // namespace

diagnose_command::diagnose_command(CLI::App& program,
                                   const std::function<void(CLI::App&)>& add_config)
    : command_{program.add_subcommand("diagnose", about)} {
    add_config(*command_);
    command_->get_option("--config")->required(false);
    command_->add_option("--out", request_.out, "The file to write; an older ZIP is replaced")
        ->type_name("FILE.zip")
        ->required();
    command_
        ->add_option("--console", request_.console,
                     "Admin console, where the configuration does not say it all")
        ->type_name("CONNINFO");
    command_->add_option("--log", request_.logs, "A further log file (may be repeated)")
        ->type_name("FILE")
        ->take_all()
        ->expected(1);
    command_
        ->add_option("--log-size", request_.log_kilobytes, "How much of the end of each log (512)")
        ->type_name("KB")
        ->check(CLI::Range(1, 65536));
    command_->add_option("--unit", request_.unit, "Service to ask for (pgsidecar)")
        ->type_name("NAME");
    command_->add_option("--timeout", request_.timeout_seconds, "How long one answer may take (5)")
        ->type_name("SECONDS")
        ->check(CLI::Range(1, 600));
    command_->footer(examples);
}

bool diagnose_command::chosen() const { return command_->parsed(); }

int diagnose_command::run(const config::sources& from, const std::string& program_version) const {
    return diagnose(from, request_, program_version, std::cerr);
}

}  // namespace pgsidecar::io
