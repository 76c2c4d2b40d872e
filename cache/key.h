// The 128-bit name of a cache key. The hash only chooses where to look: whoever looks up compares
// the whole key too, since a collision must never hand one tenant's rows to another.
// The key itself is built in proxy/core; this room takes it as bytes.
#pragma once
#include <cstdint>
#include <string_view>

namespace pgsidecar::cache {

struct hash128 {
    std::uint64_t lo = 0;
    std::uint64_t hi = 0;
    bool operator==(const hash128&) const = default;
};

// XXH3-128 with the default seed: the same on every machine and in every process.
[[nodiscard]] hash128 hash_key(std::string_view key) noexcept;

}  // namespace pgsidecar::cache
