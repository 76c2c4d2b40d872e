#include "config/environment.h"

#include <algorithm>
#include <array>

#include "config/values.h"
#include "protocol/ascii.h"

namespace pgsidecar::config {
namespace {

constexpr std::array<std::string_view, 5> known{"Development", "Test", "Staging", "Production",
                                                "Live"};

}  // namespace

environment choose_environment(const char* pgsidecar, const char* aspnetcore) {
    if (pgsidecar != nullptr && *pgsidecar != '\0') return {pgsidecar, "PGSIDECAR_ENVIRONMENT"};
    if (aspnetcore != nullptr && *aspnetcore != '\0') return {aspnetcore, "ASPNETCORE_ENVIRONMENT"};
    return {};
}

std::span<const std::string_view> known_environments() noexcept { return known; }

std::string_view known_environment(std::string_view name) noexcept {
    const auto same = [name](std::string_view one) {
        return protocol::same_in_any_case(one, name);
    };
    const auto* const found = std::ranges::find_if(known, same);
    return found == known.end() ? std::string_view{} : *found;
}

std::string bad_environment(std::string_view name) {
    constexpr std::size_t longest = 64;
    const auto fits = [](char c) {
        const char l = protocol::ascii_lower(c);
        return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    };
    if (!name.empty() && name.size() <= longest && std::ranges::all_of(name, fits)) return {};
    return show(name) +
           " is not the name of an environment: letters, digits, - and _, 64 at most; known are " +
           environment_list();
}

std::string overlay_name(std::string_view file, std::string_view name) {
    const std::size_t dot = file.rfind('.');
    const bool has_extension = dot != std::string_view::npos && dot > 0;
    const std::string_view stem = has_extension ? file.substr(0, dot) : file;
    std::string out{stem};
    out.append(".").append(name);
    return out.append(file.substr(stem.size()));
}

std::string environment_list() {
    std::string out;
    for (const std::string_view one : known) out.append(out.empty() ? "" : ", ").append(one);
    return out;
}

}  // namespace pgsidecar::config
