#include "policy/rollout.h"

#include <cstdint>

namespace pgsidecar::policy {
namespace {

// FNV-1a: the same on every machine and in every version, which std::hash is not.
constexpr std::uint64_t fnv_start = 0xcbf29ce484222325U;
constexpr std::uint64_t fnv_prime = 0x100000001b3U;

std::uint64_t add(std::uint64_t hash, std::string_view text) noexcept {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * fnv_prime;
    return hash;
}

// Short texts that differ at their end alone differ in FNV's low bits: all bits are to count.
std::uint64_t mixed(std::uint64_t h) noexcept {
    h = (h ^ (h >> 30U)) * 0xbf58476d1ce4e5b9U;
    h = (h ^ (h >> 27U)) * 0x94d049bb133111ebU;
    return h ^ (h >> 31U);
}

}  // namespace

bool in_rollout(std::string_view tenant, std::string_view rule, unsigned percent) noexcept {
    if (percent >= 100) return true;
    const auto hash = add(add(add(fnv_start, rule), {"\0", 1}), tenant);
    return mixed(hash) % 100 < percent;
}

}  // namespace pgsidecar::policy
