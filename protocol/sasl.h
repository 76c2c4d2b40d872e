// SASL as PostgreSQL uses it: the list of mechanisms and the four texts of a SCRAM-SHA-256
// exchange, without any cryptography. A text is what sasl_initial_response, authentication.data and
// sasl_response carry; parse() and write() are exact inverses, and the views that the signatures
// are computed over (gs2_header, bare, without_proof) are the peer's own bytes. Views live as long
// as the text. Order: client-first, server-first, client-final, server-final. RFC 5802 section 7,
// RFC 7677; PostgreSQL: "SASL Authentication".
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "protocol/base64.h"
#include "protocol/bytes.h"
#include "protocol/lists.h"

namespace pgsidecar::protocol {

inline constexpr std::string_view scram_sha_256 = "SCRAM-SHA-256";
inline constexpr std::string_view scram_sha_256_plus = "SCRAM-SHA-256-PLUS";

// PostgreSQL's nonces have 24 characters on either side.
inline constexpr std::size_t max_scram_nonce = 1024;  // characters, both parts together
inline constexpr std::size_t max_scram_text = 8192;   // of any of the four texts
inline constexpr std::size_t scram_key_size = 32;     // bytes of a proof and of a verifier

// AuthenticationSASL's data: names, each closed by a zero byte, and one more zero byte at the end.
[[nodiscard]] std::string_view read_mechanism(reader& in) noexcept;

class mechanism_list {
  public:
    using iterator = list_iterator<std::string_view, read_mechanism>;
    [[nodiscard]] iterator begin() const noexcept { return iterator{names_}; }
    [[nodiscard]] iterator end() const noexcept { return iterator{}; }
    [[nodiscard]] bool contains(std::string_view name) const noexcept;
    bool operator==(const mechanism_list&) const = default;

  private:
    friend std::error_code parse(bytes data, mechanism_list& out) noexcept;
    bytes names_;  // without the last zero byte
};

// An empty list is bad: there would be nothing to choose.
[[nodiscard]] std::error_code parse(bytes data, mechanism_list& out) noexcept;

// The whole AuthenticationSASL message.
void write_sasl_mechanisms(std::string& out, std::span<const std::string_view> names);

struct scram_client_first {
    char binding = 'n';             // 'n' no channel binding, 'y' server lacks it, 'p' used
    std::string_view binding_name;  // of 'p': "tls-server-end-point"
    std::string_view authzid;       // escaped; PostgreSQL refuses any
    std::string_view username;      // escaped; PostgreSQL ignores it, so clients may leave it empty
    std::string_view nonce;
    std::string_view extensions;  // "x=...,y=...", without the leading comma

    std::string_view gs2_header;  // with its last comma. Not read by write().
    std::string_view bare;        // all behind it. Not read by write().
    bool operator==(const scram_client_first&) const = default;
};

struct scram_server_first {
    std::string_view
        nonce;              // the client's part and the server's: check that it begins as it should
    std::string_view salt;  // base64, not empty
    std::uint32_t iterations = 0;  // 1 to 2^31-1; what is too costly is for the caller to say
    std::string_view extensions;
    bool operator==(const scram_server_first&) const = default;
};

struct scram_client_final {
    std::string_view channel_binding;  // base64 of the gs2 header and, with 'p', the binding data
    std::string_view nonce;
    std::string_view extensions;
    std::string_view proof;  // base64 of scram_key_size bytes

    std::string_view without_proof;  // all before ",p=". Not read by write().
    bool operator==(const scram_client_final&) const = default;
};

struct scram_server_final {
    std::string_view verifier;  // base64 of scram_key_size bytes; empty when there is an error
    std::string_view error;     // empty when there is a verifier
    std::string_view extensions;
    bool operator==(const scram_server_final&) const = default;
};

[[nodiscard]] std::error_code parse(bytes text, scram_client_first& out) noexcept;
[[nodiscard]] std::error_code parse(bytes text, scram_server_first& out) noexcept;
[[nodiscard]] std::error_code parse(bytes text, scram_client_final& out) noexcept;
[[nodiscard]] std::error_code parse(bytes text, scram_server_final& out) noexcept;

void write(std::string& out, const scram_client_first& m);
void write(std::string& out, const scram_server_first& m);
void write(std::string& out, const scram_client_final& m);
void write(std::string& out, const scram_server_final& m);

// Names inside a text: ',' is "=2C" and '=' is "=3D".
[[nodiscard]] std::string scram_escape(std::string_view name);
[[nodiscard]] std::error_code scram_unescape(std::string_view name, std::string& out) noexcept;

}  // namespace pgsidecar::protocol
