// A client and a server around core::scram_bridge, each computing its own part from the password as
// RFC 5802 says, with OpenSSL.
#include <doctest/doctest.h>
#include <openssl/evp.h>

#include <functional>
#include <string>
#include <string_view>

#include "protocol/backend.h"
#include "protocol/base64.h"
#include "protocol/framer.h"
#include "protocol/frontend.h"
#include "protocol/sasl.h"
#include "proxy/core/scram_bridge.h"
#include "proxy/io/crypto.h"

namespace {

using namespace std::string_literals;
namespace core = pgsidecar::core;
namespace protocol = pgsidecar::protocol;

const core::crypto& math = pgsidecar::io::openssl_crypto();

std::string salted(std::string_view password, const std::string& salt, std::uint32_t iterations) {
    std::string raw, out(32, '\0');
    REQUIRE(!protocol::base64_decode(salt, raw));
    PKCS5_PBKDF2_HMAC(password.data(), static_cast<int>(password.size()),
                      reinterpret_cast<const unsigned char*>(raw.data()),
                      static_cast<int>(raw.size()), static_cast<int>(iterations), EVP_sha256(), 32,
                      reinterpret_cast<unsigned char*>(out.data()));
    return out;
}
std::string operator^(std::string a, const std::string& b) {
    for (std::size_t i = 0; i < a.size(); ++i) a[i] = static_cast<char>(a[i] ^ b[i]);
    return a;
}
std::string client_key(std::string_view password, const std::string& salt) {
    return math.hmac_sha256(salted(password, salt, 4096), "Client Key");
}
std::string server_key(std::string_view password, const std::string& salt) {
    return math.hmac_sha256(salted(password, salt, 4096), "Server Key");
}
const auto salt = protocol::base64_encode("0123456789abcdef");

std::string secret_of(std::string_view password) {
    return "SCRAM-SHA-256$4096:" + salt + "$" +
           protocol::base64_encode(math.sha256(client_key(password, salt))) + ":" +
           protocol::base64_encode(server_key(password, salt));
}

// What one side was sent: one message, without its head.
std::string body_of(const std::string& message) {
    protocol::frame f;
    std::error_code error;
    REQUIRE(protocol::next(message, f, error) == protocol::peek_result::ok);
    REQUIRE(f.whole.size() == message.size());
    return std::string{f.body};
}
protocol::authentication question(const std::string& body) {
    protocol::authentication m;
    REQUIRE(!protocol::parse(body, m));
    return m;
}

// One log-in. The knobs say how its parts differ from an honest one.
struct log_in {
    std::string password = "pencil";         // what the client types
    std::string server_password = "pencil";  // what the server knows
    std::string secret = secret_of("pencil");
    std::string shown_salt = salt;  // by the server
    std::string client_binding = "our certificate", server_binding = "its certificate";
    std::string seen_binding = "our certificate";  // what the client saw
    char flag = 'p';
    std::function<void(std::string&)> on_client_first = [](std::string&) {};
    std::function<void(std::string&)> on_client_final = [](std::string&) {};
    std::function<void(std::string&)> on_server_first = [](std::string&) {};
    bool forged_end = false;  // the server accepts, but cannot prove that it knows the password
    std::string forged_key = std::string(32, 'x');

    std::string fault;       // the bridge's SQLSTATE
    bool refused = false;    // by the server
    bool logged_in = false;  // and the client believed the server's proof
    std::vector<std::string> offered;

