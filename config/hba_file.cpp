#include "config/hba_file.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "config/auth_file.h"
#include "config/hba_fields.h"
#include "config/load.h"
#include "config/values.h"
#include "protocol/utf8.h"

namespace pgsidecar::config {
namespace {

constexpr std::size_t max_reports = 20;

template <typename T>
struct named {
    std::string_view name;
    T value;
};

constexpr named<hba_type> types[] = {
    {"local", hba_type::local},
    {"host", hba_type::host},
    {"hostssl", hba_type::hostssl},
    {"hostnossl", hba_type::hostnossl},
};
constexpr std::string_view other_types[] = {"hostgssenc", "hostnogssenc", "include",
                                            "include_if_exists", "include_dir"};

constexpr named<hba_method> methods[] = {
    {"reject", hba_method::reject}, {"trust", hba_method::trust},
    {"md5", hba_method::md5},       {"password", hba_method::password},
    {"cert", hba_method::cert},     {"scram-sha-256", hba_method::scram_sha_256},
};
constexpr std::string_view other_methods[] = {"bsd", "gss",  "ident",  "ldap", "oauth",
                                              "pam", "peer", "radius", "sspi"};

template <typename T>
bool look_up(std::span<const named<T>> table, std::string_view name, T& out) noexcept {
    const auto found = std::ranges::find(table, name, &named<T>::name);
    if (found != table.end()) out = found->value;
    return found != table.end();
}

// Names may be in any encoding, messages may not.
std::string quote(std::string_view text) {
    return protocol::is_utf8(text) ? show(text) : "a word that is not UTF-8";
}

// One record. Each step returns the reason why it does not fit, or an empty string.
class record_reader {
  public:
    explicit record_reader(const std::vector<hba_field>& fields) : rest_{fields} {}

    std::string read(hba_record& out) {
        std::string reason = type(out);
        if (reason.empty()) reason = names("database", out.databases);
        if (reason.empty()) reason = names("user", out.users);
        if (reason.empty() && out.type != hba_type::local) reason = address(out);
        if (reason.empty()) reason = method(out);
        if (reason.empty() && !rest_.empty()) {
            reason = "options behind the method are not supported";
        }
        return reason;
    }

  private:
    const hba_field& take() noexcept {
        const hba_field& out = rest_.front();
        rest_ = rest_.subspan(1);
        return out;
    }

    std::string take_single(const char* what, hba_word& out) {
        if (rest_.empty()) return std::string{"ends before its "} + what;
        const hba_field& field = take();
        if (field.size() > 1) return std::string{"more than one "} + what;
        out = field.front();
        return {};
    }

    std::string type(hba_record& out) {
        hba_word word;
        std::string reason = take_single("record type", word);
        if (!reason.empty() || look_up<hba_type>(types, word.text, out.type)) return reason;
        if (std::ranges::find(other_types, word.text) != std::end(other_types)) {
            return "record type " + quote(word.text) + " is not supported";
        }
        return quote(word.text) + " is not a record type: local, host, hostssl, hostnossl";
    }

    // `what` is "database" or "user".
    std::string names(const std::string& what, hba_names& out) {
        if (rest_.empty()) return "ends before its " + what;
        for (const hba_word& word : take()) {
            std::string reason = what == "database" ? database(word, out) : name(word, out);
            if (!reason.empty()) return reason;
        }
        std::ranges::sort(out.names);
        out.names.erase(std::unique(out.names.begin(), out.names.end()), out.names.end());
        return {};
    }

    static std::string database(const hba_word& word, hba_names& out) {
        if (word.quoted) return name(word, out);
        if (word.text == "samerole" || word.text == "samegroup") return no_groups(word.text);
        if (word.text == "sameuser") return out.same_user = true, std::string{};
        if (word.text == "replication") return {};
        return name(word, out);
    }

    static std::string name(const hba_word& word, hba_names& out) {
        const std::string& text = word.text;
        if (!word.quoted && text == "all") return out.all = true, std::string{};
        if (!word.quoted && text.starts_with('+')) return no_groups(text);
        if (!word.quoted && text.starts_with('@')) {
            return quote(text) + " is not supported: write the names of the file here";
        }
        // PostgreSQL 16 and later take it for one in quotes, too.
        if (text.starts_with('/')) return quote(text) + ": regular expressions are not supported";
        if (text.empty()) return "an empty name";
        if (text.size() > max_name_size) {
            return "a name longer than " + std::to_string(max_name_size) + " bytes";
        }
        out.names.push_back(text);
        return {};
    }

    static std::string no_groups(std::string_view text) {
        return quote(text) + " is not supported: who is in which group is not known here";
    }

    std::string address(hba_record& out) {
        hba_word word;
        std::string reason = take_single("address", word);
        if (!reason.empty() || (!word.quoted && word.text == "all")) return reason;
        if (!word.quoted && (word.text == "samehost" || word.text == "samenet")) {
            return quote(word.text) + " is not supported: write the addresses";
        }
        const std::size_t slash = word.text.find('/');
        const std::string_view base = std::string_view{word.text}.substr(0, slash);
        const auto network = read_ip_address(base);
        if (!network) return no_address(base);
        const bool ipv6 = base.find(':') != std::string_view::npos;
        if (ipv6 && holds_ipv4(*network)) {
            return quote(base) + " is an IPv4 address; write it as one";
        }
        reason =
            slash == std::string::npos
                ? netmask(ipv6, out.mask)
                : prefix(word.text, std::string_view{word.text}.substr(slash + 1), ipv6, out.mask);
        if (!reason.empty()) return reason;
        for (std::size_t i = 0; i < network->size(); ++i) {
            if (((*network)[i] & ~out.mask[i]) != 0) {
                return quote(word.text) + " has bits set beyond its mask";
            }
        }
        out.any_address = false;
        out.network = *network;
        return {};
    }

