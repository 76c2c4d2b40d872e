// Log-ins where what the server asks for is not simply relayed, and the second try of an optional
// server_tls_sslmode. The exchange inside a scram_bridge is tested in tests/io.
#include <doctest/doctest.h>

#include "protocol/sasl.h"
#include "tests/core/script.h"

using namespace core_test;

namespace {

std::string offer(std::vector<std::string_view> names) {
    std::string out;
    protocol::write_sasl_mechanisms(out, names);
    return out;
}
const auto both = offer({protocol::scram_sha_256_plus, protocol::scram_sha_256});
const auto plain = offer({protocol::scram_sha_256});

std::string not_admitted() {
    std::string out;
    protocol::write_error(out, "FATAL", "28000", "no pg_hba.conf entry");
    return out;
}
std::string accepted() { return message(protocol::authentication{}); }

// Never computed with here: an offer that waits for credentials does not get that far.
constexpr core::crypto no_crypto{};

struct encrypted_server {
    explicit encrypted_server(bool client_tls, bool with_crypto) : l{w} {
        w.options.client_tls_offered = true;
        if (with_crypto) w.options.scram = &no_crypto;
        if (client_tls) l.client_tls();
        l.server_tls = true;
        l.client(client_startup());
        l.connected();
        (void)l.to_server();
    }
    world w;
    wired l;
};

}  // namespace

TEST_CASE("authentication: channel binding is not offered to a client without TLS") {
    for (const bool with_crypto : {false, true}) {
        encrypted_server s{false, with_crypto};
        s.l.server(both);
        CHECK(s.l.ask_credentials == with_crypto);
        if (with_crypto) s.l.credentials({});  // nobody could be asked for them
        CHECK(show(s.l.to_client()) == show(plain));
        const auto answer = message(protocol::sasl_initial_response{"SCRAM-SHA-256", "n,,n=,r=x"});
        s.l.client(answer);
        CHECK(show(s.l.to_server()) == show(answer));
    }
}

TEST_CASE("authentication: an offer without channel binding is relayed") {
    for (const bool client_tls : {false, true}) {
        encrypted_server s{client_tls, true};
        s.l.server(plain);
        CHECK(show(s.l.to_client()) == show(plain));
        CHECK(!s.l.ask_credentials);
    }
}

TEST_CASE("authentication: with TLS on one leg alone nothing needs to be bridged") {
    world w;
    w.options.scram = &no_crypto;
    wired l{w};
    l.client_tls();
    l.client(client_startup());
    l.connected();
    l.server(both);  // no server offers this without TLS; it is relayed as it is
    CHECK(show(l.to_client()) == show(both));
    CHECK(!l.ask_credentials);
}

TEST_CASE("authentication: with TLS on both legs the offer waits for the credentials") {
    encrypted_server s{true, true};
    s.l.server(both);
    CHECK(s.l.ask_credentials);
    CHECK(s.l.to_client().empty());
    SUBCASE("nobody could be asked: it is relayed") {
        s.l.client(message(protocol::password{"early"}));
        CHECK(s.l.to_server().empty());
        s.l.credentials({});
        CHECK(show(s.l.to_client()) == show(both));
        CHECK(show(s.l.to_server()) == show(message(protocol::password{"early"})));
    }
    SUBCASE("the client goes meanwhile") {
        s.l.client_gone();
        s.l.credentials({});
        CHECK(s.l.to_client().empty());
    }
    SUBCASE("the server goes meanwhile") {
        s.l.server_gone();
        s.l.credentials({});
        CHECK(s.l.closing);
    }
    SUBCASE("credentials come once") {
        s.l.credentials({});
        (void)s.l.to_client();
        s.l.credentials({});
        CHECK(s.l.to_client().empty());
    }
}

TEST_CASE("authentication: without crypto the offer is relayed") {
    encrypted_server s{true, false};
    s.l.server(both);
    CHECK(show(s.l.to_client()) == show(both));
}

TEST_CASE("authentication: a server that does not admit the connection is tried the other way") {
    world w;
    w.options.server_tls_optional = true;
    wired l{w};
    l.client(client_startup());
    l.connected();
    CHECK(show(l.to_server()) == show(client_startup()));
    l.connect = false;
    l.server(not_admitted());
    CHECK(l.connect);
    CHECK(l.to_client().empty());
    CHECK(!l.closing);
    SUBCASE("and takes it") {
        l.server_tls = true;
        l.connected();
        CHECK(show(l.to_server()) == show(client_startup()));
        l.server(server_log_in());
        CHECK(l.logged_in);
    }
    SUBCASE("and refuses again: its last word counts") {
        l.connected();
        l.connect = false;
        const auto again = failed("28000", "FATAL");
        l.server(again);
        CHECK(!l.connect);
        CHECK(show(l.to_client()) == show(again));
        l.server_gone();
        CHECK(l.closing);
    }
    SUBCASE("and cannot be reached so: its first word counts") {
        l.connect_failed("08001", "the server does not support TLS");
        CHECK(show(l.to_client()) == show(not_admitted()));
        CHECK(l.closing);
    }
    SUBCASE("and the client goes meanwhile") {
        l.client_gone();
        CHECK(l.closing);
    }
}

TEST_CASE("authentication: other refusals are final") {
    const struct {
        const char* name;
        bool optional;
        std::string said;
    } rows[] = {
        {"TLS is not optional", false, not_admitted()},
        {"another code", true, failed("28P01", "FATAL")},
        {"a database that is missing", true, failed("3D000", "FATAL")},
        {"after the server has accepted", true, accepted() + not_admitted()},
        {"after a notice", true, notice() + not_admitted()},
    };
    for (const auto& row : rows) {
        CAPTURE(row.name);
        world w;
        w.options.server_tls_optional = row.optional;
        wired l{w};
        l.client(client_startup());
        l.connected();
        l.connect = false;
        l.server(row.said);
        CHECK(!l.connect);
        CHECK(show(l.to_client()) == show(row.said));
    }
}

TEST_CASE("authentication: a second try does not negotiate the version twice") {
    world w;
    w.options.server_tls_optional = true;
    wired l{w};
    l.client(client_startup({{"_pq_.new", "1"}}));
    l.connected();
    CHECK(!l.to_client().empty());
    l.server(not_admitted());
    l.connected();
    CHECK(l.to_client().empty());
}
