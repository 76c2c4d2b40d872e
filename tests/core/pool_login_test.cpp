// A server connection for a pool is opened at servers of every kind, honest or not.
#include "proxy/core/pool_login.h"

#include <doctest/doctest.h>

#include <functional>
#include <vector>

#include "protocol/sasl.h"
#include "tests/core/messages.h"
#include "tests/core/toy_crypto.h"

using namespace core_test;
namespace core = pgsidecar::core;
using core::pool_login;
using protocol::auth_kind;
using result = core::pool_login::result;

namespace {

const std::string start_up = "the start-up packet";
const std::string nonce(core::scram_nonce_size, 'n');

core::server_credentials knows(std::string password) {
    core::server_credentials out;
    out.user = "ann";
    out.password = std::move(password);
    return out;
}

std::string asks(auth_kind kind, std::string_view data = {}) {
    return message(protocol::authentication{kind, data});
}
const std::string accepts = asks(auth_kind::ok);
const std::string offers = asks(auth_kind::sasl, "SCRAM-SHA-256\0\0"s);
const std::string backend_key = message(protocol::backend_key_data{4711, "key!"});
const std::string goes_on =
    parameter("TimeZone", "UTC") + parameter("is_superuser", "off") + backend_key + ready();

std::string fatal(std::string_view code, std::string_view text) {
    std::string out;
    protocol::write_error(out, "FATAL", code, text);
    return out;
}

// Feeds what a server says, so many bytes at a time, as a socket's buffer would be shown.
struct attempt {
    explicit attempt(core::server_credentials what_is_known, std::size_t at_a_time = 1U << 20)
        : known{std::move(what_is_known)}, step{at_a_time} {
        login.begin(to_server);
        REQUIRE(to_server == start_up);
        to_server.clear();
    }
    void hears(std::string_view bytes) {
        while (!bytes.empty()) {
            const auto n = std::min(step, bytes.size());
            buffer.append(bytes.substr(0, n));
            bytes.remove_prefix(n);
            const auto used = login.on_server(buffer, to_server);
            REQUIRE(used <= buffer.size());
            buffer.erase(0, used);
        }
    }
    // "open", "more", or the code and text of the refusal.
    std::string verdict() {
        if (login.verdict() == result::open) return "open";
        if (login.verdict() == result::more) return "more";
        protocol::error_response m;
        const std::string_view whole{login.error()};
        REQUIRE(whole.size() > protocol::head_size);
        REQUIRE(!protocol::parse(whole.substr(protocol::head_size), m));
        CHECK(m.severity() == "FATAL");
        return std::string{m.sqlstate()} + " " + std::string{m.message()};
    }
    std::string said() { return std::exchange(to_server, {}); }

    const core::server_credentials known;
    std::size_t step;
    pool_login login{toy_crypto, known, start_up, {}, nonce};
    std::string to_server, buffer;
};

// A real other half, which asks by that method and knows "sesame" in that form.
std::string log_in(attempt& a, core::auth_method method, std::string secret) {
    core::client_login given;
    given.user = "ann";
    given.secret = std::move(secret);
    given.scram = core::make_scram_secret(toy_crypto, "sesame", "salt");
    given.random.assign(core::client_login::random_size, 'r');
    core::authenticator server{toy_crypto, method, std::move(given)};
    std::string to_client;
    server.begin(to_client);
    while (server.verdict() == core::authenticator::result::more) {
        a.hears(std::exchange(to_client, {}));
        protocol::frame f;
        std::error_code error;
        const auto answer = a.said();
        if (protocol::next(answer, f, error) != protocol::peek_result::ok) return a.verdict();
        REQUIRE(f.whole.size() == answer.size());
        server.on_client(f.body, to_client);
    }
    if (server.verdict() == core::authenticator::result::refused)
        a.hears(fatal(server.fault().sqlstate, server.fault().message));
    else
        a.hears(to_client + accepts + goes_on);
    return a.verdict();
}

constexpr core::auth_method methods[] = {core::auth_method::trust, core::auth_method::password,
                                         core::auth_method::md5, core::auth_method::scram_sha_256};

}  // namespace

