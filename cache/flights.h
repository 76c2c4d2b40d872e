// Single flight: of several sessions that miss the same key at once, one asks the server and the
// others wait. Shared by all workers; it knows sessions only as tokens and wakes nobody itself: the
// caller sends the returned tokens to their workers.
//
//     join -> leader   -> finish (stored, or known to be not storable): wake all that are returned;
//                         they look in the store again, or go upstream when told it was not stored
//                      -> leave  (failed, cancelled, disconnected): wake the one that is returned,
//                         it leads now
//     join -> follower -> woken by finish: it owes nothing more
//                      -> woken by leave: it is the leader, as if join had said so
//                      -> leave (timed out, cancelled, disconnected)
// leave() is the same call for both roles, since a follower cannot know whether it has just been
// made the leader: the wake-up may still be under way. After leave() a late wake-up is to be
// ignored.
//
// A follower is only ever told to look again: what it then finds has passed the version check, so
// waiting for a query sent before its own arrival cannot make it read stale rows.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cache/key.h"

namespace pgsidecar::cache {

class flights {
  public:
    // Chosen by the caller; unique for each join(), or a late wake-up would reach a later wait.
    using waiter = std::uint64_t;
    enum class role : std::uint8_t { leader, follower };

    [[nodiscard]] role join(std::string_view key, const hash128& hash, waiter who);
    // The followers in the order they came; the flight is over. Empty when `who` does not lead.
    [[nodiscard]] std::vector<waiter> finish(std::string_view key, const hash128& hash, waiter who);
    // The new leader if `who` led and somebody waits; nothing otherwise, also for a stranger.
    [[nodiscard]] std::optional<waiter> leave(std::string_view key, const hash128& hash,
                                              waiter who);

    [[nodiscard]] bool under_way(std::string_view key, const hash128& hash) const;

    // Flights under way, and followers waiting in them.
    struct counts {
        std::size_t flights = 0;
        std::size_t followers = 0;
    };
    [[nodiscard]] counts size() const;

  private:
    struct name {
        std::string key;
        hash128 hash;
    };
    struct name_view {
        std::string_view key;
        hash128 hash;
    };
    struct name_hash {
        using is_transparent = void;
        std::size_t operator()(const name& n) const noexcept;
        std::size_t operator()(const name_view& n) const noexcept;
    };
    struct name_equal {
        using is_transparent = void;
        template <class A, class B>
        bool operator()(const A& a, const B& b) const noexcept {
            return a.hash == b.hash && a.key == b.key;
        }
    };
    struct flight {
        waiter leader = 0;
        std::vector<waiter> followers;
    };
    struct alignas(64) part {
        mutable std::mutex mutex;
        std::unordered_map<name, flight, name_hash, name_equal> flights;
    };

    [[nodiscard]] part& part_of(const hash128& hash) noexcept;
    [[nodiscard]] const part& part_of(const hash128& hash) const noexcept;

    std::array<part, 16> parts_;
};

}  // namespace pgsidecar::cache
