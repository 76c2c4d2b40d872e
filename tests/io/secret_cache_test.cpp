#include "proxy/io/secret_cache.h"

#include <chrono>
#include <optional>
#include <string>

#include <doctest/doctest.h>

using pgsidecar::io::secret_cache;
using namespace std::chrono_literals;

namespace {

using known = std::optional<std::string>;
const secret_cache::time_point start{1h};

}  // namespace

TEST_CASE("secret cache: an answer ends with its time, its validity, or a change of roles") {
    secret_cache cache{10s};
    CHECK(cache.find("ann", 0, start) == known{});
    cache.keep("ann", "old", 0, start, std::nullopt);
    cache.keep("nobody", "", 0, start, std::nullopt);
    cache.keep("soon", "ends", 0, start, 1500ms);
    cache.keep("late", "lasts", 0, start, 1h);
    CHECK(cache.find("ann", 0, start + 9999ms) == known{"old"});
    CHECK(cache.find("ann", 0, start + 10s) == known{});
    CHECK(cache.find("nobody", 0, start + 9s) == known{""});
    CHECK(cache.find("soon", 0, start + 1499ms) == known{"ends"});
    CHECK(cache.find("soon", 0, start + 1500ms) == known{});
    CHECK(cache.find("late", 0, start + 9s) == known{"lasts"});
    CHECK(cache.find("late", 0, start + 10s) == known{});
    CHECK(cache.find("ann", 1, start) == known{});
    cache.keep("ann", "new", 1, start + 1s, std::nullopt);
    CHECK(cache.find("ann", 1, start + 2s) == known{"new"});
    cache.keep("ann", "expired", 1, start + 1s, 0ms);  // nothing is kept of it
    CHECK(cache.find("ann", 1, start + 2s) == known{"new"});
}

TEST_CASE("secret cache: what does not fit is asked about again, once a second at most") {
    secret_cache cache{1min};
    cache.keep("ann", "old", 0, start, std::nullopt);
    cache.doubt("ann", start + 999ms);
    cache.doubt("bob", start + 5s);
    CHECK(cache.find("ann", 0, start + 1s) == known{"old"});
    cache.doubt("ann", start + 1s);
    CHECK(cache.find("ann", 0, start + 1s) == known{});
}

TEST_CASE("secret cache: without a time nothing is kept, and it is bounded") {
    secret_cache off{0ms};
    off.keep("ann", "x", 0, start, std::nullopt);
    CHECK(off.size() == 0);
    secret_cache cache{10s};
    for (std::size_t i = 0; i < secret_cache::capacity; ++i)
        cache.keep("u" + std::to_string(i), "x", 0, i % 2 ? start : start + 5s, std::nullopt);
    CHECK(cache.size() == secret_cache::capacity);
    cache.keep("u1", "again", 0, start, std::nullopt);
    CHECK(cache.size() == secret_cache::capacity);
    cache.keep("one more", "x", 0, start + 12s, std::nullopt);  // half of them have expired
    CHECK(cache.size() == secret_cache::capacity / 2 + 1);
    CHECK(cache.find("u0", 0, start + 12s) == known{"x"});
    for (std::size_t i = 0; i < secret_cache::capacity; ++i)
        cache.keep("v" + std::to_string(i), "x", 0, start + 12s, std::nullopt);
    CHECK(cache.size() <= secret_cache::capacity);
    CHECK(cache.find("v9999", 0, start + 12s) == known{"x"});
}
