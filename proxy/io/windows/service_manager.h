// The service manager of Windows, as far as `pgsidecar service` needs it. Each call opens what it
// needs and closes it. Nothing here waits but wait_for().
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "proxy/io/service_command.h"

namespace pgsidecar::io {

// Empty text: it was done.
struct service_answer {
    unsigned long code = 0;  // of Windows
    std::string text{};
    [[nodiscard]] bool ok() const noexcept { return text.empty(); }
};

struct service_facts {
    unsigned long state = 0;  // SERVICE_RUNNING and so on
    unsigned long process = 0;
    unsigned long exit_code = 0;      // of Windows
    unsigned long own_exit_code = 0;  // when that one says so
    std::string command, account, start;
};

// What went less well than asked is in `notes`, a line each.
[[nodiscard]] service_answer create_service(const service_request& wanted,
                                            const std::string& password,
                                            std::chrono::milliseconds shutdown_takes,
                                            std::string& notes);
[[nodiscard]] service_answer delete_service(const std::string& name);
[[nodiscard]] service_answer start_service(const std::string& name);
[[nodiscard]] service_answer stop_service(const std::string& name);
[[nodiscard]] service_answer reload_service(const std::string& name);
[[nodiscard]] service_answer look_at_service(const std::string& name, service_facts& out);

// Until it is neither starting nor stopping any more, or stops reporting that it does.
[[nodiscard]] service_answer wait_for(const std::string& name, std::chrono::seconds at_most,
                                      service_facts& out);

[[nodiscard]] const char* service_state_name(unsigned long state);

}  // namespace pgsidecar::io
