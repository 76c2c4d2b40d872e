// What a session and the tier that several processes share (proxy/io) say to each other, as values.
// A session that misses asks and waits; it judges what comes by itself (tier_guard.h), or goes to
// the server when nothing has come in time. What it then stores it offers to the tier, and thinks
// no more of it.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/entry.h"
#include "cache/envelope.h"
#include "cache/key.h"
#include "proxy/core/wal_proof.h"

namespace pgsidecar::core {

struct tier_key {
    std::string key;
    cache::hash128 hash{};
};

struct tier_question {
    std::uint64_t number = 0;  // of the session's; the answer bears it
    std::vector<tier_key> keys;
    cache::time_point due{};  // nobody waits for the answer any longer
};

// What lay there under a key: unharmed, and for that very key.
struct tier_find {
    std::string bytes;  // the body is its end
    std::size_t body_at = 0;
    std::uint32_t rows = 0;
    cache::instance_id filler{};
    cache::hash128 versions{};
    std::uint64_t catalog = 0;
    wal_place wal{};
    std::chrono::milliseconds ttl{0};
    // At `asked` the fill had begun at most so long ago.
    cache::time_point asked{};
    std::chrono::microseconds age{0};
    [[nodiscard]] std::string_view body() const noexcept {
        return std::string_view{bytes}.substr(body_at);
    }
};
// What a reader knows of what it asks for, from before it asked: tier_guard judges by that.
struct tier_claim {
    cache::hash128 versions{};
    std::uint64_t catalog = 0;
    cache::time_point changed{};
    wal_place least{};
};
using tier_finds = std::vector<std::optional<tier_find>>;  // in the order of the keys

// An answer that has just been stored.
struct tier_offer {
    cache::entry_ptr entry;
    cache::hash128 hash{};
    std::shared_ptr<const std::string> tenant;  // null: nobody asks who
    cache::hash128 versions{};
    std::uint64_t catalog = 0;
    wal_place wal{};
    std::chrono::milliseconds ttl{0};
    cache::time_point began{};  // before its query was sent
};

// For the tier, of one call of a session.
struct tier_work {
    std::optional<tier_question> question;
    std::vector<tier_offer> offers;
    // Of what it was told.
    std::uint32_t used = 0;
    std::uint32_t refused = 0;  // it was there and may not be served
    std::uint32_t late = 0;     // questions whose time was up
};

}  // namespace pgsidecar::core
