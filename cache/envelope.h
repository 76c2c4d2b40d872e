// An entry as it lies in a tier that several processes share: the answer, the whole key that it was
// given for, and what a reader has to know to judge whether it may serve it. Whoever reads trusts
// nothing of it: one changed bit, another format, another key make it nothing at all.
//
//     head | tag | facts | key | body       (numbers little-endian)
//
// The tag is XXH3-128 over everything else, or, with a cipher, the authentication tag of what
// follows it, which is then encrypted; the head is authenticated along. Pure: ciphers are passed
// in.
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "cache/key.h"
#include "cache/versions.h"

namespace pgsidecar::cache {

// One process, from its start to its end. Random.
using instance_id = std::array<char, 16>;

struct envelope {
    std::string_view key{};
    std::string_view body{};
    std::uint32_t rows = 0;
    instance_id filler{};  // who has put it
    // Of the tier's own clock, since 1970: when the fill began, or somewhat earlier.
    std::chrono::microseconds filled{0};
    std::chrono::milliseconds ttl{0};  // of the filler's rule
    hash128 versions{};                // version_stamp(); means something to the filler alone
    std::uint64_t catalog = 0;         // fingerprint of the catalogs that it was planned by
    // What the filler had seen of the server's write-ahead log before the fill began: all commits
    // up to there show in the body. 0: it followed none. Positions are comparable within one
    // history.
    std::uint64_t wal_position = 0;
    std::uint64_t wal_history = 0;
};

// What seals envelopes. Each (filler, number) is used once for sealing.
class envelope_cipher {
  public:
    static constexpr std::size_t tag_size = 16;
    virtual ~envelope_cipher() = default;
    // Tells keys apart; not 0.
    [[nodiscard]] virtual std::uint64_t key_id() const noexcept = 0;
    // Both work in place. False: the tag does not fit, or it cannot be done.
    [[nodiscard]] virtual bool seal(const instance_id& filler, std::uint64_t number,
                                    std::string_view head, std::span<char> text, char* tag) = 0;
    [[nodiscard]] virtual bool open(const instance_id& filler, std::uint64_t number,
                                    std::string_view head, std::span<char> text,
                                    const char* tag) = 0;
};

enum class envelope_fault : std::uint8_t {
    none,
    malformed,     // no envelope, or one of another format
    other_cipher,  // sealed by another key, or where none is wanted, or not sealed where one is
    damaged,
    other_key,  // a whole one, for another question
};

// Null cipher: checked, not sealed. Empty when it does not fit (4 GiB) or cannot be sealed.
[[nodiscard]] std::string write_envelope(const envelope& e, std::uint64_t number,
                                         envelope_cipher* cipher);
// Opens `bytes` in place; views of `out` point into them.
[[nodiscard]] envelope_fault read_envelope(std::span<char> bytes, std::string_view key,
                                           envelope_cipher* cipher, envelope& out);

// Equal exactly when the same tables had the same versions, within one process.
[[nodiscard]] hash128 version_stamp(std::span<const dependency> tables);

}  // namespace pgsidecar::cache
