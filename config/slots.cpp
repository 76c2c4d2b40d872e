#include <array>
#include <cassert>
#include <type_traits>

#include "config/schema.h"

namespace pgsidecar::config {
namespace {

using policy::enforcement;
using policy::rule_mode;
using policy::unlimited_select;

constexpr std::array<std::string_view, 6> tls_modes{"disable", "allow",     "prefer",
                                                    "require", "verify-ca", "verify-full"};
constexpr std::array<std::string_view, 2> tls_versions{"TLSv1.2", "TLSv1.3"};
constexpr std::array<std::string_view, 2> pool_modes{"session", "transaction"};
constexpr std::array<std::string_view, 6> auth_types{"relay", "trust",         "plain",
                                                     "md5",   "scram-sha-256", "hba"};
constexpr std::array<std::string_view, 3> providers{"memory", "database", "redis"};
constexpr std::array<std::string_view, 4> invalidations{"auto", "wal", "notify", "ttl"};
constexpr std::array<std::string_view, 2> invalidation_losses{"bypass", "ttl"};
constexpr std::array<std::string_view, 6> levels{"trace",   "debug", "info",
                                                 "warning", "error", "off"};
constexpr std::array<std::string_view, 3> rule_modes{"off", "shadow", "on"};
constexpr std::array<std::string_view, 3> unlimited_selects{"allow", "refuse", "cut"};
constexpr std::array<std::string_view, 3> enforcements{"off", "warn", "enforce"};

std::span<const std::string_view> names(tls_mode) noexcept { return tls_modes; }
std::span<const std::string_view> names(tls_version) noexcept { return tls_versions; }
std::span<const std::string_view> names(pool_mode) noexcept { return pool_modes; }
std::span<const std::string_view> names(auth_type) noexcept { return auth_types; }
std::span<const std::string_view> names(cache_provider) noexcept { return providers; }
std::span<const std::string_view> names(invalidation) noexcept { return invalidations; }
std::span<const std::string_view> names(invalidation_loss) noexcept { return invalidation_losses; }
std::span<const std::string_view> names(log_level) noexcept { return levels; }
std::span<const std::string_view> names(rule_mode) noexcept { return rule_modes; }
std::span<const std::string_view> names(unlimited_select) noexcept { return unlimited_selects; }
std::span<const std::string_view> names(enforcement) noexcept { return enforcements; }

template <class E>
std::string read_choice(std::string_view text, E& out) {
    const auto all = names(E{});
    // PgBouncer has it: refused rather than taken for another.
    const bool known = std::is_same_v<E, pool_mode> && text == "statement";
    std::string list;
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (text == all[i]) return out = static_cast<E>(i), std::string{};
        list.append(list.empty() ? "" : ", ").append(all[i]);
    }
    if (known) return show(text) + " is not supported by this version, only: " + list;
    return show(text) + " is not one of: " + list;
}

std::string read_text(std::string_view text, text_check check, key_flag flag, bounds range,
                      std::string& out) {
    if (has(flag, key_flag::conninfo) && text.size() > range.max) return "is too long";
    if (check != nullptr) {
        if (std::string reason = check(text); !reason.empty()) return reason;
    }
    out = text;
    return {};
}

}  // namespace

std::vector<std::string_view> choices(const slot& s) {
    return std::visit(
        [](auto* at) {
            using value = std::remove_pointer_t<decltype(at)>;
            std::vector<std::string_view> out;
            if constexpr (std::is_enum_v<value>) {
                const auto all = names(value{});
                out.assign(all.begin(), all.end());
            }
            return out;
        },
        s);
}

std::string read_scalar(std::string_view text, const slot& s, bounds range, text_check check,
                        key_flag flag) {
    return std::visit(
        [&](auto* at) -> std::string {
            using value = std::remove_pointer_t<decltype(at)>;
            std::uint64_t number = 0;
            std::string reason;
            if constexpr (std::is_same_v<value, bool>) {
                return read_bool(text, *at);
            } else if constexpr (std::is_same_v<value, std::size_t>) {
                reason = read_size(text, range, number);
                if (reason.empty()) *at = static_cast<value>(number);
            } else if constexpr (std::is_integral_v<value>) {
                assert(range.max <= std::numeric_limits<value>::max());
                reason = read_integer(text, range, number);
                if (reason.empty()) *at = static_cast<value>(number);
            } else if constexpr (std::is_same_v<value, std::chrono::milliseconds>) {
                return read_duration(text, range, *at);
            } else if constexpr (std::is_same_v<value, std::chrono::seconds>) {
                std::chrono::milliseconds ms{};
                reason = read_duration(text, range, ms);
                if (reason.empty() && ms.count() % 1000 != 0) {
                    return show(text) + " is not a whole number of seconds";
                }
                if (reason.empty()) *at = std::chrono::duration_cast<value>(ms);
            } else if constexpr (std::is_enum_v<value>) {
                return read_choice(text, *at);
            } else if constexpr (std::is_same_v<value, std::string>) {
                return read_text(text, check, flag, range, *at);
            } else {
                assert(false && "a list is not one scalar");
            }
            return reason;
        },
        s);
}

std::string write_scalar(const slot& s) {
    return std::visit(
        [](auto* at) -> std::string {
            using value = std::remove_pointer_t<decltype(at)>;
            if constexpr (std::is_same_v<value, bool>) {
                return *at ? "true" : "false";
            } else if constexpr (std::is_same_v<value, std::size_t>) {
                return write_size(*at);
            } else if constexpr (std::is_integral_v<value>) {
                return std::to_string(*at);
            } else if constexpr (std::is_same_v<value, std::chrono::milliseconds> ||
                                 std::is_same_v<value, std::chrono::seconds>) {
                return write_duration(*at);
            } else if constexpr (std::is_enum_v<value>) {
                return std::string{names(value{})[static_cast<std::size_t>(*at)]};
            } else if constexpr (std::is_same_v<value, std::string>) {
                return write_text(*at);
            } else if constexpr (std::is_same_v<value, std::vector<std::string>>) {
                std::string list = "[";
                for (const std::string& text : *at) {
                    list.append(list.size() == 1 ? "" : ", ").append(write_text(text));
                }
                return list + ']';
            } else {
                assert(false && "a list of maps takes more than one line");
                return {};
            }
        },
        s);
}

}  // namespace pgsidecar::config