    static std::string no_address(std::string_view text) {
        const auto in_name = [](char c) {
            return (c >= 'g' && c <= 'z') || (c >= 'G' && c <= 'Z');  // no hex digit
        };
        if (text.find(':') == std::string_view::npos && std::ranges::any_of(text, in_name)) {
            return quote(text) + " is a host name, which is not supported; write addresses";
        }
        return quote(text) + " is not an IP address";
    }

    static std::string prefix(std::string_view whole, std::string_view digits, bool ipv6,
                              ip_address& out) {
        std::uint64_t bits = 0;
        const std::uint64_t most = ipv6 ? 128 : 32;
        if (digits.size() > 3 || !read_integer(digits, {0, most}, bits).empty()) {
            return quote(whole) + " does not end with a number of bits from 0 to " +
                   std::to_string(most);
        }
        bits += 128 - most;
        for (std::uint8_t& byte : out) {
            const auto here = static_cast<unsigned>(std::min<std::uint64_t>(bits, 8));
            byte = static_cast<std::uint8_t>(0xff00u >> here);
            bits -= here;
        }
        return {};
    }

    std::string netmask(bool ipv6, ip_address& out) {
        hba_word word;
        std::string reason = take_single("netmask (or write the address with a /)", word);
        if (!reason.empty()) return reason;
        const auto mask = read_ip_address(word.text);
        if (!mask) return quote(word.text) + " is not a netmask (nor has the address a /)";
        if (ipv6 != (word.text.find(':') != std::string::npos)) {
            return "an address and a netmask of two families";
        }
        out = *mask;
        return {};
    }

    std::string method(hba_record& out) {
        hba_word word;
        std::string reason = take_single("method", word);
        if (!reason.empty()) return reason;
        if (std::ranges::find(other_methods, word.text) != std::end(other_methods)) {
            return "method " + quote(word.text) + " is not supported";
        }
        if (!look_up<hba_method>(methods, word.text, out.method)) {
            return quote(word.text) +
                   " is not a method: reject, trust, md5, password, scram-sha-256, cert";
        }
        if (out.method == hba_method::cert && out.type != hba_type::hostssl) {
            return "method \"cert\" is for hostssl records only";
        }
        return {};
    }

    std::span<const hba_field> rest_;
};

bool fits(hba_type type, hba_connection kind) noexcept {
    switch (type) {
        case hba_type::local:
            return kind == hba_connection::local;
        case hba_type::host:
            return kind != hba_connection::local;
        case hba_type::hostssl:
            return kind == hba_connection::tls;
        case hba_type::hostnossl:
            return kind == hba_connection::plain;
    }
    return false;
}

bool contains(const hba_names& list, std::string_view name) noexcept {
    return list.all || std::ranges::binary_search(list.names, name);
}

bool contains(const hba_record& r, const ip_address& client) noexcept {
    if (r.type == hba_type::local || r.any_address) return true;
    // ::/0 has room for the mapped addresses, but means IPv6.
    if (holds_ipv4(r.network) != holds_ipv4(client)) return false;
    for (std::size_t i = 0; i < client.size(); ++i) {
        if ((client[i] & r.mask[i]) != r.network[i]) return false;
    }
    return true;
}

}  // namespace

const hba_record* hba_rules::find(hba_connection kind, std::string_view database,
                                  std::string_view user, const ip_address& client) const noexcept {
    const auto found = std::ranges::find_if(records, [&](const hba_record& r) {
        return fits(r.type, kind) && contains(r, client) && contains(r.users, user) &&
               ((r.databases.same_user && database == user) || contains(r.databases, database));
    });
    return found == records.end() ? nullptr : &*found;
}

hba_method hba_rules::match(hba_connection kind, std::string_view database, std::string_view user,
                            const ip_address& client) const noexcept {
    const hba_record* const record = find(kind, database, user, client);
    return record == nullptr ? hba_method::reject : record->method;
}

hba_file_result read_hba_file(std::string_view text) {
    hba_file_result out;
    if (text.size() > max_file_size) {
        out.problems.push_back({0, 0, {}, "is larger than " + write_size(max_file_size)});
        return out;
    }
    text_lines lines{text};
    for (hba_line line; out.problems.size() < max_reports && next_hba_line(lines, line);) {
        hba_record record;
        record.line = line.number;
        std::string reason = std::move(line.problem);
        if (reason.empty()) reason = record_reader{line.fields}.read(record);
        if (!reason.empty()) {
            out.problems.push_back({line.number, 0, {}, std::move(reason)});
        } else {
            out.rules.records.push_back(std::move(record));
        }
    }
    if (!out.problems.empty()) out.rules.records.clear();
    return out;
}

}  // namespace pgsidecar::config
