#include <array>

#include "config/schema.h"

namespace pgsidecar::config {
namespace {

// The listener is made once, so all of it takes a restart.
constexpr key_row<settings> row(std::string_view path, slot (*at)(settings&),
                                std::string_view meaning, bounds range,
                                text_check check = nullptr) {
    return {path, at, meaning, range, check, key_flag::restart};
}

// How a row's lambda hands out a member.
#define PGSIDECAR_AT(member) [](settings& s) -> slot { return &s.http.member; }

constexpr std::array http_table{
    row("http.listen_addr", PGSIDECAR_AT(listen_addr),
        "IP address on which HTTP is served; `*` is every interface. Any other than a loopback "
        "address needs `http.token_file`.",
        {}, check_listen_addr),
    row("http.listen_port", PGSIDECAR_AT(listen_port),
        "TCP port on which HTTP is served; 0 serves none.", {0, 65535}),
    row("http.token_file", PGSIDECAR_AT(token_file),
        "File whose first line is the token that every request but those for `/healthz` and "
        "`/readyz` must show: 16 to 256 letters, digits and `-._~+/=`. Empty asks for none.",
        {}, check_path),
    row("http.max_connections", PGSIDECAR_AT(max_connections),
        "HTTP connections at one time. A further one takes the place of the one that has been "
        "waiting longest.",
        {4, 10'000}),
    row("http.tenant_series", PGSIDECAR_AT(tenant_series),
        "Tenants, and databases, that `/metrics` names one by one, those with most statements; "
        "what the others did is summed up under `(others)`.",
        {0, 10'000}),
};
#undef PGSIDECAR_AT

constexpr std::string_view section_meaning =
    R"(What monitoring reads: `/metrics` for Prometheus, `/healthz`, `/readyz`, and at `/` a dashboard of
the last hour. Plain HTTP, GET and HEAD. The token is shown as `Authorization: Bearer <token>`, or as
the password of HTTP's Basic log-in, which a browser asks for; the user's name does not matter.)";

}  // namespace

std::span<const key_row<settings>> http_rows() noexcept { return http_table; }
std::string_view http_meaning() noexcept { return section_meaning; }

}  // namespace pgsidecar::config
