// The proxy itself asks a client for its password, where the server cannot: with pooled connections
// it has no part in a client's log-in. Order: begin(), then on_client() for each password message,
// until verdict() is no longer `more`. What is to be sent is appended.
//
// Nothing tells an unknown user from a wrong password: the same questions, with a salt that stays
// the same for a name, the same work, and the same refusal (28P01).
// Protocol 3.0, "Start-up" and "SASL Authentication"; RFC 5802.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "protocol/bytes.h"
#include "proxy/core/scram.h"

namespace pgsidecar::core {

enum class auth_method : std::uint8_t { trust, reject, password, md5, scram_sha_256 };

// What a log-in at the server can be made with: of these, what the client's own log-in has shown or
// what is stored.
struct server_credentials {
    std::string user;
    std::string password;                // as typed; empty: not known
    std::string md5_hash;                // 32 digits, of password and user
    std::string client_key, server_key;  // of SCRAM-SHA-256
    [[nodiscard]] bool empty() const noexcept {
        return password.empty() && md5_hash.empty() && client_key.empty();
    }
};

// A plain password as the server would store it. It is made beforehand, for that takes milliseconds
// of computing: in a log-in it would tell who has a plain password stored. `salt`:
// scram_salt_size random bytes.
inline constexpr std::size_t scram_salt_size = 16;
[[nodiscard]] std::string make_scram_secret(const crypto& functions, std::string_view password,
                                            std::string_view salt);

[[nodiscard]] bool is_md5_secret(std::string_view secret) noexcept;

// Of one log-in.
struct client_login {
    std::string user;
    // As auth_file or auth_query has it: a password, "md5" and its hash, or a SCRAM secret.
    // Nothing: no such user, or one whose password is no longer valid.
    std::optional<std::string> secret;
    std::string scram;      // what make_scram_secret() made of a plain one; else empty
    std::string binding;    // tls-server-end-point of our certificate; empty without TLS
    std::string random;     // at least random_size bytes that nobody can guess
    std::string mock_seed;  // the same for the program's life, and secret
    static constexpr std::size_t random_size = scram_nonce_size + 4;
};

class authenticator {
  public:
    enum class result : std::uint8_t { more, admitted, refused };

    // A SCRAM secret is asked for by SCRAM also where the method says md5, as the server does.
    authenticator(const crypto& functions, auth_method method, client_login given);

    void begin(std::string& to_client);
    void on_client(protocol::bytes body, std::string& to_client);
    [[nodiscard]] result verdict() const noexcept { return result_; }
    // Of `refused`: what the client is to be told, without saying why its password is wrong.
    [[nodiscard]] login_fault fault() const noexcept { return fault_; }
    // Of `admitted`.
    [[nodiscard]] const server_credentials& proven() const noexcept { return proven_; }

  private:
    enum class stage : std::uint8_t { password, md5, scram_first, scram_final };

    void prepare_scram();
    void refuse(const login_fault& why) noexcept;
    void judge(bool right);
    [[nodiscard]] bool right_password(std::string_view typed) const;
    [[nodiscard]] std::string md5_of(std::string_view password) const;
    void on_scram_final(protocol::bytes body, std::string& to_client);

    const crypto& functions_;
    auth_method method_;
    client_login given_;
    stage stage_ = stage::password;
    result result_ = result::more;
    login_fault fault_{};
    server_credentials proven_;
    scram_secret scram_;
    std::unique_ptr<scram_verifier> verifier_;
};

// Towards a server: its questions are answered with what is known of the user.
class server_login {
  public:
    // `binding`: of the server's certificate; empty without TLS. `random`: scram_nonce_size bytes.
    server_login(const crypto& functions, const server_credentials& known, std::string binding,
                 std::string_view random);
    // The body of an Authentication message other than AuthenticationOk. What it cannot answer is a
    // fault; AuthenticationOk before the server has proved itself is, too: see finished().
    [[nodiscard]] login_outcome on_server(const protocol::bytes& body, std::string& to_server);
    // May AuthenticationOk come now? Not in the middle of a SCRAM exchange.
    [[nodiscard]] bool finished() const noexcept { return stage_ != stage::scram; }

  private:
    enum class stage : std::uint8_t { asked, scram, done };

    [[nodiscard]] login_outcome begin_scram(protocol::bytes names, std::string& to_server);
    [[nodiscard]] login_outcome prove(protocol::bytes text, std::string& to_server);

    const crypto& functions_;
    const server_credentials& known_;
    std::string binding_, nonce_, server_key_;
    stage stage_ = stage::asked;
    std::unique_ptr<scram_prover> prover_;
    bool proved_ = false;
};

}  // namespace pgsidecar::core
