// "Did you mean": the known key nearest to one that is not known.
#pragma once
#include <span>
#include <string>
#include <string_view>

namespace pgsidecar::config {

// `path` as in known_keys(), e.g. "cache.max_memry" or "cache.rules[].tables". Empty when nothing
// is near. Bounded: a long path is not near to anything.
[[nodiscard]] std::string nearest_key(std::string_view path);

// The same among `names`, whatever the case of letters.
[[nodiscard]] std::string_view nearest_name(std::string_view given,
                                            std::span<const std::string_view> names);

}  // namespace pgsidecar::config
