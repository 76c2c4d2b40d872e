// The proxy asks a client, and the proxy answers a server: each against the other, with OpenSSL.
#include "proxy/core/authenticator.h"

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "protocol/backend.h"
#include "protocol/base64.h"
#include "protocol/framer.h"
#include "protocol/frontend.h"
#include "protocol/sasl.h"
#include "proxy/io/crypto.h"

namespace {

using namespace std::string_literals;
namespace core = pgsidecar::core;
namespace protocol = pgsidecar::protocol;
using core::auth_method;
using result = core::authenticator::result;

const core::crypto& math = pgsidecar::io::openssl_crypto();
const std::string salt = "0123456789abcdef";
const std::string client_nonce(core::scram_nonce_size, 'c');

std::string body_of(const std::string& message) {
    protocol::frame f;
    std::error_code error;
    REQUIRE(protocol::next(message, f, error) == protocol::peek_result::ok);
    REQUIRE(f.whole.size() == message.size());
    return std::string{f.body};
}

core::client_login login_of(std::string user, std::optional<std::string> secret) {
    core::client_login out;
    out.user = std::move(user);
    out.secret = std::move(secret);
    out.random.assign(core::client_login::random_size, 'r');
    out.mock_seed = "seed";
    return out;
}

struct forms {
    std::string plain, md5, scram;
};
forms stored(std::string_view user, std::string_view password) {
    return {std::string{password}, "md5" + math.md5_hex(std::string{password}.append(user)),
            core::make_scram_secret(math, password, salt)};
}

struct exchange {
    result verdict = result::more;
    std::string sqlstate, questions;  // kinds asked, a letter each
    std::string client_fault;         // what the client's side made of it
    core::server_credentials proven;
    std::string first_salt;
};

// A client that knows `known` logs in at an authenticator.
exchange run(auth_method method, core::client_login given, const core::server_credentials& known,
             const std::string& seen_binding = {}) {
    exchange out;
    core::authenticator server{math, method, std::move(given)};
    core::server_login client{math, known, seen_binding, client_nonce};
    std::string to_client;
    server.begin(to_client);
    while (server.verdict() == result::more) {
        const auto body = body_of(std::exchange(to_client, {}));
        protocol::authentication asked;
        REQUIRE(!protocol::parse(body, asked));
        out.questions.push_back(static_cast<char>('a' + static_cast<int>(asked.kind)));
        protocol::scram_server_first first;
        if (asked.kind == protocol::auth_kind::sasl_continue && !protocol::parse(asked.data, first))
            out.first_salt = first.salt;
        std::string answer;
        if (const auto fault = client.on_server(body, answer)) {
            out.client_fault = fault->message;
            return out;
        }
        server.on_client(body_of(answer), to_client);
    }
    out.verdict = server.verdict();
    if (out.verdict == result::refused) out.sqlstate = server.fault().sqlstate;
    if (out.verdict == result::admitted) out.proven = server.proven();
    if (!to_client.empty()) {
        std::string nothing;
        if (const auto fault = client.on_server(body_of(to_client), nothing))
            out.client_fault = fault->message;
    }
    if (out.verdict == result::admitted && out.client_fault.empty()) CHECK(client.finished());
    return out;
}

core::server_credentials typed(std::string user, std::string password) {
    core::server_credentials out;
    out.user = std::move(user);
    out.password = std::move(password);
    return out;
}

constexpr auth_method methods[] = {auth_method::password, auth_method::md5,
                                   auth_method::scram_sha_256};

}  // namespace

TEST_CASE("authenticator: digests are those of the standards") {
    CHECK(math.md5_hex("") == "d41d8cd98f00b204e9800998ecf8427e");
    CHECK(math.md5_hex("abc") == "900150983cd24fb0d6963f7d28e17f72");
    // RFC 7677, section 3: user, pencil.
    std::string raw;
    REQUIRE(!protocol::base64_decode("W22ZaJ0SNY7soEsUEjb6gQ==", raw));
    const auto secret = core::make_scram_secret(math, "pencil", raw);
    const auto salted = math.pbkdf2_sha256("pencil", raw, 4096);
    CHECK(protocol::base64_encode(math.hmac_sha256(salted, "Client Key")) ==
          "pg/JI9Z+hkSpLRa5btpe9GVrDHJcSEN0viVTVXaZbos=");
    CHECK(secret.find("$4096:W22ZaJ0SNY7soEsUEjb6gQ==$") != std::string::npos);
    CHECK(core::read_scram_secret(secret).has_value());
}

