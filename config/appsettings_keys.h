// The keys of appsettings.json that are read, and the settings that they become. A new key is a row
// in appsettings_keys.cpp; one whose `setting` is empty is checked, and sets nothing.
#pragma once
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "config/values.h"

namespace pgsidecar::config {

// How the JSON writes a value, and so what becomes of it.
enum class as : std::uint8_t {
    flag,
    detailed,  // a flag: true is log.level debug, false says nothing
    word,      // one of the setting's choices, in any case
    count,
    milliseconds,
    seconds,
    minutes,
    level,   // of the log, in .NET's words
    always,  // a flag for what is so anyway: false changes nothing, and that is said
};

struct json_key {
    std::string_view name;
    as how;
    std::string_view setting{};  // as known_keys() has it; of_tier... is of one tier
};
inline constexpr std::string_view of_tier = "tenants.tiers[].";

[[nodiscard]] std::span<const json_key> performance_keys() noexcept;  // tiers': of "default"
[[nodiscard]] std::span<const json_key> limit_keys() noexcept;        // of each tier
[[nodiscard]] const json_key& log_level_key() noexcept;

// .NET's word, then ours.
[[nodiscard]] std::span<const std::pair<std::string_view, std::string_view>>
dotnet_levels() noexcept;

// What the unit of a duration is called behind a number; empty for what is none.
[[nodiscard]] std::string_view suffix_of(as how) noexcept;

// What the setting allows, in the measure of the JSON.
[[nodiscard]] bounds range_of(const json_key& key) noexcept;

}  // namespace pgsidecar::config
