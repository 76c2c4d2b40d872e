// What a service writes to the Event Log of Windows. The texts' frame is in
// deploy/windows/pgsidecar.mc, which is a part of the program: its own file is the message file of
// its source, so that nothing is registered but a name.
#pragma once
#include <cstdint>
#include <string>

namespace pgsidecar::io {

enum class service_event : std::uint8_t {
    started,
    stopped,
    reloaded,
    bad_configuration,
    failed,
    reload_refused,
    alert,
    notice
};

// The name under which events are written from here on: that of the service. Before any of them,
// and before there is a second thread.
void set_event_source(const std::string& name);
// Empty, or why it was not written. From any thread.
[[nodiscard]] std::string write_service_event(service_event what, const std::string& text);

// The source's entry in the registry: needs an administrator's rights. Empty, or what went wrong.
[[nodiscard]] std::string register_event_source(const std::string& name);
void forget_event_source(const std::string& name);

}  // namespace pgsidecar::io
