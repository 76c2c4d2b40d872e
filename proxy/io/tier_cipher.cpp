#include "proxy/io/tier_cipher.h"

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <optional>
#include <stdexcept>

#include "protocol/base64.h"
#include "proxy/io/crypto.h"

namespace pgsidecar::io {
namespace {

constexpr std::size_t key_size = 32;
constexpr std::size_t nonce_size = 12;
constexpr std::size_t largest_file = 4096;

unsigned char* octets(char* text) { return reinterpret_cast<unsigned char*>(text); }
const unsigned char* octets(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

std::string derive(std::string_view key, std::string_view purpose) {
    return openssl_crypto().hmac_sha256(key, purpose);
}

std::string read_file(const std::string& path, const char* what) {
    std::ifstream in{std::filesystem::path{path}, std::ios::binary};
    std::string text(largest_file, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    if (!in.is_open() || in.bad())
        throw std::runtime_error(std::string{what} + " " + path + " cannot be read");
    text.resize(static_cast<std::size_t>(in.gcount()));
    return text;
}

std::string_view without_end(std::string_view text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r' || text.back() == ' '))
        text.remove_suffix(1);
    return text;
}

std::optional<std::string> from_hex(std::string_view text) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    if (text.size() % 2 != 0) return std::nullopt;
    for (std::size_t i = 0; i < text.size(); i += 2) {
        unsigned value = 0;
        for (char c : text.substr(i, 2)) {
            if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
            const auto digit = digits.find(c);
            if (digit == std::string_view::npos) return std::nullopt;
            value = value * 16 + static_cast<unsigned>(digit);
        }
        out.push_back(static_cast<char>(value));
    }
    return out;
}

}  // namespace

std::string hex(std::string_view bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    for (const char c : bytes) {
        const auto byte = static_cast<unsigned char>(c);
        out.push_back(digits[byte >> 4U]);
        out.push_back(digits[byte & 15U]);
    }
    return out;
}

tier_cipher::tier_cipher(std::string_view key)
    : key_{derive(key, "pgsidecar entry")}, name_key_{derive(key, "pgsidecar name")} {
    const auto id = derive(key, "pgsidecar key id");
    std::memcpy(&key_id_, id.data(), sizeof key_id_);
    if (key_id_ == 0) key_id_ = 1;
}

std::string tier_cipher::name_of(std::string_view key) const {
    return hex(std::string_view{derive(name_key_, key)}.substr(0, 16));
}

bool tier_cipher::begin(const cache::instance_id& filler, std::uint64_t number,
                        std::string_view head, std::size_t size, bool sealing) {
    constexpr std::size_t most = std::numeric_limits<int>::max();
    if (!context_ || size > most) return false;
    const auto key = derive(key_, {filler.data(), filler.size()});
    std::array<char, nonce_size> nonce{};
    for (std::size_t i = 0; i < sizeof number; ++i)
        nonce[i] = static_cast<char>(number >> (8U * i) & 0xffU);
    int done = 0;
    return EVP_CipherInit_ex(context_.get(), EVP_aes_256_gcm(), nullptr, octets(key),
                             octets(nonce.data()), sealing ? 1 : 0) == 1 &&
           EVP_CipherUpdate(context_.get(), nullptr, &done, octets(head),
                            static_cast<int>(head.size())) == 1;
}

bool tier_cipher::seal(const cache::instance_id& filler, std::uint64_t number,
                       std::string_view head, std::span<char> text, char* tag) {
    int done = 0;
    return begin(filler, number, head, text.size(), true) &&
           EVP_EncryptUpdate(context_.get(), octets(text.data()), &done, octets(text.data()),
                             static_cast<int>(text.size())) == 1 &&
           EVP_EncryptFinal_ex(context_.get(), octets(text.data()) + done, &done) == 1 &&
           EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_GCM_GET_TAG, tag_size, tag) == 1;
}

bool tier_cipher::open(const cache::instance_id& filler, std::uint64_t number,
                       std::string_view head, std::span<char> text, const char* tag) {
    std::array<char, tag_size> expected{};
    std::memcpy(expected.data(), tag, tag_size);
    int done = 0;
    return begin(filler, number, head, text.size(), false) &&
           EVP_DecryptUpdate(context_.get(), octets(text.data()), &done, octets(text.data()),
                             static_cast<int>(text.size())) == 1 &&
           EVP_CIPHER_CTX_ctrl(context_.get(), EVP_CTRL_GCM_SET_TAG, tag_size, expected.data()) ==
               1 &&
           EVP_DecryptFinal_ex(context_.get(), octets(text.data()) + done, &done) == 1;
}

std::string read_tier_key(const std::string& path) {
    auto text = read_file(path, "encryption_key_file");
    if (text.size() == key_size) return text;
    const auto line = without_end(text);
    if (line.size() == 2 * key_size) {
        if (auto key = from_hex(line)) return *key;
    }
    std::string key;
    if (!protocol::base64_decode(line, key) && key.size() == key_size) return key;
    throw std::runtime_error("encryption_key_file " + path +
                             " holds no key: 32 bytes, as they are, as 64 hexadecimal digits, or "
                             "in base64");
}

std::string read_password(const std::string& path) {
    const auto text = read_file(path, "redis_password_file");
    return std::string{without_end(std::string_view{text}.substr(0, text.find('\n')))};
}

}  // namespace pgsidecar::io
