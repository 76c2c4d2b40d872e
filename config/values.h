// How one value is written: booleans, whole numbers, sizes and durations, to and from text.
// Every read_ function returns an empty string and fills `out`, or returns the reason why the text
// does not fit and leaves `out` alone. Bounds are inclusive, in bytes or milliseconds.
#pragma once
#include <chrono>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

namespace pgsidecar::config {

struct bounds {
    std::uint64_t min = 0;
    std::uint64_t max = std::numeric_limits<std::uint64_t>::max();
};

// The text in quotation marks, fit for a message: control characters escaped, cut when long.
[[nodiscard]] std::string show(std::string_view text);

// true/false, on/off, yes/no, 1/0 in any case.
[[nodiscard]] std::string read_bool(std::string_view text, bool& out);

[[nodiscard]] std::string read_integer(std::string_view text, bounds range, std::uint64_t& out);

// B, kB, MB, GB, TB or KiB, MiB, GiB, TiB; all in steps of 1024 as PostgreSQL has it; bare = bytes.
[[nodiscard]] std::string read_size(std::string_view text, bounds range, std::uint64_t& out);

// ms, s, m, h, d; bare = seconds.
[[nodiscard]] std::string read_duration(std::string_view text, bounds range,
                                        std::chrono::milliseconds& out);

// The shortest exact form with a unit; reads back as the same value.
[[nodiscard]] std::string write_size(std::uint64_t bytes);
[[nodiscard]] std::string write_duration(std::chrono::milliseconds d);

// A double-quoted YAML scalar that reads back as the same text.
[[nodiscard]] std::string write_text(std::string_view text);

}  // namespace pgsidecar::config
