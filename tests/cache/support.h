// Short names for what the cache tests build again and again.
#pragma once
#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "cache/store.h"

namespace cache_test {

using namespace std::chrono_literals;
using pgsidecar::cache::dependency;
using pgsidecar::cache::entry_ptr;
using pgsidecar::cache::hash128;
using pgsidecar::cache::hash_key;
using pgsidecar::cache::lookup;
using pgsidecar::cache::make_entry;
using pgsidecar::cache::observe;
using pgsidecar::cache::store;
using pgsidecar::cache::store_options;
using pgsidecar::cache::table_state;
using pgsidecar::cache::time_point;

inline constexpr time_point start{1000s};
inline constexpr time_point never = time_point::max();

inline std::vector<dependency> observed(std::initializer_list<const table_state*> tables) {
    std::vector<dependency> all;
    for (const auto* t : tables) all.push_back(observe(*t));
    return all;
}

inline entry_ptr filled(std::string_view key, std::string_view body,
                        std::initializer_list<const table_state*> tables = {},
                        time_point expires = never) {
    return make_entry(key, body, observed(tables), expires, 1);
}

inline lookup look(store& s, std::string_view key, time_point now = start) {
    lookup why{};
    (void)s.find(key, hash_key(key), now, &why);
    return why;
}

// splitmix64: the tests' only source of chance, seeded by each of them.
class random_numbers {
  public:
    explicit random_numbers(std::uint64_t seed) noexcept : state_{seed} {}
    std::uint64_t next() noexcept {
        std::uint64_t z = state_ += 0x9E3779B97F4A7C15;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }
    std::uint64_t below(std::uint64_t n) noexcept { return next() % n; }

  private:
    std::uint64_t state_;
};

}  // namespace cache_test
