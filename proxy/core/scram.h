// The two halves of a SCRAM-SHA-256 exchange: one that checks a client's proof by a stored secret,
// and one that proves a key to a server. Neither knows a password. scram_bridge joins them; the
// authenticator uses the first and server_login the second alone.
// RFC 5802, RFC 7677; channel binding: RFC 5929, tls-server-end-point.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/bytes.h"

namespace pgsidecar::core {

// What of cryptography a log-in needs. Digests are 32 bytes.
struct crypto {
    std::string (*sha256)(std::string_view text);
    std::string (*hmac_sha256)(std::string_view key, std::string_view text);
    std::string (*pbkdf2_sha256)(std::string_view password, std::string_view salt,
                                 std::uint32_t iterations);
    std::string (*md5_hex)(std::string_view text);          // 32 lower-case digits
    bool (*equal)(std::string_view a, std::string_view b);  // in time that tells nothing
};

// Why a log-in ends; the texts are constant.
struct login_fault {
    std::string_view sqlstate;
    std::string_view message;
};
using login_outcome = std::optional<login_fault>;

inline constexpr std::size_t scram_nonce_size = 18;  // bytes, as PostgreSQL's

// "SCRAM-SHA-256$4096:salt$StoredKey:ServerKey", each but the number in base64.
struct scram_secret {
    std::uint32_t iterations = 0;
    std::string salt;  // base64
    std::string stored_key, server_key;
};
[[nodiscard]] std::optional<scram_secret> read_scram_secret(std::string_view text);

// Towards a client, whose proof it checks. Order: offer, on_first, on_final, then end() if it was
// right. `binding`: tls-server-end-point of the certificate that the client saw; empty: none.
class scram_verifier {
  public:
    // `nonce`: scram_nonce_size bytes that nobody can guess. Empty keys: no proof is right, and
    // checking one costs the same.
    scram_verifier(const crypto& functions, std::string stored_key, std::string server_key,
                   std::string binding, std::string_view nonce);

    void offer(std::string& to_client) const;
    // `salt` and `iterations` are what the client is to make its key with.
    [[nodiscard]] login_outcome on_first(protocol::bytes body, std::string_view salt,
                                         std::uint32_t iterations, std::string& to_client);
    // `client_key`: of the proof; empty if it is not the user's.
    [[nodiscard]] login_outcome on_final(protocol::bytes body, std::string& client_key);
    void end(std::string& to_client) const;  // the proof that the secret is known here

  private:
    [[nodiscard]] std::string signed_text() const {
        return first_bare_ + "," + server_first_ + "," + without_proof_;
    }
    const crypto& functions_;
    std::string stored_key_, server_key_, binding_, our_nonce_;
    std::string header_, first_bare_, server_first_, nonce_, without_proof_;
};

// Towards a server. Order: begin, on_first, prove, on_final. `binding`: of the server's
// certificate; empty: no channel binding.
class scram_prover {
  public:
    scram_prover(const crypto& functions, std::string binding, std::string_view nonce);

    void begin(std::string& to_server);
    // True: as it should be; salt() and iterations() say how the server's key was made.
    [[nodiscard]] bool on_first(protocol::bytes text);
    [[nodiscard]] const std::string& salt() const noexcept { return salt_; }  // base64
    [[nodiscard]] std::uint32_t iterations() const noexcept { return iterations_; }
    // An empty key: `anything`, 32 bytes, is sent in the place of a proof.
    void prove(const std::string& client_key, std::string_view anything, std::string& to_server);
    // True: the server knows the key that belongs to ours.
    [[nodiscard]] bool on_final(protocol::bytes text, std::string_view server_key) const;

  private:
    [[nodiscard]] std::string signed_text() const {
        return first_bare_ + "," + server_first_ + "," + without_proof_;
    }
    const crypto& functions_;
    std::string binding_, salt_;
    std::uint32_t iterations_ = 0;
    bool proved_ = false;
    std::string header_, first_bare_, server_first_, nonce_, without_proof_;
};

}  // namespace pgsidecar::core
