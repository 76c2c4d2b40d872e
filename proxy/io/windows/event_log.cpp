#include "proxy/io/event_log.h"

#include <winsock2.h>
// After it.
#include <windows.h>

#include "pgsidecar_messages.h"
#include "proxy/io/windows/events.h"
#include "proxy/io/windows/program_path.h"
#include "proxy/io/windows/wide.h"

namespace pgsidecar::io {
namespace {

constexpr std::size_t longest_text = 30'000;  // of 31,839 characters that an event may have
constexpr const wchar_t* sources = L"SYSTEM\\CurrentControlSet\\Services\\EventLog\\Application\\";

std::wstring& source() {
    static std::wstring name = L"pgsidecar";
    return name;
}

struct kind {
    DWORD id;
    WORD type;
};

kind kind_of(service_event what) {
    switch (what) {
        case service_event::started:
            return {PGSIDECAR_EVENT_STARTED, EVENTLOG_INFORMATION_TYPE};
        case service_event::stopped:
            return {PGSIDECAR_EVENT_STOPPED, EVENTLOG_INFORMATION_TYPE};
        case service_event::reloaded:
            return {PGSIDECAR_EVENT_RELOADED, EVENTLOG_INFORMATION_TYPE};
        case service_event::bad_configuration:
            return {PGSIDECAR_EVENT_BAD_CONFIGURATION, EVENTLOG_ERROR_TYPE};
        case service_event::failed:
            return {PGSIDECAR_EVENT_FAILED, EVENTLOG_ERROR_TYPE};
        case service_event::reload_refused:
            return {PGSIDECAR_EVENT_RELOAD_REFUSED, EVENTLOG_WARNING_TYPE};
        case service_event::alert:
            return {PGSIDECAR_EVENT_ALERT, EVENTLOG_WARNING_TYPE};
        case service_event::notice:
            break;
    }
    return {PGSIDECAR_EVENT_NOTICE, EVENTLOG_INFORMATION_TYPE};
}

}  // namespace

void set_event_source(const std::string& name) { source() = widen(name); }

std::string write_service_event(service_event what, const std::string& text) {
    const HANDLE log = RegisterEventSourceW(nullptr, source().c_str());
    if (log == nullptr) return "the event log: " + windows_error(GetLastError());
    auto wide = widen(text);
    if (wide.size() > longest_text) wide.resize(longest_text);
    const wchar_t* pieces[] = {wide.c_str()};
    const auto [id, type] = kind_of(what);
    const bool done = ReportEventW(log, type, 0, id, nullptr, 1, 0, pieces, nullptr) != 0;
    const auto code = GetLastError();
    DeregisterEventSource(log);
    return done ? std::string{} : "the event log: " + windows_error(code);
}

std::string write_event(event_severity how, const std::string& line) {
    return write_service_event(
        how == event_severity::warning ? service_event::alert : service_event::notice, line);
}

std::string register_event_source(const std::string& name) {
    HKEY key = nullptr;
    const auto path = sources + widen(name);
    auto code = RegCreateKeyExW(HKEY_LOCAL_MACHINE, path.c_str(), 0, nullptr, 0, KEY_SET_VALUE,
                                nullptr, &key, nullptr);
    if (code == ERROR_SUCCESS) {
        const auto file = widen(program_path());
        const DWORD types = EVENTLOG_ERROR_TYPE | EVENTLOG_WARNING_TYPE | EVENTLOG_INFORMATION_TYPE;
        code = RegSetValueExW(key, L"EventMessageFile", 0, REG_SZ,
                              reinterpret_cast<const BYTE*>(file.c_str()),
                              static_cast<DWORD>((file.size() + 1) * sizeof(wchar_t)));
        if (code == ERROR_SUCCESS)
            code = RegSetValueExW(key, L"TypesSupported", 0, REG_DWORD,
                                  reinterpret_cast<const BYTE*>(&types), sizeof types);
        RegCloseKey(key);
    }
    if (code == ERROR_SUCCESS) return {};
    return "the event source " + name + ": " + windows_error(static_cast<DWORD>(code));
}

void forget_event_source(const std::string& name) {
    (void)RegDeleteKeyW(HKEY_LOCAL_MACHINE, (sources + widen(name)).c_str());
}

}  // namespace pgsidecar::io