    void run() {
        core::credentials given{true, secret, client_binding, server_binding,
                                std::string(core::credentials::random_size, 'r')};
        core::scram_bridge bridge{math, std::move(given)};
        std::string to_server, to_client;
        const auto failed = [&](const core::scram_bridge::outcome& outcome) {
            if (outcome) fault = outcome->sqlstate;
            return outcome.has_value();
        };
        // The server's half of the first round.
        bridge.begin(to_server);
        const auto first_body = body_of(std::exchange(to_server, {}));
        protocol::sasl_initial_response chosen;
        REQUIRE(!protocol::parse(first_body, chosen));
        CHECK(chosen.mechanism ==
              (server_binding.empty() ? "SCRAM-SHA-256" : "SCRAM-SHA-256-PLUS"));
        protocol::scram_client_first up;
        REQUIRE(!protocol::parse(*chosen.data, up));
        std::string server_first =
            "r=" + std::string{up.nonce} + "server,s=" + shown_salt + ",i=4096";
        on_server_first(server_first);
        if (failed(bridge.on_server({protocol::auth_kind::sasl_continue, server_first}, to_client)))
            return;
        // The client's.
        const auto offer = body_of(std::exchange(to_client, {}));
        protocol::mechanism_list names;
        REQUIRE(!protocol::parse(question(offer).data, names));
        for (const auto name : names) offered.emplace_back(name);
        const std::string header = flag == 'p' ? "p=tls-server-end-point,,"s : ""s + flag + ",,";
        const std::string bare = "n=,r=client";
        std::string first = header + bare;
        on_client_first(first);
        std::string response;
        protocol::write(response, protocol::sasl_initial_response{
                                      flag == 'p' ? "SCRAM-SHA-256-PLUS" : "SCRAM-SHA-256", first});
        if (failed(bridge.on_client(body_of(response), to_client, to_server))) return;
        const auto challenge = body_of(std::exchange(to_client, {}));
        const auto shown = std::string{question(challenge).data};
        protocol::scram_server_first down;
        REQUIRE(!protocol::parse(shown, down));
        CHECK(down.salt == shown_salt);
        CHECK(down.iterations == 4096);
        const auto without =
            "c=" + protocol::base64_encode(header + (flag == 'p' ? seen_binding : ""s)) +
            ",r=" + std::string{down.nonce};
        const auto signed_text = bare + "," + shown + "," + without;
        const auto key = client_key(password, std::string{down.salt});
        std::string final =
            without +
            ",p=" + protocol::base64_encode(key ^ math.hmac_sha256(math.sha256(key), signed_text));
        on_client_final(final);
        response.clear();
        protocol::write(response, protocol::sasl_response{final});
        if (failed(bridge.on_client(body_of(response), to_client, to_server))) return;
        finish(bridge, up, server_first, body_of(to_server), signed_text);
    }

  private:
    // The server judges the proof that the bridge made, and the client the server's.
    void finish(core::scram_bridge& bridge, const protocol::scram_client_first& up,
                const std::string& server_first, const std::string& body,
                const std::string& client_signed) {
        protocol::sasl_response response;
        protocol::scram_client_final m;
        REQUIRE(!protocol::parse(body, response));
        REQUIRE(!protocol::parse(response.data, m));
        CHECK(m.channel_binding ==
              protocol::base64_encode(std::string{up.gs2_header} + server_binding));
        const auto signed_text =
            std::string{up.bare} + "," + server_first + "," + std::string{m.without_proof};
        std::string proof;
        REQUIRE(!protocol::base64_decode(m.proof, proof));
        const auto stored = math.sha256(client_key(server_password, shown_salt));
        refused = math.sha256(proof ^ math.hmac_sha256(stored, signed_text)) != stored;
        if (refused && !forged_end) return;
        const auto key = forged_end ? forged_key : server_key(server_password, shown_salt);
        const auto last = "v=" + protocol::base64_encode(math.hmac_sha256(key, signed_text));
        std::string to_client;
        if (const auto outcome =
                bridge.on_server({protocol::auth_kind::sasl_final, last}, to_client)) {
            fault = outcome->sqlstate;
            return;
        }
        const auto end = body_of(to_client);
        logged_in =
            question(end).data == "v=" + protocol::base64_encode(math.hmac_sha256(
                                             server_key(password, shown_salt), client_signed));
    }
};

}  // namespace

