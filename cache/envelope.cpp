#include "cache/envelope.h"

#include <cstring>
#include <limits>
#include <type_traits>
#include <vector>

namespace pgsidecar::cache {
namespace {

constexpr std::string_view magic{"pgsc", 4};
// To be raised when the format changes, or what a key is made of.
constexpr std::uint8_t format = 2;

constexpr std::uint8_t is_sealed = 1;

// magic, format, flags, two zero bytes, key id, filler, number.
constexpr std::size_t head_size = 4 + 1 + 1 + 2 + 8 + 16 + 8;
constexpr std::size_t facts_at = head_size + envelope_cipher::tag_size;
constexpr std::size_t facts_size = 8 + 8 + 4 + 16 + 8 + 8 + 8 + 4 + 4;

template <class T>
void put(char*& at, T value) noexcept {
    using plain = std::make_unsigned_t<T>;
    auto rest = static_cast<plain>(value);
    for (std::size_t i = 0; i < sizeof(T); ++i) {
        *at++ = static_cast<char>(rest & 0xffU);
        if constexpr (sizeof(T) > 1) rest = static_cast<plain>(rest >> 8U);
    }
}

template <class T>
void take(const char*& at, T& value) noexcept {
    using plain = std::make_unsigned_t<T>;
    plain out = 0;
    for (std::size_t i = 0; i < sizeof(T); ++i)
        out = static_cast<plain>(
            out |
            static_cast<plain>(static_cast<plain>(static_cast<unsigned char>(*at++)) << (8U * i)));
    value = static_cast<T>(out);
}

void put_bytes(char*& at, std::string_view bytes) noexcept {
    if (!bytes.empty()) std::memcpy(at, bytes.data(), bytes.size());
    at += bytes.size();
}

void put_hash(char*& at, const hash128& h) noexcept {
    put(at, h.lo);
    put(at, h.hi);
}

// Of everything but the tag itself.
std::array<char, envelope_cipher::tag_size> checksum(std::span<const char> all) {
    const hash128 head = hash_key({all.data(), head_size});
    const hash128 rest = hash_key({all.data() + facts_at, all.size() - facts_at});
    std::array<char, 32> both{};
    char* at = both.data();
    put_hash(at, head);
    put_hash(at, rest);
    std::array<char, envelope_cipher::tag_size> out{};
    at = out.data();
    put_hash(at, hash_key({both.data(), both.size()}));
    return out;
}

}  // namespace

std::string write_envelope(const envelope& e, std::uint64_t number, envelope_cipher* cipher) {
    constexpr std::size_t most = std::numeric_limits<std::uint32_t>::max();
    if (e.key.size() > most || e.body.size() > most) return {};
    std::string out(facts_at + facts_size + e.key.size() + e.body.size(), '\0');
    char* at = out.data();
    put_bytes(at, magic);
    put(at, format);
    put(at, cipher ? is_sealed : std::uint8_t{0});
    put(at, std::uint16_t{0});
    put(at, cipher ? cipher->key_id() : std::uint64_t{0});
    put_bytes(at, {e.filler.data(), e.filler.size()});
    put(at, number);
    at = out.data() + facts_at;
    put(at, e.filled.count());
    put(at, e.ttl.count());
    put(at, e.rows);
    put_hash(at, e.versions);
    put(at, e.catalog);
    put(at, e.wal_position);
    put(at, e.wal_history);
    put(at, static_cast<std::uint32_t>(e.key.size()));
    put(at, static_cast<std::uint32_t>(e.body.size()));
    put_bytes(at, e.key);
    put_bytes(at, e.body);
    char* tag = out.data() + head_size;
    if (cipher) {
        const std::span text{out.data() + facts_at, out.size() - facts_at};
        if (!cipher->seal(e.filler, number, {out.data(), head_size}, text, tag)) return {};
    } else {
        const auto sum = checksum(out);
        std::memcpy(tag, sum.data(), sum.size());
    }
    return out;
}

envelope_fault read_envelope(std::span<char> bytes, std::string_view key, envelope_cipher* cipher,
                             envelope& out) {
    if (bytes.size() < facts_at + facts_size) return envelope_fault::malformed;
    const char* at = bytes.data();
    if (std::string_view{at, magic.size()} != magic) return envelope_fault::malformed;
    at += magic.size();
    std::uint8_t version = 0, flags = 0;
    std::uint16_t zero = 0;
    std::uint64_t key_id = 0, number = 0;
    take(at, version);
    take(at, flags);
    take(at, zero);
    take(at, key_id);
    std::memcpy(out.filler.data(), at, out.filler.size());
    at += out.filler.size();
    take(at, number);
    if (version != format || flags > is_sealed || zero != 0) return envelope_fault::malformed;
    if ((flags == is_sealed) != (cipher != nullptr) || key_id != (cipher ? cipher->key_id() : 0))
        return envelope_fault::other_cipher;
    const std::string_view head{bytes.data(), head_size};
    const char* tag = bytes.data() + head_size;
    if (cipher) {
        if (!cipher->open(out.filler, number, head, bytes.subspan(facts_at), tag))
            return envelope_fault::damaged;
    } else {
        const auto sum = checksum(bytes);
        if (std::memcmp(sum.data(), tag, sum.size()) != 0) return envelope_fault::damaged;
    }
    at = bytes.data() + facts_at;
    std::int64_t filled = 0, ttl = 0;
    std::uint32_t key_size = 0, body_size = 0;
    take(at, filled);
    take(at, ttl);
    take(at, out.rows);
    take(at, out.versions.lo);
    take(at, out.versions.hi);
    take(at, out.catalog);
    take(at, out.wal_position);
    take(at, out.wal_history);
    take(at, key_size);
    take(at, body_size);
    out.filled = std::chrono::microseconds{filled};
    out.ttl = std::chrono::milliseconds{ttl};
    const std::uint64_t left = bytes.size() - facts_at - facts_size;
    if (std::uint64_t{key_size} + body_size != left) return envelope_fault::malformed;
    out.key = {at, key_size};
    out.body = {at + key_size, body_size};
    // Its name is a hash of the key: that another key has the same one must be no more than a miss.
    return out.key == key ? envelope_fault::none : envelope_fault::other_key;
}

hash128 version_stamp(std::span<const dependency> tables) {
    std::vector<std::uint64_t> all;
    all.reserve(tables.size() * 2);
    for (const auto& t : tables) {
        all.push_back(reinterpret_cast<std::uintptr_t>(t.table));
        all.push_back(t.version);
    }
    return hash_key({reinterpret_cast<const char*>(all.data()), all.size() * sizeof all[0]});
}

}  // namespace pgsidecar::cache
