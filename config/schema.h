// The table of all keys: one row each, from which loading, dumping, suggestions, the comparison of
// two settings and the reference page are derived. A new key is a member in settings.h and a row
// in schema.cpp, of a part in schema_pool.cpp, schema_http.cpp, schema_hand_over.cpp,
// schema_alerts.cpp,
// schema_shared.cpp; a key of a rule or a tier is a row in schema_lists.cpp.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "config/settings.h"
#include "config/text_checks.h"
#include "config/values.h"

namespace pgsidecar::config {

// Where a row's value lives; its type says how it is written. std::size_t is bytes.
using slot =
    std::variant<bool*, std::uint16_t*, unsigned*, std::size_t*, std::chrono::milliseconds*,
                 std::chrono::seconds*, std::string*, tls_mode*, tls_version*, pool_mode*,
                 cache_provider*, log_level*, invalidation*, invalidation_loss*, policy::rule_mode*,
                 auth_type*, policy::enforcement*, policy::unlimited_select*,
                 std::vector<std::string>*, std::vector<policy::cache_rule>*,
                 std::vector<policy::tier>*>;

enum class key_flag : std::uint8_t {
    none = 0,
    restart = 1,   // a change takes effect only when the program starts anew
    conninfo = 2,  // a text that may hold a password
    folded = 4,    // names without regard to case: kept in lower case
};
[[nodiscard]] constexpr key_flag operator|(key_flag a, key_flag b) noexcept {
    return static_cast<key_flag>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
[[nodiscard]] constexpr bool has(key_flag all, key_flag one) noexcept {
    return (static_cast<unsigned>(all) & static_cast<unsigned>(one)) != 0;
}

template <class Owner>
struct key_row {
    std::string_view path;
    slot (*at)(Owner&);
    std::string_view meaning;  // one line of the reference
    bounds range{};
    text_check check = nullptr;  // of a text, or of each text of a list
    key_flag flag = key_flag::none;
};

[[nodiscard]] std::span<const key_row<settings>> setting_rows() noexcept;
// Parts of setting_rows().
[[nodiscard]] std::span<const key_row<settings>> pool_rows() noexcept;
[[nodiscard]] std::span<const key_row<settings>> shared_cache_rows() noexcept;
[[nodiscard]] std::span<const key_row<settings>> invalidation_rows() noexcept;
[[nodiscard]] std::span<const key_row<settings>> hand_over_rows() noexcept;
[[nodiscard]] std::span<const key_row<settings>> alert_rows() noexcept;
[[nodiscard]] std::span<const key_row<settings>> http_rows() noexcept;
[[nodiscard]] std::string_view http_meaning() noexcept;

// The elements of a list of maps: how messages and the reference speak of them, and their keys.
template <class Item>
struct item_kind {
    std::string_view one, many;  // "rule", "rules"
    std::string_view some_keys;  // what an element looks like, for who wrote something else
    std::string_view meaning;    // opens their part of the reference
    std::span<const key_row<Item>> rows;
};
template <class Item>
[[nodiscard]] const item_kind<Item>& kind_of() noexcept;
template <>
const item_kind<policy::cache_rule>& kind_of() noexcept;
template <>
const item_kind<policy::tier>& kind_of() noexcept;

// Calls `use` with the list of maps that `s` is; false when it is something else.
template <class Use>
bool with_items(const slot& s, Use use) {
    return std::visit(
        [&](auto* at) {
            using value = std::remove_pointer_t<decltype(at)>;
            constexpr bool fits = std::is_same_v<value, std::vector<policy::cache_rule>> ||
                                  std::is_same_v<value, std::vector<policy::tier>>;
            if constexpr (fits) use(*at);
            return fits;
        },
        s);
}

// "upstream", "cache", ...: the maps that rows are grouped in.
struct section {
    std::string_view name;
    std::string_view meaning;
};
[[nodiscard]] std::span<const section> sections() noexcept;

// What a value of an enumeration may be; empty for other slots.
[[nodiscard]] std::vector<std::string_view> choices(const slot& s);

// Reads a value that is one scalar. Empty on success, else the reason, which shows no value of a
// conninfo. `s` is no list.
[[nodiscard]] std::string read_scalar(std::string_view text, const slot& s, bounds range,
                                      text_check check, key_flag flag);

// The value as one line of YAML; a conninfo as it is, passwords included. `s` is no list of maps.
[[nodiscard]] std::string write_scalar(const slot& s);

}  // namespace pgsidecar::config
