// COPY data in either direction: these three have the same form and type byte from client and
// server (CopyFail from the client alone). Views live until the read buffer is next prepared.
// Protocol 3.0, "COPY Operations".
#pragma once
#include "protocol/bytes.h"

namespace pgsidecar::protocol {

struct copy_data {
    static constexpr char type = 'd';
    bytes data;
    bool operator==(const copy_data&) const = default;
};

struct copy_done {
    static constexpr char type = 'c';
    bool operator==(const copy_done&) const = default;
};

struct copy_fail {
    static constexpr char type = 'f';
    std::string_view message;
    bool operator==(const copy_fail&) const = default;
};

[[nodiscard]] std::error_code parse(bytes body, copy_data& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, copy_done& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, copy_fail& out) noexcept;

void write(std::string& out, const copy_data& m);
void write(std::string& out, const copy_done& m);
void write(std::string& out, const copy_fail& m);

}  // namespace pgsidecar::protocol