TEST_CASE("authenticator: each method admits who has the password, however it is stored") {
    const auto form = stored("ann", "sesame");
    for (const auto method : methods) {
        for (const auto& secret : {form.plain, form.md5, form.scram}) {
            CAPTURE(int(method));
            CAPTURE(secret);
            auto given = login_of("ann", secret);
            if (secret == form.plain) given.scram = core::make_scram_secret(math, secret, salt);
            const auto got = run(method, given, typed("ann", "sesame"));
            // SCRAM cannot be asked of whom only an MD5 hash is known.
            const bool possible = !(method == auth_method::scram_sha_256 && secret == form.md5);
            CHECK((got.verdict == result::admitted) == possible);
            CHECK(got.client_fault == "");
            const auto wrong = run(method, given, typed("ann", "Sesame"));
            CHECK(wrong.verdict == result::refused);
            CHECK(wrong.sqlstate == "28P01");
        }
    }
}

TEST_CASE("authenticator: what a log-in has shown opens the server's door") {
    const auto form = stored("ann", "sesame");
    struct {
        const char* name;
        auth_method method;
        std::string secret;
        auth_method servers;    // how the server asks
        std::string at_server;  // what it has stored
    } const rows[] = {
        {"SCRAM key, same secret", auth_method::scram_sha_256, form.scram,
         auth_method::scram_sha_256, form.scram},
        {"password typed, SCRAM", auth_method::password, form.scram, auth_method::scram_sha_256,
         core::make_scram_secret(math, "sesame", "another salt 123")},
        {"password typed, MD5", auth_method::password, form.scram, auth_method::md5, form.md5},
        {"password typed, password", auth_method::password, form.md5, auth_method::password,
         form.scram},
        {"password stored, SCRAM", auth_method::md5, form.plain, auth_method::scram_sha_256,
         form.scram},
        {"hash stored, MD5", auth_method::md5, form.md5, auth_method::md5, form.md5},
    };
    for (const auto& row : rows) {
        CAPTURE(row.name);
        const auto first = run(row.method, login_of("ann", row.secret), typed("ann", "sesame"));
        REQUIRE(first.verdict == result::admitted);
        const auto second = run(row.servers, login_of("ann", row.at_server), first.proven);
        CHECK(second.verdict == result::admitted);
        CHECK(second.client_fault == "");
    }
    // A key from another salt is not the server's: it says so, and nothing is given away.
    const auto first =
        run(auth_method::scram_sha_256, login_of("ann", form.scram), typed("ann", "sesame"));
    const auto other = core::make_scram_secret(math, "sesame", "another salt 123");
    CHECK(run(auth_method::scram_sha_256, login_of("ann", other), first.proven).sqlstate ==
          "28P01");
    CHECK(run(auth_method::md5, login_of("ann", form.md5), first.proven).client_fault != "");
    CHECK(run(auth_method::password, login_of("ann", form.plain), first.proven).client_fault != "");
}

TEST_CASE("authenticator: an unknown user is asked and refused like a known one") {
    const auto form = stored("ann", "sesame");
    for (const auto method :
         {auth_method::password, auth_method::scram_sha_256, auth_method::md5}) {
        CAPTURE(int(method));
        const auto known = run(method, login_of("ann", form.scram), typed("ann", "wrong"));
        for (const auto& nobody : {std::optional<std::string>{}, std::optional<std::string>{""}}) {
            const auto unknown = run(method, login_of("eve", nobody), typed("eve", "wrong"));
            CHECK(unknown.questions == known.questions);
            CHECK(unknown.verdict == result::refused);
            CHECK(unknown.sqlstate == "28P01");
        }
        CHECK(run(method, login_of("eve", std::nullopt), typed("eve", "")).verdict !=
              result::admitted);
    }
    // The salt of a name stays, and is another one for each name and each seed.
    const auto salt_of = [](std::string user, std::string seed) {
        auto given = login_of(user, std::nullopt);
        given.mock_seed = std::move(seed);
        return run(auth_method::scram_sha_256, given, typed(user, "x")).first_salt;
    };
    CHECK(salt_of("eve", "1") == salt_of("eve", "1"));
    CHECK(salt_of("eve", "1") != salt_of("eva", "1"));
    CHECK(salt_of("eve", "1") != salt_of("eve", "2"));
    CHECK(salt_of("eve", "1").size() == protocol::base64_encode(salt).size());
}

