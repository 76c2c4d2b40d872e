#include "config/text_checks.h"

#include <algorithm>
#include <cstddef>

#include "config/address.h"
#include "config/values.h"
#include "policy/tenants.h"

namespace pgsidecar::config {
namespace {

bool is_control(char c) noexcept { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }
bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
bool is_letter(char c) noexcept { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool is_ipv4(std::string_view text) noexcept {
    return text.find(':') == std::string_view::npos && read_ip_address(text);
}

// With a scope, it may be.
bool is_ipv6(std::string_view text) noexcept {
    if (const std::size_t scope = text.find('%'); scope != std::string_view::npos) {
        const std::string_view name = text.substr(scope + 1);
        if (name.empty() || !std::ranges::all_of(name, [](char c) {
                return is_letter(c) || is_digit(c) || c == '.' || c == '_' || c == '-';
            })) {
            return false;
        }
        text = text.substr(0, scope);
    }
    return text.find(':') != std::string_view::npos && read_ip_address(text);
}

bool is_port(std::string_view text) noexcept {
    unsigned number = 0;
    for (const char c : text) {
        if (!is_digit(c) || number > 65535) return false;
        number = number * 10 + static_cast<unsigned>(c - '0');
    }
    return !text.empty() && number >= 1 && number <= 65535;
}

std::string check_qualified(std::string_view text, const char* what, const char* form) {
    // Two PostgreSQL names are 127 bytes; wildcards may make a pattern a little longer.
    constexpr std::size_t longest = 200;
    const auto fail = [&](const std::string& why) {
        return show(text) + " is not " + what + ": " + why;
    };
    if (text.empty()) return fail("it is empty");
    if (text.size() > longest) return fail("it is longer than 200 bytes");
    if (std::ranges::any_of(text, is_control)) return fail("it holds a control character");
    const std::size_t bad = text.find_first_of("\"'`,;()[]{}<>\\|");
    if (bad != std::string_view::npos) {
        return fail(std::string{"it holds "} + text[bad] +
                    "; write names as the catalog has them, without quotes or brackets");
    }
    const std::size_t dot = text.find('.');
    if (text.find('.', dot + 1) != std::string_view::npos && dot != std::string_view::npos) {
        return fail(std::string{"it has more than one dot; the form is "} + form);
    }
    const auto blank_edge = [](std::string_view part) {
        return part.empty() || part.front() == ' ' || part.back() == ' ';
    };
    if (blank_edge(text.substr(0, dot)) ||
        (dot != std::string_view::npos && blank_edge(text.substr(dot + 1)))) {
        return fail(std::string{"a part is empty or has a blank at its edge; the form is "} + form);
    }
    return {};
}

std::string check_line(std::string_view text) {
    if (text.size() > 4096) return "is longer than 4096 bytes";
    if (std::ranges::any_of(text, is_control)) return "holds a control character";
    return {};
}

}  // namespace

std::string check_listen_addr(std::string_view text) {
    if (text == "*" || is_ipv4(text) || is_ipv6(text)) return {};
    return show(text) + " is not an IP address (127.0.0.1, ::1, or * for every interface)";
}

std::string check_host(std::string_view text) {
    if (text.empty()) return "is empty";
    if (text.starts_with('/')) return "is a path; Unix sockets are not supported, name a host";
    if (text.size() > 253) return "is longer than 253 bytes";
    const auto fits = [](char c) {
        return is_letter(c) || is_digit(c) || c == '.' || c == '-' || c == '_' || c == ':' ||
               c == '%';
    };
    if (!std::ranges::all_of(text, fits)) return show(text) + " is not a host name or IP address";
    if (text.find(':') != std::string_view::npos && !is_ipv6(text)) {
        return show(text) + " is not a host name or IP address; the port has a key of its own";
    }
    return {};
}

std::string check_path(std::string_view text) { return check_line(text); }

std::string check_query(std::string_view text) { return check_line(text); }

std::string check_auth_query(std::string_view text) {
    if (text.find("$1") == std::string_view::npos) return "does not ask for the user, $1";
    return {};
}

std::string check_rule_name(std::string_view text) {
    if (text.empty()) return "is empty";
    const auto leads = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; };
    if (std::ranges::count_if(text, leads) > 50) {
        return show(text) + " is longer than 50 characters, the width of query_type";
    }
    if (std::ranges::any_of(text, is_control)) return show(text) + " holds a control character";
    return {};
}

std::string check_table_pattern(std::string_view text) {
    return check_qualified(text, "a table pattern", "schema.table");
}

std::string check_function(std::string_view text) {
    return check_qualified(text, "a function name", "schema.name");
}

std::string check_setting_name(std::string_view text) {
    bool start = true;  // of a part between dots
    bool fits = !text.empty() && text.size() <= 63;
    for (const char c : text) {
        const bool first = is_letter(c) || c == '_' || static_cast<unsigned char>(c) >= 0x80;
        fits = fits && (start ? first : first || is_digit(c) || c == '$' || c == '.');
        start = c == '.';
    }
    if (fits && !start) return {};
    return show(text) + " is not the name of a server setting, such as app.tenant_id";
}

std::string check_tenant_source(std::string_view text) {
    constexpr std::size_t longest = 200;  // bytes: a setting's name or a pattern fits well
    if (text.size() > longest) return show(text) + " is longer than 200 bytes";
    if (std::ranges::any_of(text, is_control)) return show(text) + " holds a control character";
    std::string why;
    if (policy::read_tenant_source(text, why)) return {};
    return show(text) + ' ' + why;
}

std::string check_tenant_name(std::string_view text) { return policy::bad_tenant_name(text); }

// A pattern longer than any name could match nothing but by its stars.
std::string check_tenant_pattern(std::string_view text) { return policy::bad_tenant_name(text); }

std::string check_user_name(std::string_view text) {
    constexpr std::size_t longest = 63;  // bytes, of the server's names
    if (text.empty()) return "is empty";
    if (text.size() > longest) return show(text) + " is longer than 63 bytes";
    return {};
}

std::string check_slot_name(std::string_view text) {
    constexpr std::size_t longest = 50;  // of 63, with an oid behind it
    constexpr std::string_view allowed = "abcdefghijklmnopqrstuvwxyz0123456789_";
    const bool fits = text.size() <= longest && text.find_first_not_of(allowed) == text.npos;
    return fits ? "" : "is not made of at most 50 lower-case letters, digits and _";
}

std::string check_object_name(std::string_view text) {
    if (auto reason = check_user_name(text); !reason.empty()) return reason;
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20U; };
    return std::ranges::any_of(text, is_control) ? "holds a control character" : "";
}

