#include "proxy/core/scram_bridge.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "protocol/base64.h"
#include "protocol/frontend.h"
#include "protocol/sasl.h"

namespace pgsidecar::core {
namespace {

constexpr std::size_t nonce_size = 18;  // bytes, as PostgreSQL's
constexpr std::string_view binding_name = "tls-server-end-point";
constexpr std::string_view secret_prefix = "SCRAM-SHA-256$";

constexpr scram_bridge::fault malformed{"08P01", "malformed SCRAM message"};
constexpr scram_bridge::fault negotiation{"28000", "SCRAM channel binding negotiation error"};
constexpr scram_bridge::fault unbound{"28000", "SCRAM channel binding check failed"};
constexpr scram_bridge::fault unsupported{
    "0A000", "the client asks for a SCRAM extension or another identity, which is not supported"};
constexpr scram_bridge::fault bad_server{
    "08P01", "the server sent an unexpected SCRAM message during log-in"};
constexpr scram_bridge::fault false_server{
    "08001", "the server did not prove that it knows the password: it may not be the right one"};

std::string combined(std::string a, std::string_view b) {
    for (std::size_t i = 0; i < a.size() && i < b.size(); ++i)
        a[i] =
            static_cast<char>(static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]));
    return a;
}

// The next part of a secret, up to `end`, which is taken too.
std::string_view take(std::string_view& rest, char end) {
    const auto at = std::min(rest.find(end), rest.size());
    const auto part = rest.substr(0, at);
    rest.remove_prefix(std::min(at + 1, rest.size()));
    return part;
}

}  // namespace

scram_bridge::scram_bridge(const crypto& functions, credentials given)
    : functions_{functions}, given_{std::move(given)} {
    read_secret();
}

// "SCRAM-SHA-256$4096:salt$StoredKey:ServerKey", each but the number in base64.
void scram_bridge::read_secret() {
    std::string_view rest{given_.secret};
    if (!rest.starts_with(secret_prefix)) return;
    rest.remove_prefix(secret_prefix.size());
    // How the keys came from the password is for the client to know; the server shows it.
    (void)take(rest, '$');
    const auto stored = take(rest, ':');
    std::string stored_key, server_key;
    if (protocol::base64_decode(stored, stored_key) || protocol::base64_decode(rest, server_key) ||
        stored_key.size() != protocol::scram_key_size ||
        server_key.size() != protocol::scram_key_size)
        return;
    stored_key_ = std::move(stored_key);
    server_key_ = std::move(server_key);
}

void scram_bridge::begin(std::string& to_server) {
    const bool bound = !given_.server_binding.empty();
    const auto nonce =
        protocol::base64_encode(std::string_view{given_.random}.substr(0, nonce_size));
    protocol::scram_client_first m;
    m.binding = bound ? 'p' : 'n';
    if (bound) m.binding_name = binding_name;
    m.nonce = nonce;
    std::string text;
    protocol::write(text, m);
    if (protocol::parse(text, m)) return;  // for the views of what was written
    upstream_.header = m.gs2_header;
    upstream_.first_bare = m.bare;
    upstream_.nonce = nonce;
    protocol::write(to_server,
                    protocol::sasl_initial_response{
                        bound ? protocol::scram_sha_256_plus : protocol::scram_sha_256, text});
}

scram_bridge::outcome scram_bridge::on_server(const protocol::authentication& m,
                                              std::string& to_client) {
    if (stage_ == stage::server_first && m.kind == protocol::auth_kind::sasl_continue)
        return on_server_first(m.data, to_client);
    if (stage_ == stage::server_final && m.kind == protocol::auth_kind::sasl_final)
        return on_server_final(m.data, to_client);
    return bad_server;
}

scram_bridge::outcome scram_bridge::on_client(protocol::bytes body, std::string& to_client,
                                              std::string& to_server) {
    if (stage_ == stage::client_first) return on_client_first(body, to_client);
    if (stage_ == stage::client_final) return on_client_final(body, to_server);
    return malformed;
}

scram_bridge::outcome scram_bridge::on_server_first(protocol::bytes text, std::string& to_client) {
    protocol::scram_server_first m;
    if (protocol::parse(text, m) || !m.nonce.starts_with(upstream_.nonce) ||
        m.nonce.size() == upstream_.nonce.size())
        return bad_server;
    upstream_.server_first = text;
    upstream_.nonce = m.nonce;
    salt_ = m.salt;
    iterations_ = m.iterations;
    std::vector<std::string_view> offered;
    if (!given_.client_binding.empty()) offered.push_back(protocol::scram_sha_256_plus);
    offered.push_back(protocol::scram_sha_256);
    protocol::write_sasl_mechanisms(to_client, offered);
    stage_ = stage::client_first;
    return std::nullopt;
}