TEST_CASE("authenticator: trust asks nothing, reject asks nothing either") {
    CHECK(run(auth_method::trust, login_of("ann", std::nullopt), typed("ann", "")).verdict ==
          result::admitted);
    const auto rejected = run(auth_method::reject, login_of("ann", "x"), typed("ann", "x"));
    CHECK(rejected.verdict == result::refused);
    CHECK(rejected.sqlstate == "28000");
    CHECK(rejected.questions == "");
}

TEST_CASE("authenticator: channel binding is used where both sides see a certificate") {
    const auto form = stored("ann", "sesame");
    auto given = login_of("ann", form.scram);
    given.binding = "ours";
    CHECK(run(auth_method::scram_sha_256, given, typed("ann", "sesame"), "ours").verdict ==
          result::admitted);
    // Somebody stands between with a certificate of his own.
    const auto between = run(auth_method::scram_sha_256, given, typed("ann", "sesame"), "his");
    CHECK(between.verdict == result::refused);
    CHECK(between.sqlstate == "28000");
    // A client without TLS of its own to bind to.
    CHECK(run(auth_method::scram_sha_256, login_of("ann", form.scram), typed("ann", "sesame"),
              "unasked")
              .verdict == result::admitted);
}

TEST_CASE("authenticator: what is no password message is refused, whatever was asked") {
    const auto form = stored("ann", "sesame");
    for (const auto method : methods) {
        for (const auto& body : {""s, "no terminator"s, "\0\0"s, std::string(9000, 'x'),
                                 "SCRAM-SHA-256\0\0\0\0\5n,,n="s, "\xff\xff\xff\xff"s}) {
            core::authenticator a{math, method, login_of("ann", form.scram)};
            std::string to_client;
            a.begin(to_client);
            a.on_client(body, to_client);
            CHECK(a.verdict() == result::refused);
            const std::string code{a.fault().sqlstate};
            CHECK((code == "08P01" || code == "28P01"));
            a.on_client(body, to_client);  // nothing more happens
            CHECK(a.verdict() == result::refused);
        }
    }
}

TEST_CASE("server log-in: a server out of order, or one that asks too much, is left") {
    const auto known = typed("ann", "sesame");
    const auto question = [](protocol::auth_kind kind, std::string_view data = {}) {
        std::string out;
        protocol::write(out, protocol::authentication{kind, data});
        return body_of(out);
    };
    using protocol::auth_kind;
    std::string answer;
    {
        core::server_login l{math, known, {}, client_nonce};
        CHECK(l.on_server(question(auth_kind::sasl_continue, "r=x,s=eA==,i=1"), answer));
        CHECK(l.on_server(question(auth_kind::gss), answer));
        CHECK(l.on_server(question(auth_kind::sasl, "OTHER\0\0"s), answer));
        CHECK(l.on_server("", answer));
        CHECK(answer == "");
        CHECK(l.finished());
    }
    const auto nonce = protocol::base64_encode(client_nonce);
    for (const auto& first : {"r=" + nonce + "x,s=eA==,i=10000001", "r=" + nonce + ",s=eA==,i=1",
                              "r=other,s=eA==,i=1"s, "garbage"s}) {
        CAPTURE(first);
        core::server_login l{math, known, {}, client_nonce};
        REQUIRE(!l.on_server(question(auth_kind::sasl, "SCRAM-SHA-256\0\0"s), answer));
        CHECK_FALSE(l.finished());  // AuthenticationOk now would be a server that proves nothing
        CHECK(l.on_server(question(auth_kind::sasl_continue, first), answer));
    }
    core::server_login l{math, known, {}, client_nonce};
    REQUIRE(!l.on_server(question(auth_kind::sasl, "SCRAM-SHA-256\0\0"s), answer));
    CHECK(l.on_server(question(auth_kind::sasl_final, "v=eA=="), answer));
    REQUIRE(
        !l.on_server(question(auth_kind::sasl_continue, "r=" + nonce + "x,s=eA==,i=1"), answer));
    CHECK(l.on_server(question(auth_kind::sasl_continue, "r=" + nonce + "x,s=eA==,i=1"), answer));
    const auto forged = "v=" + protocol::base64_encode(std::string(32, 'x'));
    const auto fault = l.on_server(question(auth_kind::sasl_final, forged), answer);
    REQUIRE(fault);
    CHECK(fault->sqlstate == "08001");
}
