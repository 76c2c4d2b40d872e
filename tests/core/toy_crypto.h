// Digests that are no digests: enough to tell texts apart. The real ones are used in tests/io.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/core/scram.h"

namespace core_test {

inline std::string weak_digest(std::string_view text) {
    std::string out;
    for (std::uint64_t h = 14695981039346656037U; out.size() < 32; ++h) {
        for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 1099511628211U;
        out.push_back(static_cast<char>('a' + (h >> 40U) % 26));
    }
    return out;
}
inline constexpr pgsidecar::core::crypto toy_crypto{
    weak_digest,
    [](std::string_view k, std::string_view t) { return weak_digest(std::string{k}.append(t)); },
    [](std::string_view p, std::string_view s, std::uint32_t) {
        return weak_digest(std::string{p}.append(s));
    },
    weak_digest, [](std::string_view a, std::string_view b) { return a == b; }};

}  // namespace core_test
