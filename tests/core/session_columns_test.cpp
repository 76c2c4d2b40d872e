// What a client was told of a prepared statement, and what another server connection makes of it.
#include <doctest/doctest.h>

#include "tests/core/shared_server.h"

using namespace core_test;

namespace {

// The cache never answers it.
const auto run_s = bind("s") + execute("", 1) + sync_now();
const auto rows = row_of("x") + completed("SELECT 1") + ready();

// The unnamed statement, with the parameter that the client was told of.
const auto of_int4 = "P\0\0\0\x1c\0SELECT v FROM kv\0\0\x01\0\0\0\x17"s;

std::string parameters(std::uint32_t type) {
    std::string out;
    protocol::writer w{out};
    w.begin('t');
    w.u16(1);
    w.u32(type);
    w.end();
    return out;
}

// The statement was described to it, as of a parameter of type 23 and a column named v.
wired& told(shared_server& server, std::string_view name) {
    auto& l = server.log_in();
    l.client(parse(name, "SELECT v FROM kv") + describe_statement(name) + sync_now());
    server.restored(l);
    (void)l.to_server();
    l.server(parse_complete() + parameters(23) + described() + ready());
    REQUIRE(show(l.to_client()) == show(parse_complete() + parameters(23) + described() + ready()));
    REQUIRE(server.free);
    return l;
}

}  // namespace

TEST_CASE("columns: prepared anew elsewhere it is described there, once, and nobody waits") {
    const auto made = parse_complete() + parameters(23) + described();
    for (std::size_t cut = 0; cut < made.size(); ++cut) {
        CAPTURE(cut);
        world w;
        shared_server server{w};
        auto& l = told(server, "s");
        server.renew();
        l.client(run_s);
        const auto ours =
            parse("pgsidecar:1", "SELECT v FROM kv") + describe_statement("pgsidecar:1");
        const auto theirs = bind("pgsidecar:1") + execute("", 1) + sync_now();
        CHECK(show(l.to_server()) == show(ours + theirs));
        l.server(made.substr(0, cut));
        l.server(made.substr(cut) + bind_complete() + rows);
        CHECK(show(l.to_client()) == show(bind_complete() + rows));
        l.client(run_s);
        CHECK(show(l.to_server()) == show(theirs));
    }
}

TEST_CASE("columns: others than it was told are not shown to the client, nor are parameters") {
    const auto other = [](std::string_view column, std::uint32_t type) {
        return parse_complete() + parameters(type) + described(column);
    };
    for (const auto& made :
         {other("w", 23), other("v", 25), parse_complete() + parameters(23) + no_data()}) {
        world w;
        shared_server server{w};
        auto& l = told(server, "s");
        server.renew();
        l.client(run_s);
        l.server(made + bind_complete() + rows);
        const auto end = l.to_client();
        CHECK(end.find("C0A000\0"s) != std::string::npos);
        CHECK(end.find("SFATAL\0"s) != std::string::npos);
        CHECK(end.find(row_of("x")) == std::string::npos);
        CHECK(l.session().closed());
    }
}

TEST_CASE("columns: the unnamed statement waits for its description elsewhere") {
    const auto made = parse_complete() + parameters(23) + described();
    const auto run = bind("") + execute("", 1) + sync_now();
    for (const bool same : {true, false}) {
        CAPTURE(same);
        world w;
        shared_server server{w};
        auto& l = told(server, "");
        server.renew();
        l.client(run);
        CHECK(show(l.to_server()) == show(of_int4 + describe_statement() + flush()));
        l.server(parse_complete() + parameters(23) + described(same ? "v" : "w"));
        CHECK(show(l.to_client()) == "");
        const auto sent = l.to_server();
        if (same) {
            CHECK(show(sent) == show(run));
            l.server(bind_complete() + rows);
            CHECK(show(l.to_client()) == show(bind_complete() + rows));
            continue;
        }
        CHECK(sent.find(bind("")) == std::string::npos);
        l.server(failed("26000") + ready());
        const auto refused = l.to_client();
        CHECK(refused.find("C0A000\0"s) != std::string::npos);
        CHECK(refused.find("SERROR\0"s) != std::string::npos);
        CHECK(refused.ends_with(ready()));
        CHECK(!l.session().closed());
    }
}

TEST_CASE("columns: who was told nothing asks for nothing") {
    world w;
    shared_server server{w};
    auto& l = server.log_in();
    l.client(parse("s", "SELECT v FROM kv") + sync_now());
    server.restored(l);
    l.server(parse_complete() + ready());
    (void)l.to_client();
    server.renew();
    l.client(run_s);
    CHECK(show(l.to_server()) == show(parse("pgsidecar:1", "SELECT v FROM kv") +
                                      bind("pgsidecar:1") + execute("", 1) + sync_now()));
}
