// What pg_proc's three letters do not say about pg_catalog's own functions: which of the stable
// ones depend on nothing but settings that the cache key holds, which read the clock, and which of
// the volatile ones leave every table and every setting alone. Names, so any overload counts.
#pragma once
#include <cstdint>
#include <string_view>

namespace pgsidecar::policy {

// now(), clock_timestamp() and their kind. age() is one with a single argument.
[[nodiscard]] bool reads_clock(std::string_view name, int arguments) noexcept;

// Stable, and its result follows from its arguments and from what the key holds.
[[nodiscard]] bool depends_on_key_only(std::string_view name) noexcept;

enum class builtin_effect : std::uint8_t {
    none,      // computes, waits, reads
    harmless,  // changes a sequence, a lock, a large object, a statistic: no table, no setting
    settings,  // set_config(): the facts say which
    reload,    // the server's configuration is read again
    unknown,   // assume anything
};
// Of a volatile function of pg_catalog; any name that is not listed is unknown.
[[nodiscard]] builtin_effect effect_of_builtin(std::string_view name) noexcept;

// Takes a lock that the session keeps when its transaction has ended.
[[nodiscard]] bool locks_for_session(std::string_view name) noexcept;

// What random() gives to the session afterwards follows from it.
[[nodiscard]] bool seeds_session(std::string_view name) noexcept;

// Tells what this session has taken from sequences: currval(), lastval().
[[nodiscard]] bool reads_own_sequences(std::string_view name) noexcept;

// A compiled function of a well-known extension that writes no table and changes no setting, by the
// library it lives in (pg_proc.probin) and its name.
[[nodiscard]] bool is_harmless_library(std::string_view library, std::string_view name) noexcept;

// Without a catalog: common functions of pg_catalog that write nothing.
[[nodiscard]] bool is_well_known_reader(std::string_view name) noexcept;

// reg* types look names up through the search_path and in the catalogs; nothing in the key or in
// the table versions tells when such an answer changes.
[[nodiscard]] bool is_catalog_type(std::string_view name) noexcept;

}  // namespace pgsidecar::policy
