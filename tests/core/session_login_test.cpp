// From the first byte to the first ReadyForQuery.
#include <doctest/doctest.h>

#include "tests/core/script.h"

using namespace core_test;

namespace {

std::string ssl_request() {
    std::string out;
    protocol::write_ssl_request(out);
    return out;
}
std::string gss_request() {
    std::string out;
    protocol::write_gssenc_request(out);
    return out;
}
std::string with_our_key(std::size_t size = 4) {
    return message(protocol::authentication{protocol::auth_kind::ok, {}}) +
           parameter("client_encoding", "UTF8") + parameter("server_encoding", "UTF8") +
           parameter("standard_conforming_strings", "on") + parameter("TimeZone", "UTC") +
           message(protocol::backend_key_data{77, std::string(size, 'k')}) + ready();
}
std::string refusal(std::string_view sqlstate, std::string_view text) {
    std::string out;
    protocol::write_error(out, "FATAL", sqlstate, text);
    return out;
}
std::string password_request() {
    return message(protocol::authentication{protocol::auth_kind::cleartext_password, {}});
}
std::string negotiation(std::uint32_t newest, std::vector<std::string_view> unknown) {
    return message(protocol::negotiate_protocol_version{newest, std::move(unknown)});
}

const auto bytes_behind =
    refusal("08P01", "received unencrypted data after SSL or GSSAPI encryption request");

}  // namespace

TEST_CASE("login: the start-up packet passes, the cancel key is ours, the process id theirs") {
    script{false}
        .client(client_startup(), {})
        .event(step::kind::connected, {.server = client_startup()})
        .server(server_log_in(), {.client = with_our_key()})
        .play_everyhow();
}

TEST_CASE("login: whatever the server asks for is relayed") {
    const auto secret = message(protocol::password{"secret"});
    script{false}
        .client(client_startup(), {})
        .event(step::kind::connected, {.server = client_startup()})
        .server(password_request(), {.client = password_request()})
        .client(secret, {.server = secret})
        .server(server_log_in(), {.client = with_our_key()})
        .play_everyhow();
}

TEST_CASE("login: a refusal passes in the server's words, and its end is no surprise") {
    world w;
    wired l{w};
    l.client(client_startup());
    l.connected();
    (void)l.to_server();
    l.server(failed("3D000", "FATAL"));
    CHECK(show(l.to_client()) == show(failed("3D000", "FATAL")));
    l.server_gone();
    CHECK(l.to_client().empty());
    CHECK(l.closing);
    CHECK(l.refused_because.empty());
}

TEST_CASE("login: GSS is refused, TLS too when it is not offered, and the start-up follows") {
    script{false}
        .client(gss_request(), {.client = "N"})
        .client(ssl_request(), {.client = "N"})
        .client(client_startup(), {})
        .event(step::kind::connected, {.server = client_startup()})
        .play_everyhow();
}

TEST_CASE("login: bytes behind an encryption request in one segment are refused") {
    for (const auto& request : {ssl_request(), gss_request()}) {
        for (const bool offered : {false, true}) {
            world w;
            w.options.client_tls_offered = offered;
            wired l{w};
            l.client(request + client_startup());
            CHECK(show(l.to_client()) == show(bytes_behind));
            CHECK(l.closing);
            CHECK(!l.connect);
            CHECK(!l.start_tls);
        }
    }
}

TEST_CASE("login: an encryption request may come once") {
    world w;
    wired l{w};
    l.client(ssl_request());
    (void)l.to_client();
    l.client(ssl_request());
    CHECK(l.closing);
}

TEST_CASE("login: TLS is offered, and not a second time inside it") {
    world w;
    w.options.client_tls_offered = true;
    w.options.client_tls_required = true;
    wired l{w};
    l.client(ssl_request());
    CHECK(l.to_client() == "S");
    CHECK(l.start_tls);
    l.session().on_client_tls();
    SUBCASE("the start-up goes on") { l.client_gone(); }
    SUBCASE("a second request ends it") {
        l.client(ssl_request());
        CHECK(l.closing);
    }
}

TEST_CASE("login: without the TLS that is required, nothing is connected") {
    world w;
    w.options.client_tls_required = true;
    wired l{w};
    l.client(client_startup());
    CHECK(l.closing);
    CHECK(!l.connect);
    CHECK(show(l.to_client()).find("28000") != std::string::npos);
}

TEST_CASE("login: a CancelRequest is handed over and the connection ends without a word") {
    world w;
    wired l{w};
    std::string request;
    protocol::write_cancel_request(request, 4711, "\x7f\0\1\2"sv);
    l.client(request);
    REQUIRE(l.cancel_request);
    CHECK(l.cancel_request->pid == 4711);
    CHECK(l.cancel_request->key == "\x7f\0\1\2"sv);
    CHECK(l.closing);
    CHECK(l.to_client().empty());
}

