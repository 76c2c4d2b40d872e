// IP addresses without a network library. An address is 16 bytes; IPv4 has its mapped place among
// them, ::ffff:a.b.c.d, so a client that came as IPv4 and one that came mapped are the same.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

namespace pgsidecar::config {

using ip_address = std::array<std::uint8_t, 16>;  // in network order

// Four decimal numbers, or the IPv6 texts of RFC 4291, section 2.2. What some readers take beside
// that is refused, since they do not agree on its meaning: leading zeros ("010.0.0.1"), short and
// hexadecimal IPv4 ("127.1"), zones, brackets, ports, blanks.
[[nodiscard]] std::optional<ip_address> read_ip_address(std::string_view text) noexcept;

[[nodiscard]] bool holds_ipv4(const ip_address& address) noexcept;

}  // namespace pgsidecar::config
