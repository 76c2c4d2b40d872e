// OpenSSL contexts from settings, one for each leg. Made at start (and at a reload), shared by all
// workers; a connection takes an SSL object from one and keeps it alive.
#pragma once
#include <memory>
#include <string>

#include "config/settings.h"
#include "proxy/io/transport.h"

namespace pgsidecar::io {

struct ssl_ctx_free {
    void operator()(SSL_CTX* c) const noexcept { SSL_CTX_free(c); }
};
using ssl_ctx_ptr = std::shared_ptr<SSL_CTX>;

// Towards clients: certificate and key, client certificates for the verifying modes. Null when the
// mode is disable. Throws std::runtime_error naming the file and OpenSSL's reason.
[[nodiscard]] ssl_ctx_ptr make_client_side_tls(const config::tls_settings& wanted);
// Towards the server: verification as libpq's sslmode has it.
[[nodiscard]] ssl_ctx_ptr make_server_side_tls(const config::tls_settings& wanted);

// For one connection to `host`; verify-full checks its certificate's name or address.
[[nodiscard]] ssl_ptr new_server_side_session(SSL_CTX& context, config::tls_mode mode,
                                              const std::string& host);
[[nodiscard]] ssl_ptr new_client_side_session(SSL_CTX& context);

// Did the client agree on the protocol name that direct TLS requires (ALPN "postgresql")?
[[nodiscard]] bool agreed_on_postgresql(const SSL& tls);

// What channel binding binds to: the certificate that we showed, or were shown. Empty without one.
[[nodiscard]] std::string own_end_point(const SSL& tls);
[[nodiscard]] std::string peer_end_point(const SSL& tls);

// Why the last handshake failed: the certificate's fault first, else OpenSSL's reason.
[[nodiscard]] std::string tls_failure(const SSL& tls);

}  // namespace pgsidecar::io
