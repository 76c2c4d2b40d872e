// AES-256-GCM for entries of a shared tier, by a key from a file. Each process seals with a key of
// its own, derived from that one and its random instance id, and counts its nonces: none is ever
// used twice, however many processes there are. Names of entries are a keyed hash of what they
// stand for, since a plain one could be searched for the literals in a query. Used by one thread.
#pragma once
#include <openssl/evp.h>

#include <memory>
#include <string>
#include <string_view>

#include "cache/envelope.h"

namespace pgsidecar::io {

class tier_cipher : public cache::envelope_cipher {
  public:
    explicit tier_cipher(std::string_view key);  // 32 bytes
    [[nodiscard]] std::uint64_t key_id() const noexcept override { return key_id_; }
    [[nodiscard]] bool seal(const cache::instance_id& filler, std::uint64_t number,
                            std::string_view head, std::span<char> text, char* tag) override;
    [[nodiscard]] bool open(const cache::instance_id& filler, std::uint64_t number,
                            std::string_view head, std::span<char> text, const char* tag) override;
    // 32 hexadecimal digits.
    [[nodiscard]] std::string name_of(std::string_view key) const;

  private:
    struct context_free {
        void operator()(EVP_CIPHER_CTX* c) const noexcept { EVP_CIPHER_CTX_free(c); }
    };
    [[nodiscard]] bool begin(const cache::instance_id& filler, std::uint64_t number,
                             std::string_view head, std::size_t size, bool sealing);

    std::string key_, name_key_;
    std::uint64_t key_id_ = 0;
    std::unique_ptr<EVP_CIPHER_CTX, context_free> context_{EVP_CIPHER_CTX_new()};
};

// Throws std::runtime_error that names the file, and nothing of what is in it.
[[nodiscard]] std::string read_tier_key(const std::string& path);
[[nodiscard]] std::string read_password(const std::string& path);  // its first line

[[nodiscard]] std::string hex(std::string_view bytes);

}  // namespace pgsidecar::io
