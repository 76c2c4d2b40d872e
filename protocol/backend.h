// What a server sends: one struct of views per message, parse() from a frame's body, write() of the
// whole frame. Views live until the read buffer is next prepared; after an error the struct holds
// nothing to rely on. NegotiateProtocolVersion is in startup.h, CopyData and CopyDone in copy.h.
// Protocol 3.2, "Message Formats" and "Error and Notice Message Fields".
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "protocol/bytes.h"
#include "protocol/copy.h"
#include "protocol/lists.h"
#include "protocol/notice.h"
#include "protocol/startup.h"

namespace pgsidecar::protocol {

enum class auth_kind : std::int32_t {
    ok = 0,
    kerberos_v5 = 2,
    cleartext_password = 3,
    md5_password = 5,  // data: the salt, four bytes
    scm_credential = 6,
    gss = 7,
    gss_continue = 8,  // data: a token
    sspi = 9,
    sasl = 10,           // data: the mechanisms, see sasl.h
    sasl_continue = 11,  // data: the server's challenge
    sasl_final = 12,     // data: the server's last word
};

struct authentication {
    static constexpr char type = 'R';
    auth_kind kind = auth_kind::ok;
    bytes data;
    bool operator==(const authentication&) const = default;
};

struct backend_key_data {
    static constexpr char type = 'K';
    std::int32_t pid = 0;
    bytes key;  // min_cancel_key to max_cancel_key bytes
    bool operator==(const backend_key_data&) const = default;
};

struct bind_complete {
    static constexpr char type = '2';
    bool operator==(const bind_complete&) const = default;
};

struct close_complete {
    static constexpr char type = '3';
    bool operator==(const close_complete&) const = default;
};

struct command_complete {
    static constexpr char type = 'C';
    std::string_view tag;  // "SELECT 5", "INSERT 0 1", "BEGIN"
    bool operator==(const command_complete&) const = default;

    // The last number of the tag; nullopt where it has none.
    [[nodiscard]] std::optional<std::uint64_t> row_count() const noexcept;
};

struct copy_response {
    std::uint8_t format = 0;  // 0 text, 1 binary
    format_list columns;
    bool operator==(const copy_response&) const = default;
};
struct copy_in_response : copy_response {
    static constexpr char type = 'G';
};
struct copy_out_response : copy_response {
    static constexpr char type = 'H';
};
struct copy_both_response : copy_response {
    static constexpr char type = 'W';
};

struct data_row {
    static constexpr char type = 'D';
    value_list columns;
    bool operator==(const data_row&) const = default;
};

struct empty_query_response {
    static constexpr char type = 'I';
    bool operator==(const empty_query_response&) const = default;
};

struct function_call_response {
    static constexpr char type = 'V';
    std::optional<bytes> value;
    bool operator==(const function_call_response&) const = default;
};

struct no_data {
    static constexpr char type = 'n';
    bool operator==(const no_data&) const = default;
};

struct notification_response {
    static constexpr char type = 'A';
    std::int32_t pid = 0;
    std::string_view channel;
    std::string_view payload;
    bool operator==(const notification_response&) const = default;
};

struct parameter_description {
    static constexpr char type = 't';
    oid_list types;
    bool operator==(const parameter_description&) const = default;
};

struct parameter_status {
    static constexpr char type = 'S';
    std::string_view name;
    std::string_view value;
    bool operator==(const parameter_status&) const = default;
};

struct parse_complete {
    static constexpr char type = '1';
    bool operator==(const parse_complete&) const = default;
};

struct portal_suspended {
    static constexpr char type = 's';
    bool operator==(const portal_suspended&) const = default;
};

struct ready_for_query {
    static constexpr char type = 'Z';
    char status = 'I';  // 'I' idle, 'T' in a block, 'E' in a failed block
    bool operator==(const ready_for_query&) const = default;
};

struct row_description {
    static constexpr char type = 'T';
    column_list columns;
    bool operator==(const row_description&) const = default;
};

[[nodiscard]] std::error_code parse(bytes body, authentication& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, backend_key_data& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, bind_complete& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, close_complete& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, command_complete& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, copy_in_response& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, copy_out_response& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, copy_both_response& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, data_row& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, empty_query_response& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, function_call_response& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, no_data& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, notification_response& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, parameter_description& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, parameter_status& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, parse_complete& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, portal_suspended& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, ready_for_query& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, row_description& out) noexcept;

void write(std::string& out, const authentication& m);
void write(std::string& out, const backend_key_data& m);
void write(std::string& out, const bind_complete& m);
void write(std::string& out, const close_complete& m);
void write(std::string& out, const command_complete& m);
void write(std::string& out, const copy_in_response& m);
void write(std::string& out, const copy_out_response& m);
void write(std::string& out, const copy_both_response& m);
void write(std::string& out, const data_row& m);
void write(std::string& out, const empty_query_response& m);
void write(std::string& out, const function_call_response& m);
void write(std::string& out, const no_data& m);
void write(std::string& out, const notification_response& m);
void write(std::string& out, const parameter_description& m);
void write(std::string& out, const parameter_status& m);
void write(std::string& out, const parse_complete& m);
void write(std::string& out, const portal_suspended& m);
void write(std::string& out, const ready_for_query& m);
void write(std::string& out, const row_description& m);

// For messages of our own making. write_error() and write_notice() are in notice.h.
void write_ready(std::string& out, char status);
void write_row_description(std::string& out, std::span<const column> columns);
void write_data_row(std::string& out, std::span<const std::optional<bytes>> values);
void write_parameter_description(std::string& out, std::span<const std::uint32_t> types);

// The message's name in the documentation, "" for a byte that no server sends.
[[nodiscard]] constexpr std::string_view backend_name(char type) noexcept {
    switch (type) {
        case 'R':
            return "Authentication";
        case 'K':
            return "BackendKeyData";
        case '2':
            return "BindComplete";
        case '3':
            return "CloseComplete";
        case 'C':
            return "CommandComplete";
        case 'd':
            return "CopyData";
        case 'c':
            return "CopyDone";
        case 'G':
            return "CopyInResponse";
        case 'H':
            return "CopyOutResponse";
        case 'W':
            return "CopyBothResponse";
        case 'D':
            return "DataRow";
        case 'I':
            return "EmptyQueryResponse";
        case 'E':
            return "ErrorResponse";
        case 'V':
            return "FunctionCallResponse";
        case 'v':
            return "NegotiateProtocolVersion";
        case 'n':
            return "NoData";
        case 'N':
            return "NoticeResponse";
        case 'A':
            return "NotificationResponse";
        case 't':
            return "ParameterDescription";
        case 'S':
            return "ParameterStatus";
        case '1':
            return "ParseComplete";
        case 's':
            return "PortalSuspended";
        case 'Z':
            return "ReadyForQuery";
        case 'T':
            return "RowDescription";
        default:
            return {};
    }
}

namespace detail {
inline constexpr auto backend_types = [] {
    std::array<bool, 256> known{};
    for (std::size_t i = 0; i < known.size(); ++i)
        known[i] = !backend_name(static_cast<char>(i)).empty();
    return known;
}();
}  // namespace detail

[[nodiscard]] constexpr bool is_backend_type(char type) noexcept {
    return detail::backend_types[static_cast<unsigned char>(type)];
}

}  // namespace pgsidecar::protocol
