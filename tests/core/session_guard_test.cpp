// Log-ins where the proxy itself asks the client. What is asked and answered inside is tested in
// tests/io; here: in which order, and what happens when one side goes.
#include <doctest/doctest.h>

#include <optional>

#include "protocol/sasl.h"
#include "tests/core/toy_crypto.h"
#include "tests/core/world.h"

using namespace core_test;
using core::auth_method;

namespace {

struct guarded {
    guarded() {
        w.options.authenticates = true;
        w.options.scram = &toy_crypto;
    }
    ~guarded() {
        if (!l.closing && !closed) l.client_gone();
        CHECK(w.unrest(l.unsettled) == "");
    }
    std::string rules(auth_method method, bool answered = true,
                      std::optional<std::string> secret = "sesame") {
        core::client_login given;
        given.user = "app";
        given.secret = std::move(secret);
        given.random.assign(core::client_login::random_size + core::scram_nonce_size, 'r');
        core::actions todo;
        l.session().on_login_rules(method,
                                   answered ? std::optional{std::move(given)} : std::nullopt, todo);
        connect = connect || todo.connect_upstream;
        closed = closed || todo.close;
        std::string out;
        for (const auto piece : todo.client.pieces()) out.append(piece);
        return out;
    }
    world w;
    wired l{w};
    bool connect = false, closed = false;
};

const auto cleartext =
    message(protocol::authentication{protocol::auth_kind::cleartext_password, {}});
const auto ok = message(protocol::authentication{});

std::string typed(std::string_view text) { return message(protocol::password{text}); }

}  // namespace

TEST_CASE("guard: nothing is connected to before the client has shown its password") {
    guarded g;
    g.l.client(client_startup());
    CHECK_FALSE(g.l.connect);
    CHECK(g.l.to_client().empty());
    CHECK(show(g.rules(auth_method::password)) == show(cleartext));
    CHECK_FALSE(g.connect);
    g.l.client(typed("sesame"));
    CHECK(g.l.connect);
    CHECK(g.l.to_client().empty());  // it is let in when the server has let us in
    g.l.connected();
    CHECK(show(g.l.to_server()) == show(client_startup()));
    g.l.server(cleartext);
    CHECK(show(g.l.to_server()) == show(typed("sesame")));
    CHECK(g.l.to_client().empty());
    g.l.server(server_log_in());
    CHECK(g.l.logged_in);
    CHECK(g.l.to_client().starts_with(ok));
}

TEST_CASE("guard: a wrong password, byte by byte or at once, is refused here") {
    for (const bool split : {false, true}) {
        guarded g;
        g.l.client(client_startup());
        (void)g.rules(auth_method::password);
        const auto answer = typed("wrong");
        if (split)
            for (const char c : answer) g.l.client({&c, 1});
        else
            g.l.client(answer);
        CHECK(g.l.closing);
        CHECK_FALSE(g.l.connect);
        const auto told = g.l.to_client();
        CHECK(told.find("28P01") != std::string::npos);
        CHECK(told.find("for user \"app\"") != std::string::npos);
    }
}

TEST_CASE("guard: what comes before it is asked for waits, and is then what was asked for") {
    guarded g;
    g.l.client(client_startup() + typed("sesame"));
    CHECK_FALSE(g.l.connect);
    CHECK(g.l.held() > 0);
}

TEST_CASE("guard: whom nobody could be asked about is refused, and not remembered") {
    guarded g;
    g.l.client(client_startup());
    CHECK(g.rules(auth_method::scram_sha_256, false).find("08006") != std::string::npos);
    CHECK(g.closed);
}

TEST_CASE("guard: trust goes straight to the server, whose own question has no answer then") {
    guarded g;
    g.l.client(client_startup());
    CHECK(g.rules(auth_method::trust, true, std::nullopt).empty());
    CHECK(g.connect);
    g.l.connected();
    (void)g.l.to_server();
    g.l.server(cleartext);
    CHECK(g.l.closing);
    CHECK(g.l.to_client().find("28P01") != std::string::npos);
    CHECK(g.l.to_server().find("sesame") == std::string::npos);
}

TEST_CASE("guard: a server that lets us in without proving itself is left") {
    guarded g;
    g.l.client(client_startup());
    (void)g.rules(auth_method::password);
    g.l.client(typed("sesame"));
    g.l.connected();
    std::string offer;
    const std::string_view names[]{protocol::scram_sha_256};
    protocol::write_sasl_mechanisms(offer, names);
    g.l.server(offer);
    CHECK(g.l.to_server().find("n,,n=") != std::string::npos);
    g.l.server(ok);
    CHECK(g.l.closing);
    CHECK(g.l.to_client().find("08001") != std::string::npos);
}

TEST_CASE("guard: anything but a password while one is asked for ends the log-in") {
    for (const auto& other : {query("SELECT 1"), sync_now(), "p\xff\xff\xff\xff"s}) {
        guarded g;
        g.l.client(client_startup());
        (void)g.rules(auth_method::password);
        g.l.client(other);
        CHECK(g.l.closing);
        CHECK(g.l.to_client().find("08P01") != std::string::npos);
    }
    guarded g;
    g.l.client(client_startup());
    (void)g.rules(auth_method::password);
    g.l.client(terminate());
    CHECK(g.l.closing);
    CHECK(g.l.to_client().empty());
}

TEST_CASE("guard: either side may go at any point") {
    for (int stage = 0; stage < 4; ++stage) {
        for (const bool client_dies : {true, false}) {
            guarded g;
            g.l.client(client_startup());
            if (stage > 0) (void)g.rules(auth_method::password);
            if (stage > 1) g.l.client(typed("sesame"));
            if (stage > 2) g.l.connected();
            if (client_dies || stage < 3)
                g.l.client_gone();
            else
                g.l.server_gone();
            CHECK(g.l.session().closed());
            CHECK(g.rules(auth_method::password).empty());  // comes too late
        }
    }
}

TEST_CASE("guard: a shutdown does not wait for a client that is being asked") {
    guarded g;
    g.l.client(client_startup());
    (void)g.rules(auth_method::password);
    g.l.shutdown();
    CHECK(g.l.closing);
    CHECK(g.l.to_client().find("57P01") != std::string::npos);
}
