#include "proxy/core/authenticator.h"

#include <utility>

#include "protocol/backend.h"
#include "protocol/base64.h"
#include "protocol/frontend.h"
#include "protocol/sasl.h"

namespace pgsidecar::core {
namespace {

constexpr login_fault wrong_password{"28P01", "password authentication failed"};
constexpr login_fault rejected{"28000", "the connection is rejected by the HBA rules"};
constexpr login_fault malformed{"08P01", "malformed password message"};
constexpr login_fault no_password{
    "28P01", "the server asks for a password in a way that the proxy has no answer to"};
constexpr login_fault bad_server{"08P01", "the server sent an unexpected message during log-in"};
constexpr login_fault false_server{
    "08001", "the server did not prove that it knows the password: it may not be the right one"};

constexpr std::uint32_t usual_iterations = 4096;
constexpr std::uint32_t most_iterations = 10'000'000;  // what a server may make us compute
constexpr std::size_t md5_salt_size = 4;
constexpr std::string_view md5_prefix = "md5";

// A key by the secret's own salt, as a client computes it from what it was typed.
std::string client_key_of(const crypto& functions, std::string_view password,
                          std::string_view salt_text, std::uint32_t iterations,
                          std::string& server_key) {
    std::string salt;
    if (protocol::base64_decode(salt_text, salt)) return {};
    const auto salted = functions.pbkdf2_sha256(password, salt, iterations);
    server_key = functions.hmac_sha256(salted, "Server Key");
    return functions.hmac_sha256(salted, "Client Key");
}

}  // namespace

bool is_md5_secret(std::string_view secret) noexcept {
    return secret.size() == 35 && secret.starts_with(md5_prefix) &&
           secret.find_first_not_of("0123456789abcdef", 3) == std::string_view::npos;
}

std::string make_scram_secret(const crypto& functions, std::string_view password,
                              std::string_view salt) {
    const auto salt_text = protocol::base64_encode(salt);
    std::string server_key;
    const auto key = client_key_of(functions, password, salt_text, usual_iterations, server_key);
    return "SCRAM-SHA-256$" + std::to_string(usual_iterations) + ":" + salt_text + "$" +
           protocol::base64_encode(functions.sha256(key)) + ":" +
           protocol::base64_encode(server_key);
}

authenticator::authenticator(const crypto& functions, auth_method method, client_login given)
    : functions_{functions}, method_{method}, given_{std::move(given)} {
    proven_.user = given_.user;
    if (given_.secret && given_.secret->empty()) given_.secret.reset();
    const bool md5_stored = given_.secret && is_md5_secret(*given_.secret);
    const bool plain = given_.secret && !md5_stored && !read_scram_secret(*given_.secret);
    if (method_ == auth_method::md5 && !md5_stored && !plain) method_ = auth_method::scram_sha_256;
    if (plain) proven_.password = *given_.secret;
    if (md5_stored) proven_.md5_hash = given_.secret->substr(md5_prefix.size());
}

// The salt for a name without a SCRAM secret is one that nobody can compute and that stays.
void authenticator::prepare_scram() {
    const auto& text = given_.scram.empty() && given_.secret ? *given_.secret : given_.scram;
    if (auto stored = read_scram_secret(text); stored && given_.secret) {
        scram_ = std::move(*stored);
    } else {
        scram_.iterations = usual_iterations;
        scram_.salt = protocol::base64_encode(
            std::string_view{functions_.hmac_sha256(given_.mock_seed, given_.user)}.substr(
                0, scram_salt_size));
    }
    verifier_ = std::make_unique<scram_verifier>(
        functions_, scram_.stored_key, scram_.server_key, given_.binding,
        std::string_view{given_.random}.substr(0, scram_nonce_size));
}

void authenticator::begin(std::string& to_client) {
    using protocol::auth_kind;
    switch (method_) {
        case auth_method::trust:
            result_ = result::admitted;
            return;
        case auth_method::reject:
            return refuse(rejected);
        case auth_method::password:
            stage_ = stage::password;
            return protocol::write(to_client,
                                   protocol::authentication{auth_kind::cleartext_password, {}});
        case auth_method::md5:
            stage_ = stage::md5;
            return protocol::write(to_client,
                                   protocol::authentication{auth_kind::md5_password,
                                                            std::string_view{given_.random}.substr(
                                                                scram_nonce_size, md5_salt_size)});
        case auth_method::scram_sha_256:
            prepare_scram();
            stage_ = stage::scram_first;
            return verifier_->offer(to_client);
    }
}

void authenticator::refuse(const login_fault& why) noexcept {
    result_ = result::refused;
    fault_ = why;
}

void authenticator::judge(bool right) {
    if (right)
        result_ = result::admitted;
    else
        refuse(wrong_password);
}

std::string authenticator::md5_of(std::string_view password) const {
    return functions_.md5_hex(std::string{password}.append(given_.user));
}

bool authenticator::right_password(std::string_view typed) const {
    // The work for a name without a secret is that for one with a SCRAM secret.
    const auto stored = given_.secret ? read_scram_secret(*given_.secret) : std::nullopt;
    std::string server_key;
    const auto salt = stored ? stored->salt : protocol::base64_encode(given_.mock_seed);
    const auto key = client_key_of(functions_, typed, salt,
                                   stored ? stored->iterations : usual_iterations, server_key);
    if (stored) return functions_.equal(functions_.sha256(key), stored->stored_key);
    if (!given_.secret || typed.empty()) return false;
    if (is_md5_secret(*given_.secret))
        return functions_.equal(md5_of(typed), given_.secret->substr(md5_prefix.size()));
    // Digests, for texts of different length would tell that much.
    return functions_.equal(functions_.sha256(typed), functions_.sha256(*given_.secret));
}

void authenticator::on_client(protocol::bytes body, std::string& to_client) {
    if (result_ != result::more) return;
    if (stage_ == stage::scram_first) {
        if (const auto fault = verifier_->on_first(body, scram_.salt, scram_.iterations, to_client))
            return refuse(*fault);
        stage_ = stage::scram_final;
        return;
    }
    if (stage_ == stage::scram_final) return on_scram_final(body, to_client);
    protocol::password m;
    if (protocol::parse(body, m)) return refuse(malformed);
    if (stage_ == stage::password) {
        if (right_password(m.text)) {
            proven_.password = m.text;
            return judge(true);
        }
        return judge(false);
    }
    const auto salt = std::string_view{given_.random}.substr(scram_nonce_size, md5_salt_size);
    const auto hash = proven_.md5_hash.empty() ? md5_of(proven_.password) : proven_.md5_hash;
    const auto wanted = std::string{md5_prefix} + functions_.md5_hex(hash + std::string{salt});
    judge(functions_.equal(m.text, wanted) && !hash.empty());
}

void authenticator::on_scram_final(protocol::bytes body, std::string& to_client) {
    std::string key;
    if (const auto fault = verifier_->on_final(body, key)) return refuse(*fault);
    if (key.empty()) return judge(false);
    verifier_->end(to_client);
    proven_.client_key = std::move(key);
    proven_.server_key = scram_.server_key;
    judge(true);
}

server_login::server_login(const crypto& functions, const server_credentials& known,
                           std::string binding, std::string_view random)
    : functions_{functions},
      known_{known},
      binding_{std::move(binding)},
      nonce_{random.substr(0, scram_nonce_size)} {}

login_outcome server_login::on_server(const protocol::bytes& body, std::string& to_server) {
    using protocol::auth_kind;
    protocol::authentication m;
    if (protocol::parse(body, m)) return bad_server;
    if ((stage_ == stage::scram) !=
        (m.kind == auth_kind::sasl_continue || m.kind == auth_kind::sasl_final))
        return bad_server;
    switch (m.kind) {
        case auth_kind::cleartext_password:
            if (known_.password.empty()) return no_password;
            protocol::write(to_server, protocol::password{known_.password});
            return std::nullopt;
        case auth_kind::md5_password: {
            if (known_.password.empty() && known_.md5_hash.empty()) return no_password;
            const auto hash = known_.password.empty()
                                  ? known_.md5_hash
                                  : functions_.md5_hex(known_.password + known_.user);
            if (hash.empty()) return no_password;
            const auto answer =
                std::string{md5_prefix} + functions_.md5_hex(hash + std::string{m.data});
            protocol::write(to_server, protocol::password{answer});
            return std::nullopt;
        }
        case auth_kind::sasl:
            return begin_scram(m.data, to_server);
        case auth_kind::sasl_continue:
            return prove(m.data, to_server);
        case auth_kind::sasl_final:
            if (!proved_) return bad_server;
            if (!prover_->on_final(m.data, server_key_)) return false_server;
            stage_ = stage::done;
            return std::nullopt;
        default:
            return no_password;
    }
}

login_outcome server_login::begin_scram(protocol::bytes names, std::string& to_server) {
    protocol::mechanism_list offered;
    if (protocol::parse(names, offered)) return bad_server;
    if (known_.password.empty() && known_.client_key.empty()) return no_password;
    if (!offered.contains(protocol::scram_sha_256_plus)) {
        if (!offered.contains(protocol::scram_sha_256)) return no_password;
        binding_.clear();
    }
    prover_ = std::make_unique<scram_prover>(functions_, std::move(binding_), nonce_);
    prover_->begin(to_server);
    stage_ = stage::scram;
    return std::nullopt;
}

login_outcome server_login::prove(protocol::bytes text, std::string& to_server) {
    if (proved_ || !prover_->on_first(text)) return bad_server;
    proved_ = true;
    auto key = known_.client_key;
    server_key_ = known_.server_key;
    if (!known_.password.empty()) {
        if (prover_->iterations() > most_iterations) return bad_server;
        key = client_key_of(functions_, known_.password, prover_->salt(), prover_->iterations(),
                            server_key_);
        if (key.empty()) return bad_server;
    }
    prover_->prove(key, {}, to_server);
    return std::nullopt;
}

}  // namespace pgsidecar::core