TEST_CASE("scram bridge: one password opens both halves") {
    for (const char flag : {'p', 'n'}) {
        for (const bool server_bound : {true, false}) {
            log_in l;
            l.flag = flag;
            if (!server_bound) l.server_binding.clear();
            l.run();
            CHECK(l.fault.empty());
            CHECK(l.logged_in);
            CHECK(l.offered == std::vector<std::string>{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"});
        }
    }
}

TEST_CASE("scram bridge: without a certificate of ours to bind to, nothing is offered or missed") {
    log_in l;
    l.client_binding.clear();
    l.flag = 'y';
    l.run();
    CHECK(l.offered == std::vector<std::string>{"SCRAM-SHA-256"});
    CHECK(l.logged_in);
}

TEST_CASE("scram bridge: what cannot be proved is refused by the server itself") {
    log_in l;
    SUBCASE("a wrong password") { l.password = "pen"; }
    SUBCASE("an unknown user, or one without a password") { l.secret.clear(); }
    SUBCASE("a password stored as MD5") { l.secret = "md5" + std::string(32, 'a'); }
    SUBCASE("a secret that is cut off") { l.secret.resize(l.secret.size() - 10); }
    SUBCASE("a secret without its salt and number") {
        l.secret.erase(14, l.secret.find('$', 14) - 13);
    }
    SUBCASE("a salt that is another by now") {
        l.shown_salt = protocol::base64_encode("fedcba9876543210");
    }
    SUBCASE("a password that is another by now") {
        l.server_password = "pen";
        l.password = "pen";
    }
    l.run();
    CHECK(l.fault.empty());
    CHECK(l.refused);
    CHECK(!l.logged_in);
}

TEST_CASE("scram bridge: a server that cannot prove itself is not believed") {
    log_in l;
    l.forged_end = true;
    SUBCASE("to the right password") {}
    SUBCASE("to a wrong one") { l.password = "pen"; }
    SUBCASE("to a user without a secret, by the key that nobody has") {
        l.secret.clear();
        l.forged_key.clear();
    }
    l.run();
    CHECK(l.fault == "08001");
    CHECK(!l.logged_in);
}

TEST_CASE("scram bridge: a client whose words do not fit is refused") {
    log_in l;
    std::string want = "08P01";
    SUBCASE("another certificate was seen") {
        l.seen_binding = "somebody's certificate";
        want = "28000";
    }
    SUBCASE("the offer was changed on its way") {
        l.flag = 'y';
        want = "28000";
    }
    SUBCASE("another identity") {
        l.on_client_first = [](std::string& text) { text.insert(text.find(",,") + 1, "a=other"); };
        want = "0A000";
    }
    SUBCASE("a binding of another kind") {
        l.on_client_first = [](std::string& text) { text.replace(2, 3, "abc"); };
    }
    SUBCASE("a nonce of its own") {
        l.on_client_final = [](std::string& text) { text.insert(text.find(",p="), "x"); };
    }
    SUBCASE("a proof that is too short") {
        l.on_client_final = [](std::string& text) {
            text = text.substr(0, text.find(",p=") + 3) + "YWJj";
        };
    }
    SUBCASE("no SCRAM at all") {
        l.on_client_first = [](std::string& text) { text = "hello"; };
    }
    l.run();
    CHECK(l.fault == want);
    CHECK(!l.logged_in);
}

TEST_CASE("scram bridge: a server whose words do not fit ends the log-in") {
    log_in l;
    SUBCASE("a nonce that is not ours") {
        l.on_server_first = [](std::string& text) { text.replace(2, 4, "abcd"); };
    }
    SUBCASE("a nonce with nothing added") {
        l.on_server_first = [](std::string& text) { text.erase(text.find("server"), 6); };
    }
    SUBCASE("no SCRAM at all") {
        l.on_server_first = [](std::string& text) { text = "hello"; };
    }
    l.run();
    CHECK(l.fault == "08P01");
}

TEST_CASE("scram bridge: messages out of turn are refused") {
    core::credentials given{true, secret_of("pencil"), "c", "s",
                            std::string(core::credentials::random_size, 'r')};
    core::scram_bridge bridge{math, given};
    std::string to_client, to_server;
    CHECK(bridge.on_client("x", to_client, to_server)->sqlstate == "08P01");
    bridge.begin(to_server);
    CHECK(bridge.on_client("x", to_client, to_server)->sqlstate == "08P01");
    CHECK(bridge.on_server({protocol::auth_kind::sasl_final, "v=eA=="}, to_client)->sqlstate ==
          "08P01");
    CHECK(bridge.on_server({protocol::auth_kind::md5_password, "salt"}, to_client)->sqlstate ==
          "08P01");
}
