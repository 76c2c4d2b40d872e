// What is told about a session to those who list them (the admin console): a copy, made when it is
// asked for. Names, numbers and states; no statement and no value of one.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "cache/store.h"
#include "proxy/core/pooling.h"

namespace pgsidecar::core {

// The database by which a client reaches the admin console: our name, and PgBouncer's.
[[nodiscard]] constexpr bool names_console(std::string_view database) noexcept {
    return database == "pgsidecar" || database == "pgbouncer";
}

struct session_overview {
    enum class phase : std::uint8_t {
        login,    // not logged in yet
        idle,     // the client has said nothing that is not answered
        active,   // a request is under way, or a transaction is open
        waiting,  // for a shared server connection
        console
    };
    phase is = phase::login;
    std::string user, database, application_name, tenant;
    std::int32_t client_pid = 0;  // the number that the client knows its server process by
    std::int32_t server_pid = 0;  // of the server connection in use; 0: none
    pin kept_for = pin::none;
    cache::time_point last_heard{};  // bytes of either side
};

}  // namespace pgsidecar::core
