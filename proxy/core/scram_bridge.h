// Both halves of a SCRAM-SHA-256 log-in at once: the client proves its password to us, and with the
// key that its proof shows we prove it to the server. Needed where both legs are under TLS: a proof
// is bound to the certificate that the client saw, which is ours and not the server's. It takes the
// user's stored secret (pg_authid.rolpassword) to read the proof; the password is never known.
//
// What the client is shown, salt and iterations, is what the server showed; the server shows some
// for unknown users too. A wrong proof becomes a wrong proof, so the refusal and the line in the
// server's log are the server's own, and take as long.
//
// One object for one log-in. Order: begin(), then each message of either side as it comes; what is
// to be sent is appended. RFC 5802, RFC 7677; channel binding: RFC 5929, tls-server-end-point.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/backend.h"

namespace pgsidecar::core {

// What of cryptography a log-in needs. Digests are 32 bytes.
struct crypto {
    std::string (*sha256)(std::string_view text);
    std::string (*hmac_sha256)(std::string_view key, std::string_view text);
    bool (*equal)(std::string_view a, std::string_view b);  // in time that tells nothing
};

struct credentials {
    bool answered = false;       // false: nobody could be asked for the secret
    std::string secret;          // as the server stores it; empty: it has none, or no such user
    std::string client_binding;  // tls-server-end-point of the certificate that the client saw
    std::string server_binding;  // and of the server's; empty: no channel binding there
    std::string random;          // at least random_size bytes that nobody can guess
    static constexpr std::size_t random_size = 68;
};

class scram_bridge {
  public:
    struct fault {
        std::string_view sqlstate;
        std::string_view message;
    };
    using outcome = std::optional<fault>;

    scram_bridge(const crypto& functions, credentials given);
    void begin(std::string& to_server);
    [[nodiscard]] outcome on_server(const protocol::authentication& m, std::string& to_client);
    [[nodiscard]] outcome on_client(protocol::bytes body, std::string& to_client,
                                    std::string& to_server);

  private:
    enum class stage : std::uint8_t {
        server_first,
        client_first,
        client_final,
        server_final,
        done
    };

    [[nodiscard]] outcome on_server_first(protocol::bytes text, std::string& to_client);
    [[nodiscard]] outcome on_server_final(protocol::bytes text, std::string& to_client);
    [[nodiscard]] outcome on_client_first(protocol::bytes body, std::string& to_client);
    [[nodiscard]] outcome on_client_final(protocol::bytes body, std::string& to_server);
    void read_secret();
    [[nodiscard]] std::string client_key(const std::string& proof) const;
    void prove(const std::string& key, std::string& to_server);

    const crypto& functions_;
    credentials given_;
    stage stage_ = stage::server_first;
    bool proved_ = false;
    std::uint32_t iterations_ = 0;
    std::string salt_;                     // as the server shows them
    std::string stored_key_, server_key_;  // of the secret; empty if it cannot be used

    // Of the log-in at the server, where we are the client, and of the client's at us.
    struct half {
        std::string header, first_bare, server_first, nonce, without_proof;
        [[nodiscard]] std::string signed_text() const {
            return first_bare + "," + server_first + "," + without_proof;
        }
    };
    half upstream_, client_;
};

}  // namespace pgsidecar::core
