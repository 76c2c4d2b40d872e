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
#include "proxy/core/scram.h"

namespace pgsidecar::core {

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
    using outcome = login_outcome;

    scram_bridge(const crypto& functions, credentials given);
    void begin(std::string& to_server) { prover_.begin(to_server); }
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

    scram_bridge(const crypto& functions, credentials&& given, const scram_secret& secret);

    std::string random_;
    std::string server_key_;
    stage stage_ = stage::server_first;
    scram_prover prover_;
    scram_verifier verifier_;
};

}  // namespace pgsidecar::core