scram_bridge::outcome scram_bridge::on_client_first(protocol::bytes body, std::string& to_client) {
    protocol::sasl_initial_response chosen;
    protocol::scram_client_first m;
    if (protocol::parse(body, chosen) || !chosen.data || protocol::parse(*chosen.data, m))
        return malformed;
    const bool bound = chosen.mechanism == protocol::scram_sha_256_plus;
    if (!bound && chosen.mechanism != protocol::scram_sha_256) return malformed;
    if (bound && given_.client_binding.empty()) return malformed;
    if (bound != (m.binding == 'p') || (bound && m.binding_name != binding_name)) return malformed;
    // It believes that we cannot do what we offered: somebody changed the offer.
    if (m.binding == 'y' && !given_.client_binding.empty()) return negotiation;
    if (!m.authzid.empty() || m.extensions.starts_with("m=")) return unsupported;
    client_.header = m.gs2_header;
    client_.first_bare = m.bare;
    client_.nonce = m.nonce;
    client_.nonce +=
        protocol::base64_encode(std::string_view{given_.random}.substr(nonce_size, nonce_size));
    protocol::write(client_.server_first,
                    protocol::scram_server_first{client_.nonce, salt_, iterations_, {}});
    protocol::write(to_client, protocol::authentication{protocol::auth_kind::sasl_continue,
                                                        client_.server_first});
    if (!bound) given_.client_binding.clear();
    stage_ = stage::client_final;
    return std::nullopt;
}

scram_bridge::outcome scram_bridge::on_client_final(protocol::bytes body, std::string& to_server) {
    protocol::sasl_response response;
    protocol::scram_client_final m;
    std::string proof;
    if (protocol::parse(body, response) || protocol::parse(response.data, m) ||
        m.nonce != client_.nonce || protocol::base64_decode(m.proof, proof) ||
        proof.size() != protocol::scram_key_size)
        return malformed;
    if (m.channel_binding != protocol::base64_encode(client_.header + given_.client_binding))
        return unbound;
    client_.without_proof = m.without_proof;
    prove(client_key(proof), to_server);
    stage_ = stage::server_final;
    return std::nullopt;
}

// The key in a proof, empty if it is not the user's.
std::string scram_bridge::client_key(const std::string& proof) const {
    // One whose secret is unknown costs the same.
    const std::string nobody(protocol::scram_key_size, '\0');
    const auto& stored = stored_key_.empty() ? nobody : stored_key_;
    auto key = combined(proof, functions_.hmac_sha256(stored, client_.signed_text()));
    if (!functions_.equal(functions_.sha256(key), stored)) key.clear();
    return key;
}

void scram_bridge::prove(const std::string& key, std::string& to_server) {
    const auto binding = protocol::base64_encode(upstream_.header + given_.server_binding);
    std::string text;
    const std::string any(protocol::scram_key_size, '\0');
    protocol::write(text, protocol::scram_client_final{
                              binding, upstream_.nonce, {}, protocol::base64_encode(any), {}});
    upstream_.without_proof = text.substr(0, text.rfind(",p="));
    proved_ = !key.empty();
    const auto signature =
        functions_.hmac_sha256(proved_ ? stored_key_ : any, upstream_.signed_text());
    const auto proof = proved_ ? combined(key, signature)
                               : given_.random.substr(2 * nonce_size, protocol::scram_key_size);
    text = upstream_.without_proof + ",p=" + protocol::base64_encode(proof);
    protocol::write(to_server, protocol::sasl_response{text});
}

scram_bridge::outcome scram_bridge::on_server_final(protocol::bytes text, std::string& to_client) {
    protocol::scram_server_final m;
    std::string signature;
    if (protocol::parse(text, m) || protocol::base64_decode(m.verifier, signature))
        return bad_server;
    if (!proved_ ||
        !functions_.equal(signature, functions_.hmac_sha256(server_key_, upstream_.signed_text())))
        return false_server;
    const auto ours =
        protocol::base64_encode(functions_.hmac_sha256(server_key_, client_.signed_text()));
    std::string last;
    protocol::write(last, protocol::scram_server_final{ours, {}, {}});
    protocol::write(to_client, protocol::authentication{protocol::auth_kind::sasl_final, last});
    stage_ = stage::done;
    return std::nullopt;
}

}  // namespace pgsidecar::core
