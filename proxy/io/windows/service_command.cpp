#include "proxy/io/service_command.h"

#include <winsock2.h>
// After it.
#include <windows.h>

#include <iostream>
#include <string>

#include "proxy/io/configuration.h"
#include "proxy/io/windows/events.h"
#include "proxy/io/windows/service_manager.h"
#include "proxy/io/windows/service_program.h"

namespace pgsidecar::io {
namespace {

constexpr int exit_failure = 1;
constexpr int exit_bad_config = 2;
constexpr int exit_not_running = 3;
constexpr int exit_no_service = 4;

int refused(const service_answer& why) {
    std::cerr << "pgsidecar: " << why.text << '\n';
    return why.code == ERROR_SERVICE_DOES_NOT_EXIST ? exit_no_service : exit_failure;
}

int said(const service_request& request, const char* what) {
    std::cout << "pgsidecar: the service " << request.name << ' ' << what << '\n';
    return 0;
}

int install(const service_request& request) {
    configuration from{request.from};
    const auto loaded = from.start();
    if (!loaded.ok) {
        for (const auto& problem : loaded.problems) std::cerr << "pgsidecar: " << problem << '\n';
        std::cerr << "pgsidecar: the service was not installed\n";
        return exit_bad_config;
    }
    std::string password;
    if (request.password_on_input) {
        std::getline(std::cin, password);
        if (!password.empty() && password.back() == '\r') password.pop_back();
    }
    std::string notes;
    const auto takes =
        std::chrono::duration_cast<std::chrono::milliseconds>(from.settings()->shutdown_timeout);
    const auto made = create_service(request, password, takes, notes);
    if (!password.empty()) SecureZeroMemory(password.data(), password.size());
    if (!made.ok()) return refused(made);
    if (const auto why = register_event_source(request.name); !why.empty()) notes += why + "\n";
    std::cerr << notes;
    if (from.settings()->log.file.empty())
        std::cerr << "pgsidecar: log.file is not set: the service will write no log but events\n";
    return said(request, "is installed");
}

// Until it has ended, if it runs at all.
service_answer stop_and_wait(const service_request& request) {
    service_facts facts;
    auto why = stop_service(request.name);
    if (why.code == ERROR_SERVICE_NOT_ACTIVE) return why;
    if (!why.ok() && why.code != ERROR_SERVICE_CANNOT_ACCEPT_CTRL) return why;
    if (auto waited = wait_for(request.name, request.wait, facts); !waited.ok()) return waited;
    // It was starting, and is up only now.
    if (facts.state == SERVICE_RUNNING && !why.ok()) {
        if (why = stop_service(request.name); !why.ok()) return why;
        if (auto waited = wait_for(request.name, request.wait, facts); !waited.ok()) return waited;
    }
    return {};
}

int uninstall(const service_request& request) {
    const auto stopped = stop_and_wait(request);
    if (!stopped.ok() && stopped.code != ERROR_SERVICE_NOT_ACTIVE) return refused(stopped);
    const auto gone = delete_service(request.name);
    if (!gone.ok()) return refused(gone);
    forget_event_source(request.name);
    return said(request, "is removed; its files stay");
}

int start(const service_request& request) {
    if (const auto why = start_service(request.name); !why.ok()) return refused(why);
    service_facts facts;
    if (const auto why = wait_for(request.name, request.wait, facts); !why.ok())
        return refused(why);
    if (facts.state == SERVICE_RUNNING) return said(request, "runs");
    std::cerr << "pgsidecar: the service " << request.name << " has ended at once, with exit code "
              << (facts.exit_code == ERROR_SERVICE_SPECIFIC_ERROR ? facts.own_exit_code
                                                                  : facts.exit_code)
              << ": the Event Log (source " << request.name << ") says why\n";
    return facts.own_exit_code == exit_bad_config ? exit_bad_config : exit_failure;
}

int stop(const service_request& request) {
    const auto why = stop_and_wait(request);
    return why.ok() ? said(request, "has stopped") : refused(why);
}

int restart(const service_request& request) {
    const auto why = stop_and_wait(request);
    if (!why.ok() && why.code != ERROR_SERVICE_NOT_ACTIVE) return refused(why);
    return start(request);
}

int reload(const service_request& request) {
    if (const auto why = reload_service(request.name); !why.ok()) return refused(why);
    return said(request, "loads its configuration; its log and the Event Log say how it went");
}

int status(const service_request& request) {
    service_facts facts;
    if (const auto why = look_at_service(request.name, facts); !why.ok()) return refused(why);
    std::cout << "name:    " << request.name << '\n'
              << "state:   " << service_state_name(facts.state) << '\n';
    if (facts.process != 0) std::cout << "process: " << facts.process << '\n';
    if (facts.state == SERVICE_STOPPED && facts.exit_code == ERROR_SERVICE_SPECIFIC_ERROR)
        std::cout << "exit:    " << facts.own_exit_code << '\n';
    std::cout << "start:   " << facts.start << '\n'
              << "account: " << facts.account << '\n'
              << "command: " << facts.command << '\n';
    return facts.state == SERVICE_RUNNING ? 0 : exit_not_running;
}

}  // namespace

int carry_out(const service_request& request) {
    using action = service_request::action;
    switch (request.what) {
        case action::install:
            return install(request);
        case action::uninstall:
            return uninstall(request);
        case action::start:
            return start(request);
        case action::stop:
            return stop(request);
        case action::restart:
            return restart(request);
        case action::status:
            return status(request);
        case action::reload:
            return reload(request);
        case action::run:
            return run_as_service(request);
    }
    return exit_failure;
}

}  // namespace pgsidecar::io