std::string check_tier_name(std::string_view text) {
    if (text.empty()) return "is empty";
    if (text.size() > 50) return show(text) + " is longer than 50 characters";
    const auto fits = [](char c) { return is_letter(c) || is_digit(c) || c == '_' || c == '-'; };
    if (is_letter(text.front()) && std::ranges::all_of(text, fits)) return {};
    return show(text) + " is not the name of a tier: a letter, then letters, digits, _ and -";
}

std::string check_validity(std::string_view text) {
    if (text.empty() || text == "ttl" || text == "wal") return {};
    return show(text) + " is not one of: ttl, wal";
}

std::string check_endpoint(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    std::string_view host = text.substr(0, colon);
    if (colon == std::string_view::npos || !is_port(text.substr(colon + 1)))
        return show(text) + " is not an address such as redis1:6379";
    if (host.starts_with('[') && host.ends_with(']')) {
        host = host.substr(1, host.size() - 2);
        if (!is_ipv6(host)) return show(text) + " has no IPv6 address in its brackets";
        return {};
    }
    if (host.find(':') != std::string_view::npos)
        return show(text) + " needs brackets around its IPv6 address";
    return check_host(host);
}

std::string check_key_prefix(std::string_view text) {
    const auto usual = [](char c) {
        return is_letter(c) || is_digit(c) || c == '_' || c == '-' || c == '.' || c == ':' ||
               c == '{' || c == '}';
    };
    if (text.empty() || text.size() > 100 || !std::ranges::all_of(text, usual))
        return show(text) + " is not 1 to 100 letters, digits, and _ - . : { }";
    return {};
}

bool same_address(std::string_view listen, std::string_view host) noexcept {
    const auto loopback = [](std::string_view a) {
        return a == "localhost" || a == "::1" || a.starts_with("127.");
    };
    if (listen == "*" || listen == "0.0.0.0" || listen == "::") return loopback(host);
    return listen == host || (host == "localhost" && loopback(listen));
}

}  // namespace pgsidecar::config
