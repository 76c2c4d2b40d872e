#include "proxy/io/windows/service_manager.h"

#include <winsock2.h>
// After it.
#include <windows.h>

#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

#include "proxy/io/windows/program_path.h"
#include "proxy/io/windows/wide.h"
#include "proxy/ops/service_state.h"

namespace pgsidecar::io {
namespace {

constexpr auto look_again = std::chrono::milliseconds{200};
constexpr auto beyond_shutdown = std::chrono::milliseconds{10'000};

struct closer {
    void operator()(SC_HANDLE handle) const noexcept { CloseServiceHandle(handle); }
};
using handle = std::unique_ptr<std::remove_pointer_t<SC_HANDLE>, closer>;

service_answer failure(const std::string& name, unsigned long code) {
    switch (code) {
        case ERROR_ACCESS_DENIED:
            return {code, "this needs an administrator's rights: open an elevated prompt"};
        case ERROR_SERVICE_DOES_NOT_EXIST:
            return {code, "there is no service " + name};
        case ERROR_SERVICE_EXISTS:
        case ERROR_DUPLICATE_SERVICE_NAME:
            return {code, "there is a service " + name +
                              " already: uninstall it first, or take another --name"};
        case ERROR_SERVICE_ALREADY_RUNNING:
            return {code, "the service " + name + " runs already"};
        case ERROR_SERVICE_NOT_ACTIVE:
            return {code, "the service " + name + " does not run"};
        case ERROR_SERVICE_MARKED_FOR_DELETE:
            return {code, "the service " + name +
                              " is being removed: close the Services window, then try again"};
        case ERROR_INVALID_SERVICE_ACCOUNT:
            return {code, "the account or its password is not valid"};
        case ERROR_SERVICE_DISABLED:
            return {code, "the service " + name + " is disabled"};
        case ERROR_SERVICE_CANNOT_ACCEPT_CTRL:
            return {code, "the service " + name + " is starting or stopping: try again"};
        default:
            return {code, "the service " + name + ": " + windows_error(code)};
    }
}

handle open_manager(DWORD rights) { return handle{OpenSCManagerW(nullptr, nullptr, rights)}; }

// Null: `why` says it.
handle open_service(const std::string& name, DWORD rights, service_answer& why) {
    const auto manager = open_manager(SC_MANAGER_CONNECT);
    handle out;
    if (manager) out.reset(OpenServiceW(manager.get(), widen(name).c_str(), rights));
    if (!out) why = failure(name, GetLastError());
    return out;
}

std::wstring account_of(const service_request& wanted) {
    const auto& a = wanted.account;
    if (a.empty()) return L"NT SERVICE\\" + widen(wanted.name);
    if (a == "LocalService" || a == "NetworkService") return L"NT AUTHORITY\\" + widen(a);
    if (a == "LocalSystem") return L"LocalSystem";
    return widen(a);
}

std::string command_of(const service_request& wanted) {
    std::vector<std::string> words{program_path(),
                                   "service",
                                   "run",
                                   "--name",
                                   wanted.name,
                                   "--config",
                                   absolute_path(wanted.from.path)};
    for (const auto& one : wanted.from.overrides) {
        words.emplace_back("--set");
        words.push_back(one);
    }
    return ops::service_command_line(words);
}

template <class T>
void configure(SC_HANDLE service, DWORD what, T& value, const char* name, std::string& notes) {
    if (ChangeServiceConfig2W(service, what, &value) != 0) return;
    notes += std::string{name} + " could not be set: " + windows_error(GetLastError()) + "\n";
}

void describe(SC_HANDLE service, const service_request& wanted,
              std::chrono::milliseconds shutdown_takes, std::string& notes) {
    std::wstring text = L"Caching sidecar proxy for PostgreSQL (" + widen(wanted.from.path) + L")";
    SERVICE_DESCRIPTIONW description{text.data()};
    configure(service, SERVICE_CONFIG_DESCRIPTION, description, "the description", notes);
    // What dies is started again, sooner the first time. What ends with an error of its own, as of
    // its configuration, stays down: it would end in the same way.
    SC_ACTION actions[] = {
        {SC_ACTION_RESTART, 5'000}, {SC_ACTION_RESTART, 10'000}, {SC_ACTION_RESTART, 60'000}};
    SERVICE_FAILURE_ACTIONSW recovery{};
    recovery.dwResetPeriod = 24 * 60 * 60;
    recovery.cActions = 3;
    recovery.lpsaActions = actions;
    configure(service, SERVICE_CONFIG_FAILURE_ACTIONS, recovery, "the recovery actions", notes);
    SERVICE_PRESHUTDOWN_INFO before{static_cast<DWORD>((shutdown_takes + beyond_shutdown).count())};
    configure(service, SERVICE_CONFIG_PRESHUTDOWN_INFO, before, "the time before a shutdown",
              notes);
    if (wanted.start == service_request::start_kind::delayed) {
        SERVICE_DELAYED_AUTO_START_INFO delayed{TRUE};
        configure(service, SERVICE_CONFIG_DELAYED_AUTO_START_INFO, delayed, "the delayed start",
                  notes);
    }
}

}  // namespace

service_answer create_service(const service_request& wanted, const std::string& password,
                              std::chrono::milliseconds shutdown_takes, std::string& notes) {
    const auto manager = open_manager(SC_MANAGER_CONNECT | SC_MANAGER_CREATE_SERVICE);
    if (!manager) return failure(wanted.name, GetLastError());
    const DWORD start = wanted.start == service_request::start_kind::manual ? SERVICE_DEMAND_START
                                                                            : SERVICE_AUTO_START;
    const auto name = widen(wanted.name);
    auto secret = widen(password);
    const handle made{CreateServiceW(
        manager.get(), name.c_str(), name.c_str(), SERVICE_ALL_ACCESS, SERVICE_WIN32_OWN_PROCESS,
        start, SERVICE_ERROR_NORMAL, widen(command_of(wanted)).c_str(), nullptr, nullptr, nullptr,
        account_of(wanted).c_str(), secret.empty() ? nullptr : secret.c_str())};
    const auto code = GetLastError();
    if (!secret.empty()) SecureZeroMemory(secret.data(), secret.size() * sizeof(wchar_t));
    if (!made) return failure(wanted.name, code);
    describe(made.get(), wanted, shutdown_takes, notes);
    return {};
}

service_answer delete_service(const std::string& name) {
    service_answer why;
    const auto service = open_service(name, DELETE, why);
    if (!service) return why;
    return DeleteService(service.get()) != 0 ? service_answer{} : failure(name, GetLastError());
}

service_answer start_service(const std::string& name) {
    service_answer why;
    const auto service = open_service(name, SERVICE_START, why);
    if (!service) return why;
    if (StartServiceW(service.get(), 0, nullptr) != 0) return {};
    return failure(name, GetLastError());
}

service_answer stop_service(const std::string& name) {
    service_answer why;
    const auto service = open_service(name, SERVICE_STOP, why);
    if (!service) return why;
    SERVICE_STATUS ignored{};
    if (ControlService(service.get(), SERVICE_CONTROL_STOP, &ignored) != 0) return {};
    return failure(name, GetLastError());
}

service_answer reload_service(const std::string& name) {
    service_answer why;
    const auto service = open_service(name, SERVICE_PAUSE_CONTINUE, why);
    if (!service) return why;
    SERVICE_STATUS ignored{};
    if (ControlService(service.get(), SERVICE_CONTROL_PARAMCHANGE, &ignored) != 0) return {};
    return failure(name, GetLastError());
}

service_answer look_at_service(const std::string& name, service_facts& out) {
    service_answer why;
    const auto service = open_service(name, SERVICE_QUERY_STATUS | SERVICE_QUERY_CONFIG, why);
    if (!service) return why;
    SERVICE_STATUS_PROCESS status{};
    DWORD size = 0;
    if (QueryServiceStatusEx(service.get(), SC_STATUS_PROCESS_INFO,
                             reinterpret_cast<BYTE*>(&status), sizeof status, &size) == 0)
        return failure(name, GetLastError());
    out.state = status.dwCurrentState;
    out.process = status.dwProcessId;
    out.exit_code = status.dwWin32ExitCode;
    out.own_exit_code = status.dwServiceSpecificExitCode;
    (void)QueryServiceConfigW(service.get(), nullptr, 0, &size);
    alignas(QUERY_SERVICE_CONFIGW) std::vector<std::byte> room(size);
    auto* config = reinterpret_cast<QUERY_SERVICE_CONFIGW*>(room.data());
    if (size == 0 || QueryServiceConfigW(service.get(), config, size, &size) == 0) return {};
    if (config->lpBinaryPathName) out.command = narrow(config->lpBinaryPathName);
    if (config->lpServiceStartName) out.account = narrow(config->lpServiceStartName);
    out.start = config->dwStartType == SERVICE_AUTO_START     ? "auto"
                : config->dwStartType == SERVICE_DEMAND_START ? "manual"
                                                              : "disabled";
    return {};
}

service_answer wait_for(const std::string& name, std::chrono::seconds at_most, service_facts& out) {
    const auto end = std::chrono::steady_clock::now() + at_most;
    for (;;) {
        if (auto why = look_at_service(name, out); !why.ok()) return why;
        if (out.state != SERVICE_START_PENDING && out.state != SERVICE_STOP_PENDING) return {};
        if (std::chrono::steady_clock::now() >= end)
            return {ERROR_SERVICE_REQUEST_TIMEOUT, "the service " + name + " is still " +
                                                       service_state_name(out.state) + " after " +
                                                       std::to_string(at_most.count()) + " s"};
        std::this_thread::sleep_for(look_again);
    }
}

const char* service_state_name(unsigned long state) {
    switch (state) {
        case SERVICE_RUNNING:
            return "running";
        case SERVICE_START_PENDING:
            return "starting";
        case SERVICE_STOP_PENDING:
            return "stopping";
        case SERVICE_STOPPED:
            return "stopped";
        default:
            return "paused";
    }
}

}  // namespace pgsidecar::io