TEST_CASE("pool log-in: each method, whole and byte by byte") {
    for (const auto method : methods) {
        for (const std::size_t step : {1U << 20, 1U, 7U}) {
            CAPTURE(int(method));
            CAPTURE(step);
            attempt a{knows("sesame"), step};
            CHECK(log_in(a, method, "sesame") == "open");
            CHECK(a.buffer.empty());
            CHECK(a.said() == "");
            CHECK_FALSE(a.login.not_admitted());
            const auto link = a.login.take_link();
            REQUIRE(link);
            CHECK(link->pid == 4711);
            CHECK(link->key == "key!");
            CHECK(link->settings->empty());
            CHECK(*link->reported ==
                  core::session_settings::values{{"TimeZone", "UTC"}, {"is_superuser", "off"}});
            if (method == core::auth_method::trust) continue;
            attempt wrong{knows("Sesame"), step};
            CHECK(log_in(wrong, method, "sesame") == "28P01 password authentication failed");
        }
    }
}

TEST_CASE("pool log-in: the keys that a client has shown are enough") {
    const std::string secret = core::make_scram_secret(toy_crypto, "sesame", "salt");
    core::server_credentials keys;
    keys.user = "ann";
    const auto salted = toy_crypto.pbkdf2_sha256("sesame", "salt", 4096);
    keys.client_key = toy_crypto.hmac_sha256(salted, "Client Key");
    keys.server_key = toy_crypto.hmac_sha256(salted, "Server Key");
    attempt a{keys};
    CHECK(log_in(a, core::auth_method::scram_sha_256, secret) == "open");
    attempt other{keys};  // of another salt
    CHECK(log_in(other, core::auth_method::password, "sesame").substr(0, 5) == "28P01");
    core::server_credentials hash;
    hash.user = "ann";
    hash.md5_hash = weak_digest("sesameann");
    attempt b{hash};
    CHECK(log_in(b, core::auth_method::md5, "sesame") == "open");
    attempt nothing{knows("")};
    CHECK(log_in(nothing, core::auth_method::password, "sesame").substr(0, 5) == "28P01");
    CHECK(nothing.said() == "");
}

TEST_CASE("pool log-in: bytes behind the first ReadyForQuery stay with the caller") {
    attempt a{knows("sesame")};
    const auto late = parameter("TimeZone", "CET");
    a.hears(accepts + goes_on + late);
    CHECK(a.verdict() == "open");
    CHECK(a.buffer == late);
    CHECK(a.login.on_server(late, a.to_server) == 0);
}

TEST_CASE("pool log-in: notices are passed over") {
    attempt a{knows("sesame")};
    a.hears(notice() + accepts + notice() + goes_on);
    CHECK(a.verdict() == "open");
}

TEST_CASE("pool log-in: a refusal is told in the server's words, wherever it comes") {
    const std::string why = fatal("3D000", "database \"x\" does not exist");
    for (const auto& before : {""s, asks(auth_kind::cleartext_password), accepts,
                               accepts + parameter("a", "b"), accepts + backend_key}) {
        for (const std::size_t step : {1U << 20, 1U}) {
            attempt a{knows("sesame"), step};
            a.hears(before + why);
            CHECK(a.login.verdict() == result::refused);
            CHECK(a.login.error() == why);
            CHECK_FALSE(a.login.not_admitted());
            a.hears(accepts + goes_on);  // nothing more is heard
            CHECK(a.login.error() == why);
            CHECK(a.login.verdict() == result::refused);
        }
    }
}

TEST_CASE("pool log-in: not admitted as it is, when that is the server's first word") {
    const struct {
        const char* name;
        std::string said;
        bool not_admitted;
    } rows[] = {
        {"first", fatal("28000", "no pg_hba.conf entry"), true},
        {"another code", fatal("28P01", "wrong"), false},
        {"no code", "E\0\0\0\5\0"s, false},
        {"after a notice", notice() + fatal("28000", "no"), false},
        {"after a question", asks(auth_kind::cleartext_password) + fatal("28000", "no"), false},
        {"after it was accepted", accepts + fatal("28000", "no"), false},
    };
    for (const auto& row : rows) {
        CAPTURE(std::string{row.name});
        for (const std::size_t step : {1U << 20, 1U}) {
            attempt a{knows("sesame"), step};
            a.hears(row.said);
            CHECK(a.login.verdict() == result::refused);
            CHECK(a.login.not_admitted() == row.not_admitted);
        }
    }
}

