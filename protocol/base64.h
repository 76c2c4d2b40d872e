// Base64 with padding, as SCRAM uses it (RFC 4648, section 4). Decoding takes the canonical form
// alone: no white space, no missing padding, no stray bits in the last character; so one value has
// one text. Results are owned by the caller.
#pragma once
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/bytes.h"

namespace pgsidecar::protocol {

void base64_encode(std::string& out, bytes in);  // appends
[[nodiscard]] std::string base64_encode(bytes in);

// The number of bytes that the text stands for, nullopt when it is not base64. Allocates nothing.
[[nodiscard]] std::optional<std::size_t> base64_decoded_size(std::string_view text) noexcept;

// Replaces `out`. bad_length when the size cannot be right, bad_value for any other fault.
[[nodiscard]] std::error_code base64_decode(std::string_view text, std::string& out) noexcept;

}  // namespace pgsidecar::protocol
