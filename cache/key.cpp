#include "cache/key.h"

#include <xxhash.h>

namespace pgsidecar::cache {

hash128 hash_key(std::string_view key) noexcept {
    const XXH128_hash_t h = XXH3_128bits(key.data(), key.size());
    return {h.low64, h.high64};
}

}  // namespace pgsidecar::cache
