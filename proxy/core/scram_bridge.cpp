#include "proxy/core/scram_bridge.h"

#include <utility>

#include "protocol/sasl.h"

namespace pgsidecar::core {
namespace {

constexpr login_fault malformed{"08P01", "malformed SCRAM message"};
constexpr login_fault bad_server{"08P01",
                                 "the server sent an unexpected SCRAM message during log-in"};
constexpr login_fault false_server{
    "08001", "the server did not prove that it knows the password: it may not be the right one"};

}  // namespace

scram_bridge::scram_bridge(const crypto& functions, credentials given)
    : scram_bridge{functions, std::move(given),
                   // How the keys came from the password is for the client to know; the server
                   // shows it.
                   read_scram_secret(given.secret).value_or(scram_secret{})} {}

scram_bridge::scram_bridge(const crypto& functions, credentials&& given, const scram_secret& secret)
    : random_{std::move(given.random)},
      server_key_{secret.server_key},
      prover_{functions, std::move(given.server_binding),
              std::string_view{random_}.substr(0, scram_nonce_size)},
      verifier_{functions, secret.stored_key, secret.server_key, std::move(given.client_binding),
                std::string_view{random_}.substr(scram_nonce_size, scram_nonce_size)} {}

scram_bridge::outcome scram_bridge::on_server(const protocol::authentication& m,
                                              std::string& to_client) {
    if (stage_ == stage::server_first && m.kind == protocol::auth_kind::sasl_continue) {
        if (!prover_.on_first(m.data)) return bad_server;
        verifier_.offer(to_client);
        stage_ = stage::client_first;
        return std::nullopt;
    }
    if (stage_ == stage::server_final && m.kind == protocol::auth_kind::sasl_final) {
        if (!prover_.on_final(m.data, server_key_)) return false_server;
        verifier_.end(to_client);
        stage_ = stage::done;
        return std::nullopt;
    }
    return bad_server;
}

scram_bridge::outcome scram_bridge::on_client(protocol::bytes body, std::string& to_client,
                                              std::string& to_server) {
    outcome out = malformed;
    if (stage_ == stage::client_first) {
        out = verifier_.on_first(body, prover_.salt(), prover_.iterations(), to_client);
        stage_ = stage::client_final;
    } else if (stage_ == stage::client_final) {
        std::string key;
        out = verifier_.on_final(body, key);
        if (!out)
            prover_.prove(
                key,
                std::string_view{random_}.substr(2 * scram_nonce_size, protocol::scram_key_size),
                to_server);
        stage_ = stage::server_final;
    }
    return out;
}

}  // namespace pgsidecar::core
