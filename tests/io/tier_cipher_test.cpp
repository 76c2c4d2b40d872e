// What seals a shared tier's entries, the files that keys come from, and where a cluster keeps a
// name.
#include "proxy/io/tier_cipher.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <set>
#include <stdexcept>

#include "protocol/base64.h"
#include "proxy/io/redis_engine.h"

using namespace pgsidecar;
using namespace std::chrono_literals;
using io::tier_cipher;

namespace {

const std::string key_one(32, '\1'), key_two(32, '\2');
constexpr cache::instance_id filler{'a', 'b'};

struct file {
    explicit file(const std::string& text) {
        std::string pattern = "/tmp/pgsidecar-key-XXXXXX";
        const int handle = mkstemp(pattern.data());
        REQUIRE(handle >= 0);
        path = pattern;
        std::ofstream{path, std::ios::binary} << text;
        ::close(handle);
    }
    ~file() { std::remove(path.c_str()); }
    std::string path;
};

cache::envelope sample() {
    return {.key = "key", .body = "a body of some length", .filler = filler, .ttl = 5min};
}

}  // namespace

TEST_CASE("tier cipher: sealed is opened, and every flipped bit is nothing") {
    tier_cipher cipher{key_one};
    const auto sealed = cache::write_envelope(sample(), 1, &cipher);
    REQUIRE(!sealed.empty());
    CHECK(sealed.find("body") == std::string::npos);
    auto copy = sealed;
    cache::envelope out;
    REQUIRE(cache::read_envelope(copy, "key", &cipher, out) == cache::envelope_fault::none);
    CHECK(out.body == sample().body);
    for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
        CAPTURE(bit);
        copy = sealed;
        copy[bit / 8] = static_cast<char>(copy[bit / 8] ^ 1 << bit % 8);
        CHECK(cache::read_envelope(copy, "key", &cipher, out) != cache::envelope_fault::none);
    }
}

TEST_CASE("tier cipher: another key opens nothing, and another process with the same one does") {
    tier_cipher one{key_one}, same{key_one}, two{key_two};
    CHECK(one.key_id() == same.key_id());
    CHECK(one.key_id() != two.key_id());
    auto sealed = cache::write_envelope(sample(), 1, &one);
    cache::envelope out;
    CHECK(cache::read_envelope(sealed, "key", &two, out) == cache::envelope_fault::other_cipher);
    CHECK(cache::read_envelope(sealed, "key", &same, out) == cache::envelope_fault::none);
}

TEST_CASE("tier cipher: the same text sealed twice, or by two processes, is never the same") {
    tier_cipher cipher{key_one};
    std::set<std::string> seen;
    for (std::uint64_t number = 1; number <= 3; ++number) {
        auto e = sample();
        seen.insert(cache::write_envelope(e, number, &cipher).substr(56));
        e.filler = {'z'};
        seen.insert(cache::write_envelope(e, number, &cipher).substr(56));
    }
    CHECK(seen.size() == 6);
}

TEST_CASE("tier cipher: names depend on the key, and tell nothing") {
    tier_cipher one{key_one}, same{key_one}, two{key_two};
    CHECK(one.name_of("SELECT 1").size() == 32);
    CHECK(one.name_of("SELECT 1") == same.name_of("SELECT 1"));
    CHECK(one.name_of("SELECT 1") != one.name_of("SELECT 2"));
    CHECK(one.name_of("SELECT 1") != two.name_of("SELECT 1"));
}

TEST_CASE("key files: as they are, in hexadecimal, in base64, and nothing else") {
    std::string key;
    for (int i = 0; i < 32; ++i) key.push_back(static_cast<char>(i * 8));
    const auto base64 = protocol::base64_encode(key);
    for (const auto& text : {key, io::hex(key), io::hex(key) + "\n", base64, base64 + "\r\n"})
        CHECK(io::read_tier_key(file{text}.path) == key);
    for (const auto& text :
         {std::string{}, key.substr(1), key + "x", io::hex(key).substr(2), io::hex(key) + "0",
          base64.substr(1), std::string(64, 'g'), std::string(10'000, 'a')}) {
        const file f{text};
        CAPTURE(text.size());
        try {
            (void)io::read_tier_key(f.path);
            FAIL_CHECK("accepted");
        } catch (const std::runtime_error& e) {
            const std::string what = e.what();
            CHECK(what.find(f.path) != std::string::npos);
            if (text.size() > 8) CHECK(what.find(text.substr(0, 8)) == std::string::npos);
        }
    }
    CHECK_THROWS_AS((void)io::read_tier_key("/nowhere/at/all"), std::runtime_error);
    CHECK(io::read_password(file{"open sesame\nnot this"}.path) == "open sesame");
}

TEST_CASE("cluster slots: as redis has them, with and without braces") {
    // By CLUSTER KEYSLOT.
    CHECK(io::cluster_slot("123456789") == 12739);
    CHECK(io::cluster_slot("foo") == 12182);
    CHECK(io::cluster_slot("") == 0);
    CHECK(io::cluster_slot("{foo}:1") == io::cluster_slot("foo"));
    CHECK(io::cluster_slot("a{foo}b{bar}") == io::cluster_slot("foo"));
    CHECK(io::cluster_slot("{}foo") != io::cluster_slot("foo"));
    CHECK(io::cluster_slot("{foo") != io::cluster_slot("foo"));
}