TEST_CASE("pool log-in: what a server may not say") {
    const auto long_text = std::string(70'000, 'x');
    const struct {
        const char* name;
        std::string said;
        const char* code;
    } rows[] = {
        {"garbage", "HTTP/1.1 400 Bad Request\r\n", "08P01"},
        {"a length below its own size", "R\0\0\0\3"s, "08P01"},
        {"ReadyForQuery before it has accepted", ready(), "08P01"},
        {"a key before it has accepted", backend_key, "08P01"},
        {"a setting before it has accepted", parameter("a", "b"), "08P01"},
        {"ReadyForQuery while it asks", asks(auth_kind::cleartext_password) + ready(), "08P01"},
        {"rows", accepts + row_of("x"), "08P01"},
        {"an empty question", "R\0\0\0\4"s, "08P01"},
        {"a question of no known kind", "R\0\0\0\x08\0\0\0\x63"s, "08P01"},
        {"a question that nobody can answer", asks(auth_kind::gss), "28P01"},
        {"a key that is too short", accepts + "K\0\0\0\5x"s, "08P01"},
        {"half a setting", accepts + "S\0\0\0\6a\0"s, "08P01"},
        {"a transaction to begin with", accepts + ready('T'), "08P01"},
        {"a failed one", accepts + ready('E'), "08P01"},
        {"a status that is none", accepts + "Z\0\0\0\5x"s, "08P01"},
        {"ReadyForQuery with more in it", accepts + "Z\0\0\0\6II"s, "08P01"},
        {"ReadyForQuery with nothing in it", accepts + "Z\0\0\0\4"s, "08P01"},
        {"the answer to a question that was not put",
         asks(auth_kind::sasl_continue, "r=x,s=eA==,i=1"), "08P01"},
        {"SCRAM that skips everything", offers + accepts + goes_on, "08001"},
        {"SCRAM with another question inside", offers + asks(auth_kind::cleartext_password),
         "08P01"},
        {"SCRAM that ends before the proof", offers + asks(auth_kind::sasl_final, "v=eA=="),
         "08P01"},
        {"another message", accepts + asks(auth_kind::gss), "28P01"},
        {"an oversized question", "R\x3f\xff\xff\xff"s, "08P01"},
        {"an oversized refusal", "E\x3f\xff\xff\xff"s, "08P01"},
        {"an oversized setting, after it has accepted", accepts + "S\x3f\xff\xff\xff"s, "08P01"},
        {"one that is there to its end", accepts + parameter("a", long_text), "08P01"},
    };
    for (const auto& row : rows) {
        CAPTURE(std::string{row.name});
        for (const std::size_t step : {1U << 20, 1U}) {
            if (step == 1 && row.said.size() > 1000) continue;
            attempt a{knows("sesame"), step};
            a.hears(row.said);
            CHECK(a.verdict().substr(0, 5) == std::string{row.code});
            CHECK_FALSE(a.login.not_admitted());
            CHECK(a.buffer.size() < 100'000);
        }
    }
}

TEST_CASE("pool log-in: in SCRAM the server has to prove itself, and its nonce may be long") {
    const auto ours = protocol::base64_encode(nonce);
    const auto first = [&](std::size_t more) {
        return asks(auth_kind::sasl_continue, "r=" + ours + std::string(more, 's') + ",s=eA==,i=1");
    };
    for (const std::size_t more : {std::size_t{1}, std::size_t{18}, std::size_t{1000}}) {
        CAPTURE(more);
        attempt a{knows("sesame")};
        a.hears(offers);
        CHECK_FALSE(a.said().empty());
        a.hears(first(more));
        const auto proof = a.said();
        CHECK(proof.find(ours + std::string(more, 's') + ",p=") != std::string::npos);
        SUBCASE("it accepts without a proof of its own") {
            a.hears(accepts + goes_on);
            CHECK(a.verdict().substr(0, 5) == "08001");
        }
        SUBCASE("its proof is false") {
            a.hears(asks(auth_kind::sasl_final, "v=" + protocol::base64_encode(nonce)) + accepts);
            CHECK(a.verdict().substr(0, 5) == "08001");
        }
        SUBCASE("it says that something went wrong") {
            a.hears(asks(auth_kind::sasl_final, "e=other-error"));
            CHECK(a.login.verdict() == result::refused);
        }
        SUBCASE("it sends its part twice") {
            a.hears(first(more));
            CHECK(a.verdict().substr(0, 5) == "08P01");
        }
    }
    const std::size_t too_long[] = {0, protocol::max_scram_nonce, 60'000};
    for (const auto more : too_long) {
        CAPTURE(more);
        attempt a{knows("sesame")};
        a.hears(offers);
        (void)a.said();
        a.hears(first(more));
        CHECK(a.verdict().substr(0, 5) == "08P01");
        CHECK(a.said() == "");
    }
    attempt other{knows("sesame")};  // a nonce that is not ours
    other.hears(offers + asks(auth_kind::sasl_continue, "r=other,s=eA==,i=1"));
    CHECK(other.verdict().substr(0, 5) == "08P01");
}