TEST_CASE("login: protocol 3.2 has long keys; the server is spoken to in 3.0") {
    script{false}
        .client(client_startup({}, protocol::protocol_3_2), {})
        .event(step::kind::connected, {.server = client_startup()})
        .server(server_log_in(), {.client = with_our_key(32)})
        .play_everyhow();
}

TEST_CASE("login: what is newer than 3.2 is negotiated down, and unknown options are named") {
    script{false}
        .client(client_startup({{"_pq_.new", "1"}, {"_pq_.newer", "2"}}, 3U << 16 | 9U), {})
        .event(step::kind::connected,
               {.server = client_startup(),
                .client = negotiation(protocol::protocol_3_2, {"_pq_.new", "_pq_.newer"})})
        .server(server_log_in(), {.client = with_our_key(32)})
        .play_everyhow();
}

TEST_CASE("login: a 3.0 client with an unknown option is not told of a newer version") {
    script{false}
        .client(client_startup({{"_pq_.new", "1"}}), {})
        .event(step::kind::connected, {.server = client_startup(),
                                       .client = negotiation(protocol::protocol_3_0, {"_pq_.new"})})
        .server(server_log_in(), {.client = with_our_key()})
        .play_everyhow();
}

TEST_CASE("login: a query sent ahead waits for the log-in") {
    const auto select = query("SELECT v FROM kv");
    script{false}
        .client(client_startup() + select, {})
        .event(step::kind::connected, {.server = client_startup()})
        .server(server_log_in(), {.server = select, .client = with_our_key()})
        .server(answer("1"), {.client = answer("1")})
        .play_everyhow();
}

TEST_CASE("login: no user, no connection") {
    world w;
    wired l{w};
    std::string packet;
    const protocol::startup_parameter only[]{{"database", "db"}};
    protocol::write_startup(packet, protocol::protocol_3_0, only);
    l.client(packet);
    CHECK(l.closing);
    CHECK(!l.connect);
}

TEST_CASE("login: a password message before start-up is an invalid packet") {
    world w;
    wired l{w};
    l.client(message(protocol::password{"secret"}));
    CHECK(l.closing);
    CHECK(show(l.to_client()).find("08P01") != std::string::npos);
    CHECK(show(l.to_client()).find("secret") == std::string::npos);
}

TEST_CASE("login: an unreachable server is told in the words given") {
    world w;
    wired l{w};
    l.client(client_startup());
    core::actions out;
    l.session().on_upstream_failed("08001", "cannot reach the server", w.now, out);
    std::string told;
    for (const auto piece : out.client.pieces()) told.append(piece);
    CHECK(show(told) == show(refusal("08001", "cannot reach the server")));
    CHECK(out.close);
}

TEST_CASE("login: the start-up parameters outrank the options, wherever they stand") {
    const auto select = query("SELECT v FROM kv");
    world w;
    const auto answered = [&](std::vector<protocol::startup_parameter> more) {
        wired l{w};
        l.log_in(std::move(more));
        l.client(select);
        const bool passed = !l.to_server().empty();
        if (passed) l.server(answer("of this key"));
        (void)l.to_client();
        l.client_gone();
        return !passed;
    };
    CHECK(!answered({{"search_path", "public"}}));
    CHECK(answered({{"search_path", "public"}}));
    CHECK(answered({{"search_path", "public"}, {"options", "-c search_path=bob"}}));
    CHECK(answered({{"options", "-c search_path=bob"}, {"search_path", "public"}}));
    CHECK(!answered({{"options", "-c search_path=bob"}}));
}

TEST_CASE("login: options that cannot be followed pass, without the cache") {
    const auto select = query("SELECT v FROM kv");
    script{}
        .start_up({{"options", "-d 3"}})
        .passes(select, answer("one"))
        .passes(select, answer("one"))
        .play_everyhow();
}

TEST_CASE("login: a replication session passes unread") {
    const auto odd = "W\0\0\0\4"s;
    script{}
        .start_up({{"replication", "database"}})
        .client(odd, {.server = odd})
        .server(message(protocol::copy_done{}), {.client = message(protocol::copy_done{})})
        .play_everyhow();
}

TEST_CASE("login: what no server may say during the log-in ends it") {
    for (const char type : {'D', 'C', 'T', 'G', '1', 'v', '?'}) {
        CAPTURE(type);
        world w;
        wired l{w};
        l.client(client_startup());
        l.connected();
        l.server(std::string{type} + "\0\0\0\4"s);
        CHECK(l.closing);
        CHECK(show(l.to_client()).find("08P01") != std::string::npos);
    }
}

TEST_CASE("login: a server that lost its words about the end is named by us") {
    world w;
    wired l{w};
    l.client(client_startup());
    l.connected();
    l.server_gone();
    CHECK(show(l.to_client()).find("08006") != std::string::npos);
}
