#include "config/conninfo.h"

#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "protocol/ascii.h"

namespace pgsidecar::config {
namespace {

constexpr std::string_view hidden = "********";
constexpr std::string_view blanks = " \t\r\n\f\v";

struct option {
    std::string key;
    std::size_t value_begin;  // of the value as written, its quotes included
    std::size_t value_end;
};

bool is_blank(char c) noexcept { return blanks.find(c) != std::string_view::npos; }

bool is_uri(std::string_view text) noexcept {
    return text.starts_with("postgresql://") || text.starts_with("postgres://");
}

// Where the value that begins at `at` ends; npos when its quote is never closed.
std::size_t end_of_value(std::string_view text, std::size_t at) noexcept {
    const bool quoted = at < text.size() && text[at] == '\'';
    if (quoted) ++at;
    while (at < text.size()) {
        if (quoted ? text[at] == '\'' : is_blank(text[at])) return quoted ? at + 1 : at;
        at += text[at] == '\\' ? 2 : 1;
    }
    return quoted ? std::string_view::npos : text.size();
}

std::string split(std::string_view text, std::vector<option>& out) {
    std::size_t at = 0;
    while ((at = text.find_first_not_of(blanks, at)) != std::string_view::npos) {
        const std::size_t key_begin = at;
        while (at < text.size() && text[at] != '=' && !is_blank(text[at])) ++at;
        const std::size_t key_end = at;
        at = std::min(text.find_first_not_of(blanks, at), text.size());
        if (at == text.size() || text[at] != '=' || key_end == key_begin) {
            return "is not a connection string: option " + std::to_string(out.size() + 1) +
                   " is not of the form name=value";
        }
        at = std::min(text.find_first_not_of(blanks, at + 1), text.size());
        const std::size_t end = end_of_value(text, at);
        if (end == std::string_view::npos) {
            return "is not a connection string: the quote of option " +
                   std::to_string(out.size() + 1) + " is never closed";
        }
        out.push_back({protocol::lower_case(text.substr(key_begin, key_end - key_begin)), at, end});
        at = end;
    }
    return {};
}

bool is_secret(std::string_view key) noexcept {
    return key == "password" || key == "sslpassword" || key.find('%') != std::string_view::npos;
}

std::string redact_uri_once(std::string_view text) {
    const std::size_t authority = text.find("://") + 3;
    std::string out{text};
    // The query first: what comes before it keeps its place.
    for (std::size_t at = text.find('?'); at != std::string_view::npos;) {
        const std::size_t begin = out.find('=', at);
        const std::size_t end = std::min(out.find('&', at + 1), out.size());
        if (begin != std::string::npos && begin < end &&
            is_secret(protocol::lower_case(std::string_view{out}.substr(at + 1, begin - at - 1)))) {
            out.replace(begin + 1, end - begin - 1, hidden);
        }
        at = out.find('&', at + 1);
    }
    // A password may hold a bare '/', '?' or '@' by mistake, so everything to the last '@' goes.
    const std::size_t colon = out.find(':', authority);
    const std::size_t last = out.rfind('@');
    if (colon != std::string::npos && last != std::string::npos && colon < last) {
        out.replace(colon + 1, last - colon - 1, hidden);
    }
    return out;
}

// Hiding one part can bring another into its place, a second "?password=" for one.
std::string redact_uri(std::string_view text) {
    std::string out{text};
    for (int pass = 0; pass < 4; ++pass) {
        std::string next = redact_uri_once(out);
        if (next == out) return out;
        out = std::move(next);
    }
    return std::string{hidden};
}

}  // namespace

std::string check_conninfo(std::string_view text) {
    const auto is_control = [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    };
    if (std::ranges::any_of(text, is_control)) return "holds a control character";
    if (is_uri(text)) return {};
    std::vector<option> options;
    return split(text, options);
}

std::string redact_conninfo(std::string_view text) {
    if (is_uri(text)) return redact_uri(text);
    std::vector<option> options;
    if (!split(text, options).empty()) return std::string{hidden};
    std::string out;
    std::size_t copied = 0;
    for (const option& o : options) {
        const std::string_view value = text.substr(o.value_begin, o.value_end - o.value_begin);
        // libpq may read a dbname that looks like a connection string as one.
        const bool nested = o.key == "dbname" && (value.find('=') != std::string_view::npos ||
                                                  value.find("://") != std::string_view::npos);
        if (!is_secret(o.key) && !nested) continue;
        out.append(text.substr(copied, o.value_begin - copied)).append(hidden);
        copied = o.value_end;
    }
    return out.append(text.substr(copied));
}

}  // namespace pgsidecar::config
