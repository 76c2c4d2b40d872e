#include "proxy/io/crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/objects.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <stdexcept>
#include <string_view>

namespace pgsidecar::io {
namespace {

const unsigned char* octets(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* octets(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

std::string sha256(std::string_view text) {
    std::string out(SHA256_DIGEST_LENGTH, '\0');
    SHA256(octets(text), text.size(), octets(out));
    return out;
}

std::string hmac_sha256(std::string_view key, std::string_view text) {
    std::string out(SHA256_DIGEST_LENGTH, '\0');
    HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), octets(text), text.size(),
         octets(out), nullptr);
    return out;
}

bool equal(std::string_view a, std::string_view b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string pbkdf2_sha256(std::string_view password, std::string_view salt,
                          std::uint32_t iterations) {
    std::string out(SHA256_DIGEST_LENGTH, '\0');
    PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()), octets(salt),
                      static_cast<int>(salt.size()), static_cast<int>(iterations), EVP_sha256(),
                      SHA256_DIGEST_LENGTH, octets(out));
    return out;
}

// By EVP, for the plain function is deprecated. A system in FIPS mode has none: then nobody can log
// in by MD5.
std::string md5_hex(std::string_view text) {
    std::string raw(EVP_MAX_MD_SIZE, '\0'), out;
    unsigned size = 0;
    if (EVP_Digest(text.data(), text.size(), octets(raw), &size, EVP_md5(), nullptr) != 1)
        return out;
    constexpr std::string_view digits = "0123456789abcdef";
    for (unsigned i = 0; i < size; ++i) {
        const auto byte = static_cast<unsigned char>(raw[i]);
        out.push_back(digits[byte >> 4]);
        out.push_back(digits[byte & 15]);
    }
    return out;
}

constexpr core::crypto functions{sha256, hmac_sha256, pbkdf2_sha256, md5_hex, equal};

}  // namespace

const core::crypto& openssl_crypto() noexcept { return functions; }

std::string tls_server_end_point(const X509* certificate) {
    int hash = NID_undef;
    if (!certificate ||
        OBJ_find_sigid_algs(X509_get_signature_nid(certificate), &hash, nullptr) != 1 ||
        hash == NID_undef)
        return {};
    if (hash == NID_md5 || hash == NID_sha1) hash = NID_sha256;
    const EVP_MD* function = EVP_get_digestbynid(hash);
    std::string out(EVP_MAX_MD_SIZE, '\0');
    unsigned int size = 0;
    if (!function || X509_digest(certificate, function, octets(out), &size) != 1) return {};
    out.resize(size);
    return out;
}

std::string random_bytes(std::size_t count) {
    std::string out(count, '\0');
    if (RAND_bytes(octets(out), static_cast<int>(count)) != 1)
        throw std::runtime_error("OpenSSL has no random numbers");
    return out;
}

}  // namespace pgsidecar::io
