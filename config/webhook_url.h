// The address of a webhook, taken apart: http://HOST[:PORT]/PATH.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pgsidecar::config {

struct webhook_url {
    std::string host;  // without the brackets of an IPv6 address
    std::uint16_t port = 80;
    std::string target;  // path and query, "/" at least
};

// Nothing, with `why` fit to follow the key in a message. Shows none of the text.
[[nodiscard]] std::optional<webhook_url> read_webhook_url(std::string_view text, std::string& why);

// A name or address of this machine itself; a guess from the text.
[[nodiscard]] bool is_loopback(std::string_view host) noexcept;

}  // namespace pgsidecar::config
