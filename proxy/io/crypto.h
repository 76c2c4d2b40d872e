// OpenSSL's part in a SCRAM log-in: what core::scram_bridge computes with, and the channel binding
// of a certificate. RFC 5802; RFC 5929, section 4.
#pragma once
#include <openssl/x509.h>

#include <string>

#include "proxy/core/scram_bridge.h"

namespace pgsidecar::io {

[[nodiscard]] const core::crypto& openssl_crypto() noexcept;

// The certificate's hash by its signature's own hash function, SHA-256 in place of MD5 and SHA-1.
// Empty for a null certificate and for one whose signature has no hash function (Ed25519): there is
// no channel binding then.
[[nodiscard]] std::string tls_server_end_point(const X509* certificate);

[[nodiscard]] std::string random_bytes(std::size_t count);

}  // namespace pgsidecar::io
