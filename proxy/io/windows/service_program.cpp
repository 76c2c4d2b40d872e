#include "proxy/io/windows/service_program.h"

#include <winsock2.h>
// After it.
#include <windows.h>

#include <atomic>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <exception>
#include <iostream>
#include <mutex>
#include <thread>

#include "proxy/io/configuration.h"
#include "proxy/io/log.h"
#include "proxy/io/server.h"
#include "proxy/io/windows/events.h"
#include "proxy/io/windows/program_path.h"
#include "proxy/io/windows/wide.h"
#include "proxy/ops/service_state.h"

namespace pgsidecar::io {
namespace {

using std::chrono::milliseconds;

constexpr int exit_failure = 1;
constexpr int exit_bad_config = 2;
constexpr milliseconds longest_start{60'000};
constexpr milliseconds beyond_shutdown{10'000};  // what ends after the last session

SERVICE_STATUS status_of(const ops::service_report& r) {
    SERVICE_STATUS out{};
    out.dwServiceType = SERVICE_WIN32_OWN_PROCESS;
    switch (r.phase) {
        case ops::service_phase::start_pending:
            out.dwCurrentState = SERVICE_START_PENDING;
            break;
        case ops::service_phase::running:
            out.dwCurrentState = SERVICE_RUNNING;
            break;
        case ops::service_phase::stop_pending:
            out.dwCurrentState = SERVICE_STOP_PENDING;
            break;
        case ops::service_phase::stopped:
            out.dwCurrentState = SERVICE_STOPPED;
            break;
    }
    if (r.takes_controls)
        out.dwControlsAccepted =
            SERVICE_ACCEPT_STOP | SERVICE_ACCEPT_PRESHUTDOWN | SERVICE_ACCEPT_PARAMCHANGE;
    if (r.exit_code != 0) {
        out.dwWin32ExitCode = ERROR_SERVICE_SPECIFIC_ERROR;
        out.dwServiceSpecificExitCode = r.exit_code;
    }
    out.dwCheckPoint = r.checkpoint;
    out.dwWaitHint = static_cast<DWORD>(r.wait_hint.count());
    return out;
}

std::string lines(const std::vector<std::string>& all) {
    std::string out;
    for (const auto& one : all) out += "\r\n" + one;
    return out;
}

class service_program {
  public:
    explicit service_program(const service_request& request) : request_{request} {}

    void main();
    DWORD control(DWORD what);

  private:
    int serve();
    int serve_with(configuration& from);
    void begin(server& one);
    void reload(server& one);
    void take_limits(const config::settings& s) {
        stop_takes_ = std::chrono::duration_cast<milliseconds>(s.shutdown_timeout).count();
    }
    void report_progress(const std::stop_token& ended);
    // With the lock: reports must leave in the order in which they were made.
    void report(const std::optional<ops::service_report>& what) {
        if (!what || handle_ == nullptr) return;
        auto status = status_of(*what);
        SetServiceStatus(handle_, &status);
    }

    const service_request& request_;
    SERVICE_STATUS_HANDLE handle_ = nullptr;
    std::mutex lock_;
    std::condition_variable_any ended_;
    ops::service_state state_{longest_start};
    server* server_ = nullptr;  // while it runs
    bool stop_wanted_ = false;
    std::atomic<milliseconds::rep> stop_takes_{0};
};

// Windows calls a function without a word of whose it is.
service_program* the_program = nullptr;

DWORD WINAPI on_control(DWORD what, DWORD, void*, void* whose) {
    return static_cast<service_program*>(whose)->control(what);
}

void WINAPI on_start(DWORD, wchar_t**) { the_program->main(); }

void service_program::main() {
    handle_ = RegisterServiceCtrlHandlerExW(widen(request_.name).c_str(), on_control, this);
    if (handle_ == nullptr) {
        (void)write_service_event(service_event::failed,
                                  "the service manager refuses: " + windows_error(GetLastError()));
        return;
    }
    {
        const std::lock_guard held{lock_};
        report(state_.now());
    }
    int code = exit_failure;
    {
        const std::jthread progress{
            [this](const std::stop_token& ended) { report_progress(ended); }};
        code = serve();
    }
    const std::lock_guard held{lock_};
    report(state_.ended(static_cast<std::uint32_t>(code)));
}

void service_program::report_progress(const std::stop_token& ended) {
    std::unique_lock held{lock_};
    for (;;) {
        ended_.wait_for(held, ended, ops::service_state::step, [] { return false; });
        if (ended.stop_requested()) return;
        report(state_.progress(ops::service_state::step));
    }
}

DWORD service_program::control(DWORD what) {
    const std::lock_guard held{lock_};
    switch (what) {
        case SERVICE_CONTROL_INTERROGATE:
            return NO_ERROR;
        case SERVICE_CONTROL_STOP:
        case SERVICE_CONTROL_PRESHUTDOWN:
            report(state_.stop(milliseconds{stop_takes_} + beyond_shutdown));
            stop_wanted_ = true;
            if (server_) boost::asio::post(server_->context(), [one = server_] { one->stop(); });
            return NO_ERROR;
        case SERVICE_CONTROL_PARAMCHANGE:
            if (server_)
                boost::asio::post(server_->context(), [this, one = server_] { reload(*one); });
            return NO_ERROR;
        default:
            return ERROR_CALL_NOT_IMPLEMENTED;
    }
}

int service_program::serve() {
    if (!work_in_folder_of(request_.from.path)) {
        (void)write_service_event(service_event::bad_configuration,
                                  "The service " + request_.name +
                                      " was not started: the folder of " + request_.from.path +
                                      " cannot be opened.");
        return exit_bad_config;
    }
    configuration from{request_.from};
    const auto loaded = from.start();
    if (!loaded.ok) {
        (void)write_service_event(service_event::bad_configuration,
                                  "The service " + request_.name +
                                      " was not started: its configuration is invalid." +
                                      lines(loaded.problems));
        return exit_bad_config;
    }
    take_limits(*from.settings());
    try {
        return serve_with(from);
    } catch (const std::exception& error) {
        log_error(error.what());
        (void)write_service_event(service_event::failed,
                                  "The service " + request_.name + " has ended: " + error.what());
        return exit_failure;
    }
}

int service_program::serve_with(configuration& from) {
    open_log(from.settings()->log);
    for (const auto& note : from.current().notes) {
        const auto line = config::to_string(note);
        note.line > 0 ? log_warning(line) : log_info(line);
    }
    server one{from, request_.program};
    {
        const std::lock_guard held{lock_};
        server_ = &one;
    }
    // Called when all that begins has begun: the first thing that the server's own loop does.
    boost::asio::post(one.context(), [this, &one] { begin(one); });
    const int code = one.run();
    {
        const std::lock_guard held{lock_};
        server_ = nullptr;
        // Somebody else ended it: the console's SHUTDOWN.
        report(state_.stop(beyond_shutdown));
    }
    (void)write_service_event(service_event::stopped,
                              "The service " + request_.name + " has stopped.");
    return code;
}

void service_program::begin(server& one) {
    {
        const std::lock_guard held{lock_};
        report(state_.running());
        if (stop_wanted_) one.stop();
    }
    std::string text = request_.program + " runs as the service " + request_.name + " with " +
                       request_.from.path + ".";
    if (one.settings().log.file.empty())
        text += "\r\nlog.file is not set: there is no log but these events.";
    (void)write_service_event(service_event::started, text);
}

void service_program::reload(server& one) {
    one.configuration().reload("the service manager", [this, &one](const configuration::result& r) {
        take_limits(one.settings());
        if (r.ok)
            (void)write_service_event(service_event::reloaded,
                                      "The configuration was loaded anew." + lines(r.changed));
        else
            (void)write_service_event(
                service_event::reload_refused,
                "The configuration was not loaded: what was in force still is." +
                    lines(r.problems));
    });
}

}  // namespace

int run_as_service(const service_request& request) {
    service_program program{request};
    the_program = &program;
    set_event_source(request.name);
    auto name = widen(request.name);
    SERVICE_TABLE_ENTRYW table[] = {{name.data(), on_start}, {nullptr, nullptr}};
    if (StartServiceCtrlDispatcherW(table) != 0) return 0;
    const auto code = GetLastError();
    if (code == ERROR_FAILED_SERVICE_CONTROLLER_CONNECT)
        std::cerr << "pgsidecar: `service run` is for the service manager; at a prompt it is "
                     "`pgsidecar run`, or `pgsidecar service start`\n";
    else
        std::cerr << "pgsidecar: the service manager: " << windows_error(code) << '\n';
    return exit_bad_config;
}

}  // namespace pgsidecar::io
