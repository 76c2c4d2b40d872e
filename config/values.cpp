#include "config/values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <iterator>

#include "protocol/ascii.h"

namespace pgsidecar::config {
namespace {

struct unit {
    std::string_view name;
    std::uint64_t factor;
};

// Largest first: the writers take the first unit that divides the value, the readers search all.
constexpr std::uint64_t kb = 1024;
constexpr std::array size_units{
    unit{"TB", kb* kb* kb* kb},
    unit{"GB", kb* kb* kb},
    unit{"MB", kb* kb},
    unit{"kB", kb},
    unit{"B", 1},
    unit{"TiB", kb* kb* kb* kb},
    unit{"GiB", kb* kb* kb},
    unit{"MiB", kb* kb},
    unit{"KiB", kb},
};
constexpr std::array duration_units{
    unit{"d", 86'400'000}, unit{"h", 3'600'000}, unit{"m", 60'000}, unit{"s", 1'000}, unit{"ms", 1},
};

bool same(std::string_view a, std::string_view b, bool any_case) noexcept {
    return any_case ? protocol::same_in_any_case(a, b) : a == b;
}

enum class outcome { ok, malformed, too_big };

// number, optional blanks, optional unit
outcome read_measure(std::string_view text, const unit* first, const unit* last, bool any_case,
                     std::uint64_t bare, std::uint64_t& out) noexcept {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc::result_out_of_range) return outcome::too_big;
    if (error != std::errc{}) return outcome::malformed;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    std::uint64_t factor = bare;
    if (!text.empty()) {
        while (text.starts_with(' ')) text.remove_prefix(1);
        const unit* const found =
            std::find_if(first, last, [&](const unit& u) { return same(u.name, text, any_case); });
        if (found == last) return outcome::malformed;
        factor = found->factor;
    }
    if (number > std::numeric_limits<std::uint64_t>::max() / factor) return outcome::too_big;
    out = number * factor;
    return outcome::ok;
}

std::string write_measure(std::uint64_t value, const unit* first, const unit* last) {
    const unit* const fit =
        std::find_if(first, last, [=](const unit& u) { return value % u.factor == 0; });
    return std::to_string(value / fit->factor).append(fit->name);
}

std::string escape(std::string_view text) {
    static constexpr std::string_view hex = "0123456789abcdef";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += {'\\', c};
        } else if (byte < 0x20 || byte == 0x7f) {
            out += {'\\', 'x', hex[byte >> 4], hex[byte & 15]};
        } else {
            out += c;
        }
    }
    return out;
}

std::string outside(std::string_view text, const std::string& least, const std::string& most) {
    return show(text) + " is not between " + least + " and " + most;
}

}  // namespace

std::string show(std::string_view text) {
    constexpr std::size_t longest = 60;
    if (text.size() <= longest) return '"' + escape(text) + '"';
    std::size_t cut = longest;  // never through the middle of a UTF-8 sequence
    while (cut > 0 && (static_cast<unsigned char>(text[cut]) & 0xc0) == 0x80) --cut;
    return '"' + escape(text.substr(0, cut)) + "\"...";
}

std::string read_bool(std::string_view text, bool& out) {
    for (const std::string_view word : {"true", "on", "yes", "1"}) {
        if (same(text, word, true)) return out = true, std::string{};
    }
    for (const std::string_view word : {"false", "off", "no", "0"}) {
        if (same(text, word, true)) return out = false, std::string{};
    }
    return show(text) + " is neither true nor false (true, on, yes; false, off, no)";
}

std::string read_integer(std::string_view text, bounds range, std::uint64_t& out) {
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size() || number < range.min ||
        number > range.max) {
        return show(text) + " is not a whole number from " + std::to_string(range.min) + " to " +
               std::to_string(range.max);
    }
    out = number;
    return {};
}

std::string read_size(std::string_view text, bounds range, std::uint64_t& out) {
    std::uint64_t value = 0;
    const outcome result = read_measure(text, size_units.begin(), size_units.end(), true, 1, value);
    if (result == outcome::malformed) {
        return show(text) +
               " is not a size such as 256MB (B, kB, MB, GB, TB; a bare number is bytes)";
    }
    if (result == outcome::too_big || value < range.min || value > range.max) {
        return outside(text, write_size(range.min), write_size(range.max));
    }
    out = value;
    return {};
}

std::string read_duration(std::string_view text, bounds range, std::chrono::milliseconds& out) {
    std::uint64_t value = 0;
    const outcome result =
        read_measure(text, duration_units.begin(), duration_units.end(), false, 1'000, value);
    if (result == outcome::malformed) {
        return show(text) +
               " is not a duration such as 30s (ms, s, m, h, d; a bare number is seconds)";
    }
    // The upper limit also keeps what std::chrono would overflow on.
    constexpr auto chrono_max =
        static_cast<std::uint64_t>(std::numeric_limits<std::chrono::milliseconds::rep>::max());
    const std::uint64_t most = std::min(range.max, chrono_max);
    if (result == outcome::too_big || value < range.min || value > most) {
        using std::chrono::milliseconds;
        return outside(text, write_duration(milliseconds{range.min}),
                       write_duration(milliseconds{most}));
    }
    out = std::chrono::milliseconds{value};
    return {};
}

std::string write_size(std::uint64_t bytes) {
    if (bytes == 0) return "0B";
    return write_measure(bytes, size_units.begin(), size_units.begin() + 5);
}

std::string write_duration(std::chrono::milliseconds d) {
    if (d.count() == 0) return "0s";
    return write_measure(static_cast<std::uint64_t>(d.count()), duration_units.begin(),
                         duration_units.end());
}

std::string write_text(std::string_view text) { return '"' + escape(text) + '"'; }

}  // namespace pgsidecar::config
