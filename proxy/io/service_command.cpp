#include "proxy/io/service_command.h"

#include <CLI/CLI.hpp>
#include <utility>

#include "proxy/ops/service_state.h"

namespace pgsidecar::io {
namespace {

using action = service_request::action;

constexpr const char* about = "Run the proxy as a service of Windows";

constexpr const char* examples =
    "  pgsidecar service install -c C:\\ProgramData\\pgsidecar\\pgsidecar.yaml\n"
    "  pgsidecar service start\n"
    "  pgsidecar service status\n"
    "  pgsidecar service reload                 load the configuration anew, as SIGHUP elsewhere\n"
    "  pgsidecar service install --name pgsidecar-test -c C:\\test\\pgsidecar.yaml\n"
    "  pgsidecar service uninstall\n\n"
    "install and uninstall, and for most accounts start and stop, need an elevated prompt.\n"
    "Several services may stand side by side: each --name has a configuration of its own.\n\n"
    "Exit code 0: done, or for status it runs; 1: not done; 2: the configuration or the command\n"
    "line is invalid; 3: for status, it does not run; 4: there is no such service.";

}  // namespace

service_command::service_command(CLI::App& program,
                                 const std::function<void(CLI::App&)>& add_config)
    : command_{program.add_subcommand("service", about)} {
    command_->require_subcommand(1);
    command_->footer(examples);
    const auto add = [this](action what, const char* name, const char* text) {
        auto* sub = command_->add_subcommand(name, text);
        sub->callback([this, what] { request_.what = what; });
        sub->add_option("--name", request_.name, "Name of the service (pgsidecar)")
            ->type_name("NAME")
            ->check([](const std::string& given) {
                const auto why = ops::bad_service_name(given);
                return why.empty() ? why : "the name " + why;
            });
        return sub;
    };
    auto* install = add(action::install, "install", "Make the service; it is not started");
    add_config(*install);
    install
        ->add_option("--account", request_.account,
                     "Account to run as: LocalService, NetworkService, LocalSystem, .\\user,\n"
                     "DOMAIN\\user or DOMAIN\\managed$. Default: the account that the service\n"
                     "has for itself, NT SERVICE\\NAME, which may do nothing but what it is given")
        ->type_name("ACCOUNT");
    install->add_flag("--password-stdin", request_.password_on_input,
                      "Read the account's password, one line, from standard input");
    install->add_option("--start", start_, "When it starts: auto, delayed or manual (auto)")
        ->type_name("WHEN")
        ->check(CLI::IsMember({"auto", "delayed", "manual"}));
    add(action::uninstall, "uninstall", "Stop and remove the service; its files stay");
    for (auto* sub : {add(action::start, "start", "Start it and wait until it runs"),
                      add(action::stop, "stop", "Stop it and wait until it has ended"),
                      add(action::restart, "restart", "Stop and start it")})
        sub->add_option("--wait", wait_, "Seconds to wait (60)")
            ->type_name("SECONDS")
            ->check(CLI::Range(1, 3600));
    add(action::status, "status", "Say how the service is");
    add(action::reload, "reload", "Let it load its configuration anew");
    auto* run = add(action::run, "run", "What the service manager starts; not for a prompt");
    run->group("");
    add_config(*run);
}

bool service_command::chosen() const { return command_->parsed(); }

int service_command::run(config::sources from, std::string program) const {
    auto request = request_;
    using kind = service_request::start_kind;
    request.start = start_ == "delayed"  ? kind::delayed
                    : start_ == "manual" ? kind::manual
                                         : kind::automatic;
    request.wait = std::chrono::seconds{wait_};
    request.from = std::move(from);
    request.program = std::move(program);
    return carry_out(request);
}

}  // namespace pgsidecar::io
