#include "proxy/core/scram.h"

#include <algorithm>
#include <charconv>
#include <utility>
#include <vector>

#include "protocol/backend.h"
#include "protocol/base64.h"
#include "protocol/frontend.h"
#include "protocol/sasl.h"

namespace pgsidecar::core {
namespace {

constexpr std::string_view binding_name = "tls-server-end-point";
constexpr std::string_view secret_prefix = "SCRAM-SHA-256$";

constexpr login_fault malformed{"08P01", "malformed SCRAM message"};
constexpr login_fault negotiation{"28000", "SCRAM channel binding negotiation error"};
constexpr login_fault unbound{"28000", "SCRAM channel binding check failed"};
constexpr login_fault unsupported{
    "0A000", "the client asks for a SCRAM extension or another identity, which is not supported"};

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

std::optional<scram_secret> read_scram_secret(std::string_view text) {
    if (!text.starts_with(secret_prefix)) return std::nullopt;
    text.remove_prefix(secret_prefix.size());
    scram_secret out;
    const auto number = take(text, ':');
    const auto [end, error] =
        std::from_chars(number.data(), number.data() + number.size(), out.iterations);
    out.salt = take(text, '$');
    std::string salt;
    if (error != std::errc{} || end != number.data() + number.size() || out.iterations == 0 ||
        protocol::base64_decode(out.salt, salt) || salt.empty() ||
        protocol::base64_decode(take(text, ':'), out.stored_key) ||
        protocol::base64_decode(text, out.server_key) ||
        out.stored_key.size() != protocol::scram_key_size ||
        out.server_key.size() != protocol::scram_key_size)
        return std::nullopt;
    return out;
}

scram_verifier::scram_verifier(const crypto& functions, std::string stored_key,
                               std::string server_key, std::string binding, std::string_view nonce)
    : functions_{functions},
      stored_key_{std::move(stored_key)},
      server_key_{std::move(server_key)},
      binding_{std::move(binding)},
      our_nonce_{protocol::base64_encode(nonce)} {}

void scram_verifier::offer(std::string& to_client) const {
    std::vector<std::string_view> offered;
    if (!binding_.empty()) offered.push_back(protocol::scram_sha_256_plus);
    offered.push_back(protocol::scram_sha_256);
    protocol::write_sasl_mechanisms(to_client, offered);
}

login_outcome scram_verifier::on_first(protocol::bytes body, std::string_view salt,
                                       std::uint32_t iterations, std::string& to_client) {
    protocol::sasl_initial_response chosen;
    protocol::scram_client_first m;
    if (protocol::parse(body, chosen) || !chosen.data || protocol::parse(*chosen.data, m))
        return malformed;
    const bool bound = chosen.mechanism == protocol::scram_sha_256_plus;
    if (!bound && chosen.mechanism != protocol::scram_sha_256) return malformed;
    if (bound && binding_.empty()) return malformed;
    if (bound != (m.binding == 'p') || (bound && m.binding_name != binding_name)) return malformed;
    // It believes that we cannot do what we offered: somebody changed the offer.
    if (m.binding == 'y' && !binding_.empty()) return negotiation;
    if (!m.authzid.empty() || m.extensions.starts_with("m=")) return unsupported;
    header_ = m.gs2_header;
    first_bare_ = m.bare;
    nonce_ = m.nonce;
    nonce_ += our_nonce_;
    protocol::write(server_first_, protocol::scram_server_first{nonce_, salt, iterations, {}});
    protocol::write(to_client,
                    protocol::authentication{protocol::auth_kind::sasl_continue, server_first_});
    if (!bound) binding_.clear();
    return std::nullopt;
}

login_outcome scram_verifier::on_final(protocol::bytes body, std::string& client_key) {
    protocol::sasl_response response;
    protocol::scram_client_final m;
    std::string proof;
    if (protocol::parse(body, response) || protocol::parse(response.data, m) || m.nonce != nonce_ ||
        protocol::base64_decode(m.proof, proof) || proof.size() != protocol::scram_key_size)
        return malformed;
    if (m.channel_binding != protocol::base64_encode(header_ + binding_)) return unbound;
    without_proof_ = m.without_proof;
    // One whose secret is unknown costs the same.
    const std::string nobody(protocol::scram_key_size, '\0');
    const auto& stored = stored_key_.empty() ? nobody : stored_key_;
    client_key = combined(proof, functions_.hmac_sha256(stored, signed_text()));
    const bool right = functions_.equal(functions_.sha256(client_key), stored);
    if (!right || stored_key_.empty()) client_key.clear();
    return std::nullopt;
}

void scram_verifier::end(std::string& to_client) const {
    const auto ours = protocol::base64_encode(functions_.hmac_sha256(server_key_, signed_text()));
    std::string last;
    protocol::write(last, protocol::scram_server_final{ours, {}, {}});
    protocol::write(to_client, protocol::authentication{protocol::auth_kind::sasl_final, last});
}

scram_prover::scram_prover(const crypto& functions, std::string binding, std::string_view nonce)
    : functions_{functions}, binding_{std::move(binding)}, nonce_{protocol::base64_encode(nonce)} {}

void scram_prover::begin(std::string& to_server) {
    const bool bound = !binding_.empty();
    protocol::scram_client_first m;
    m.binding = bound ? 'p' : 'n';
    if (bound) m.binding_name = binding_name;
    m.nonce = nonce_;
    std::string text;
    protocol::write(text, m);
    if (protocol::parse(text, m)) return;  // for the views of what was written
    header_ = m.gs2_header;
    first_bare_ = m.bare;
    protocol::write(to_server,
                    protocol::sasl_initial_response{
                        bound ? protocol::scram_sha_256_plus : protocol::scram_sha_256, text});
}

bool scram_prover::on_first(protocol::bytes text) {
    protocol::scram_server_first m;
    if (protocol::parse(text, m) || !m.nonce.starts_with(nonce_) || m.nonce.size() == nonce_.size())
        return false;
    server_first_ = text;
    nonce_ = m.nonce;
    salt_ = m.salt;
    iterations_ = m.iterations;
    return true;
}

void scram_prover::prove(const std::string& client_key, std::string_view anything,
                         std::string& to_server) {
    const auto binding = protocol::base64_encode(header_ + binding_);
    const std::string any(protocol::scram_key_size, '\0');
    std::string text;
    protocol::write(
        text, protocol::scram_client_final{binding, nonce_, {}, protocol::base64_encode(any), {}});
    without_proof_ = text.substr(0, text.rfind(",p="));
    proved_ = !client_key.empty();
    const auto stored_key = proved_ ? functions_.sha256(client_key) : any;
    const auto signature = functions_.hmac_sha256(stored_key, signed_text());
    const auto proof = proved_ ? combined(client_key, signature) : std::string{anything};
    text = without_proof_ + ",p=" + protocol::base64_encode(proof);
    protocol::write(to_server, protocol::sasl_response{text});
}

bool scram_prover::on_final(protocol::bytes text, std::string_view server_key) const {
    protocol::scram_server_final m;
    std::string signature;
    if (protocol::parse(text, m) || protocol::base64_decode(m.verifier, signature)) return false;
    return proved_ &&
           functions_.equal(signature, functions_.hmac_sha256(server_key, signed_text()));
}

}  // namespace pgsidecar::core
