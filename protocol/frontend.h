// What a client sends after start-up: one struct of views per message, parse() from a frame's body,
// write() of the whole frame. Views live until the read buffer is next prepared; after an error the
// struct holds nothing to rely on. parse() judges the form alone: what the server would answer with
// an error of its own (a format code of 7, two formats for three parameters) is passed on to it.
// Protocol 3.2, "Message Formats".
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "protocol/bytes.h"
#include "protocol/copy.h"
#include "protocol/lists.h"

namespace pgsidecar::protocol {

struct query {
    static constexpr char type = 'Q';
    std::string_view sql;
    bool operator==(const query&) const = default;
};

struct parse_message {
    static constexpr char type = 'P';
    std::string_view name;  // empty = the unnamed statement
    std::string_view sql;
    oid_list types;  // may be shorter than the parameters; 0 = to be inferred
    bool operator==(const parse_message&) const = default;
};

struct bind {
    static constexpr char type = 'B';
    std::string_view portal;
    std::string_view statement;
    format_list formats;  // none: all text; one: for all; else one each
    value_list values;
    format_list result_formats;
    bytes parameters_raw;  // the three lists as one view: all behind the statement's name
    bool operator==(const bind&) const = default;
};

struct describe {
    static constexpr char type = 'D';
    char kind = 'S';  // 'S' statement, 'P' portal
    std::string_view name;
    bool operator==(const describe&) const = default;
};

struct execute {
    static constexpr char type = 'E';
    std::string_view portal;
    std::int32_t row_limit = 0;  // 0 = no limit
    bool operator==(const execute&) const = default;
};

struct close {
    static constexpr char type = 'C';
    char kind = 'S';  // 'S' statement, 'P' portal
    std::string_view name;
    bool operator==(const close&) const = default;
};

struct sync {
    static constexpr char type = 'S';
    bool operator==(const sync&) const = default;
};

struct flush {
    static constexpr char type = 'H';
    bool operator==(const flush&) const = default;
};

struct terminate {
    static constexpr char type = 'X';
    bool operator==(const terminate&) const = default;
};

struct function_call {
    static constexpr char type = 'F';
    std::uint32_t function_oid = 0;
    format_list formats;
    value_list arguments;
    std::int16_t result_format = 0;
    bool operator==(const function_call&) const = default;
};

// The four below share the type 'p'; which one it is follows from what the server last asked for.
struct password {
    static constexpr char type = 'p';
    std::string_view text;
    bool operator==(const password&) const = default;
};

struct sasl_initial_response {
    static constexpr char type = 'p';
    std::string_view mechanism;
    std::optional<bytes> data;
    bool operator==(const sasl_initial_response&) const = default;
};

struct sasl_response {
    static constexpr char type = 'p';
    bytes data;
    bool operator==(const sasl_response&) const = default;
};

struct gss_response {
    static constexpr char type = 'p';
    bytes data;
    bool operator==(const gss_response&) const = default;
};

[[nodiscard]] std::error_code parse(bytes body, query& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, parse_message& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, bind& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, describe& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, execute& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, close& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, sync& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, flush& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, terminate& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, function_call& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, password& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, sasl_initial_response& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, sasl_response& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, gss_response& out) noexcept;

void write(std::string& out, const query& m);
void write(std::string& out, const parse_message& m);
void write(std::string& out, const bind& m);  // from the three lists, not from parameters_raw
void write(std::string& out, const describe& m);
void write(std::string& out, const execute& m);
void write(std::string& out, const close& m);
void write(std::string& out, const sync& m);
void write(std::string& out, const flush& m);
void write(std::string& out, const terminate& m);
void write(std::string& out, const function_call& m);
void write(std::string& out, const password& m);
void write(std::string& out, const sasl_initial_response& m);
void write(std::string& out, const sasl_response& m);
void write(std::string& out, const gss_response& m);

// For messages of our own making.
void write_parse(std::string& out, std::string_view name, std::string_view sql,
                 std::span<const std::uint32_t> types = {});
void write_bind(std::string& out, std::string_view portal, std::string_view statement,
                std::span<const std::int16_t> formats = {},
                std::span<const std::optional<bytes>> values = {},
                std::span<const std::int16_t> result_formats = {});

// The message's name in the documentation, "" for a byte that no client may send. 'p' is named
// "Password" whichever of the four it is.
[[nodiscard]] constexpr std::string_view frontend_name(char type) noexcept {
    switch (type) {
        case 'B':
            return "Bind";
        case 'C':
            return "Close";
        case 'd':
            return "CopyData";
        case 'c':
            return "CopyDone";
        case 'f':
            return "CopyFail";
        case 'D':
            return "Describe";
        case 'E':
            return "Execute";
        case 'F':
            return "FunctionCall";
        case 'H':
            return "Flush";
        case 'P':
            return "Parse";
        case 'p':
            return "Password";
        case 'Q':
            return "Query";
        case 'S':
            return "Sync";
        case 'X':
            return "Terminate";
        default:
            return {};
    }
}

// The longest frame of that type (its type byte included) that a server takes from a client; 0 for
// a byte that no client may send. What must be whole before it can be parsed is bounded by this.
[[nodiscard]] constexpr std::uint32_t frontend_length_limit(char type) noexcept {
    switch (type) {
        case 'B':
        case 'd':
        case 'F':
        case 'P':
        case 'Q':
            return 0x3ffffffe + 1;
        case 'p':
            return 65535 + 1;
        default:
            return frontend_name(type).empty() ? 0 : 10000 + 1;
    }
}

}  // namespace pgsidecar::protocol
