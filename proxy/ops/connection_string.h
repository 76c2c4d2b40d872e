// Npgsql's connection strings as .NET's DbConnectionStringBuilder reads them: keyword=value;...,
// keywords in any case, values quoted with " or ' (doubled inside), "==" for a "=" in a keyword,
// the last one wins. Only host and port are ever changed, and each change names the bytes that it
// replaces, so that whatever stands around them stays as it is. Everything here is a value; texts
// outlive the views on them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace pgsidecar::ops {

struct keyword_value {
    std::string keyword;                       // in lower case
    std::string value;                         // without its quotes
    std::size_t from = 0, begin = 0, end = 0;  // of the keyword; of the value, quotes included
};

struct connection_string {
    std::vector<keyword_value> pairs;  // in their order; none when there is a problem
    std::string problem;               // why it cannot be read; shows nothing of it
};

[[nodiscard]] connection_string read_connection_string(std::string_view text);

// "Host" and its synonym, "Port": what redirect() changes. `keyword` is in lower case.
[[nodiscard]] bool names_host(std::string_view keyword) noexcept;
[[nodiscard]] bool names_port(std::string_view keyword) noexcept;

// Bytes [begin, end) become `text`.
struct text_edit {
    std::size_t begin = 0, end = 0;
    std::string text;
};

struct redirect_request {
    std::string host;
    std::uint16_t port = 0;
    bool all_hosts = false;  // a list of hosts, too: it becomes the one
};

struct redirection {
    std::vector<text_edit> edits;  // from front to back; none: it goes there already
    std::string problem;           // why it is not changed; names no value but host and port
    std::vector<std::string> notes;
};

[[nodiscard]] redirection redirect(std::string_view text, const redirect_request& to);

// Why `host` cannot be written into every kind of file as it is; empty when it can.
[[nodiscard]] std::string bad_host(std::string_view host);

// Whether it is one of Npgsql's: it has a Host (or Server), and no keyword of another driver alone.
[[nodiscard]] bool for_postgresql(std::string_view text);

// For a terminal: the values of keywords that are known to hold no secret, asterisks for all
// others. A text that cannot be read is not shown at all.
[[nodiscard]] std::string show_connection_string(std::string_view text);

}  // namespace pgsidecar::ops
