// What lies in a shared tier: what was written is read again, and anything else is nothing.
#include "cache/envelope.h"

#include <doctest/doctest.h>

#include <memory>

#include "tests/cache/support.h"

using namespace cache_test;
using pgsidecar::cache::envelope;
using pgsidecar::cache::envelope_cipher;
using pgsidecar::cache::envelope_fault;
using pgsidecar::cache::instance_id;
using pgsidecar::cache::read_envelope;
using pgsidecar::cache::version_stamp;
using pgsidecar::cache::write_envelope;

namespace {

// Enough of a cipher to see that all of it is used: the text is masked by key, filler and number,
// the tag hashes everything.
class toy_cipher : public envelope_cipher {
  public:
    explicit toy_cipher(char key) : key_{key} {}
    std::uint64_t key_id() const noexcept override { return static_cast<unsigned char>(key_); }
    bool seal(const instance_id& filler, std::uint64_t number, std::string_view head,
              std::span<char> text, char* tag) override {
        mask(filler, number, text);
        const auto sum = sum_of(head, text);
        std::copy(sum.begin(), sum.end(), tag);
        return !broken;
    }
    bool open(const instance_id& filler, std::uint64_t number, std::string_view head,
              std::span<char> text, const char* tag) override {
        if (sum_of(head, text) != std::string{tag, tag_size}) return false;
        mask(filler, number, text);
        return true;
    }
    bool broken = false;

  private:
    void mask(const instance_id& filler, std::uint64_t number, std::span<char> text) const {
        for (auto& c : text)
            c = static_cast<char>(c ^ key_ ^ filler[0] ^ static_cast<char>(number));
    }
    std::string sum_of(std::string_view head, std::span<char> text) const {
        const auto h = hash_key(std::string{key_}.append(head).append(text.data(), text.size()));
        std::string out(tag_size, '\0');
        for (unsigned i = 0; i < 8; ++i) {
            out[i] = static_cast<char>(h.lo >> (8 * i));
            out[8 + i] = static_cast<char>(h.hi >> (8 * i));
        }
        return out;
    }
    char key_;
};

constexpr instance_id somebody{'a', 'b', 'c'};

envelope sample() {
    return {.key = "key",
            .body = "body of it",
            .rows = 7,
            .filler = somebody,
            .filled = 1'700'000'000'123'456us,
            .ttl = 300'000ms,
            .versions = {1, 2},
            .catalog = 3,
            .wal_position = 0x1234'5678'9abc'def0,
            .wal_history = 0xfedc'ba98'7654'3210};
}

// A heap copy of just that size.
envelope_fault read(std::string_view bytes, std::string_view key, envelope_cipher* cipher,
                    envelope& out, std::string* body = nullptr) {
    const std::unique_ptr<char[]> exact{new char[bytes.size()]};
    std::copy(bytes.begin(), bytes.end(), exact.get());
    const auto fault = read_envelope({exact.get(), bytes.size()}, key, cipher, out);
    if (fault == envelope_fault::none && body) *body = out.body;
    return fault;
}

}  // namespace

TEST_CASE("envelope: what was written is read, with a cipher and without") {
    toy_cipher cipher{'k'};
    for (envelope_cipher* with :
         {static_cast<envelope_cipher*>(nullptr), static_cast<envelope_cipher*>(&cipher)}) {
        auto bytes = write_envelope(sample(), 9, with);
        CHECK((bytes.find("body of it") == std::string::npos) == (with != nullptr));
        envelope out;
        REQUIRE(read_envelope(bytes, "key", with, out) == envelope_fault::none);
        const auto want = sample();
        CHECK(out.key == want.key);
        CHECK(out.body == want.body);
        CHECK(out.rows == want.rows);
        CHECK(out.filler == want.filler);
        CHECK(out.filled == want.filled);
        CHECK(out.ttl == want.ttl);
        CHECK(out.versions == want.versions);
        CHECK(out.catalog == want.catalog);
        CHECK(out.wal_position == want.wal_position);
        CHECK(out.wal_history == want.wal_history);
    }
}

TEST_CASE("envelope: every strict prefix, one byte too many and every flipped bit is nothing") {
    toy_cipher cipher{'k'};
    for (envelope_cipher* with :
         {static_cast<envelope_cipher*>(nullptr), static_cast<envelope_cipher*>(&cipher)}) {
        const auto bytes = write_envelope(sample(), 9, with);
        envelope out;
        for (std::size_t size = 0; size < bytes.size(); ++size) {
            CAPTURE(size);
            CHECK(read(std::string_view{bytes}.substr(0, size), "key", with, out) !=
                  envelope_fault::none);
        }
        CHECK(read(bytes + '\0', "key", with, out) != envelope_fault::none);
        for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
            CAPTURE(bit);
            auto harmed = bytes;
            harmed[bit / 8] = static_cast<char>(harmed[bit / 8] ^ 1 << bit % 8);
            CHECK(read(harmed, "key", with, out) != envelope_fault::none);
        }
    }
}

TEST_CASE("envelope: each fault is named") {
    toy_cipher mine{'k'}, other{'o'};
    const auto plain = write_envelope(sample(), 1, nullptr);
    const auto sealed = write_envelope(sample(), 1, &mine);
    envelope out;
    CHECK(read(plain, "key2", nullptr, out) == envelope_fault::other_key);
    CHECK(read(plain, "", nullptr, out) == envelope_fault::other_key);
    CHECK(read(sealed, "other", &mine, out) == envelope_fault::other_key);
    CHECK(read(sealed, "key", &other, out) == envelope_fault::other_cipher);
    CHECK(read(sealed, "key", nullptr, out) == envelope_fault::other_cipher);
    // Where keys are used nobody without one can put anything.
    CHECK(read(plain, "key", &mine, out) == envelope_fault::other_cipher);
    CHECK(read("", "key", nullptr, out) == envelope_fault::malformed);
    CHECK(read(std::string(1000, 'x'), "key", nullptr, out) == envelope_fault::malformed);
    auto harmed = plain;
    harmed.back() = static_cast<char>(harmed.back() ^ 1);
    CHECK(read(harmed, "key", nullptr, out) == envelope_fault::damaged);
}

TEST_CASE("envelope: an empty body and an empty key are as good as others") {
    auto e = sample();
    e.key = e.body = {};
    envelope out;
    std::string body{"x"};
    CHECK(read(write_envelope(e, 1, nullptr), "", nullptr, out, &body) == envelope_fault::none);
    CHECK(body.empty());
}

TEST_CASE("envelope: what cannot be sealed is not written") {
    toy_cipher cipher{'k'};
    cipher.broken = true;
    CHECK(write_envelope(sample(), 1, &cipher).empty());
}

TEST_CASE("envelope: the stamp of versions tells tables apart, not only their sum") {
    table_state a, b;
    const auto before = version_stamp(observed({&a, &b}));
    CHECK(before == version_stamp(observed({&a, &b})));
    a.bump();
    const auto first = version_stamp(observed({&a, &b}));
    CHECK(first != before);
    table_state c, d;
    d.bump();
    CHECK(version_stamp(observed({&c, &d})) != version_stamp(observed({&d, &c})));
    b.bump();
    CHECK(version_stamp(observed({&a})) != version_stamp(observed({&a, &b})));
    CHECK(version_stamp(observed({&a})) != version_stamp(observed({&b})));
}
