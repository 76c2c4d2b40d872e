// Sessions that share a server connection (pool_mode: transaction).
#include <doctest/doctest.h>

#include "tests/core/shared_server.h"

using namespace core_test;

namespace {

const std::string was_set = described() + row_of("") + completed("SELECT 1");
const std::string set_again = was_set + parameter("application_name", "y") + ready();
const std::string done = completed("UPDATE 1") + ready();
constexpr auto write_kv = "UPDATE kv SET v = 1 WHERE id = 0";

// It keeps the connection, and a RESET has taken its start-up's application_name away there.
wired& listening_after_reset(shared_server& server) {
    auto& l = server.log_in({{"application_name", "y"}});
    l.client(query("LISTEN c"));
    server.restored(l);
    l.server(completed("LISTEN") + ready());
    (void)l.to_client();
    l.client(query("RESET ALL"));
    REQUIRE(show(l.to_server()) == show(query("RESET ALL")));
    l.server(completed("RESET") + parameter("application_name", "") + ready());
    REQUIRE(show(l.to_client()) == show(completed("RESET") + ready()));
    REQUIRE(l.to_server().find("application_name") != std::string::npos);
    REQUIRE(!server.free);
    return l;
}

}  // namespace

TEST_CASE("pooled: a row of what is restored is not the client's, however it arrives") {
    for (std::size_t cut = 0; cut < set_again.size(); ++cut) {
        CAPTURE(cut);
        world w;
        shared_server server{w};
        auto& l = server.log_in({{"application_name", "y"}});
        server.renew();
        l.client(query(write_kv));
        REQUIRE(l.to_server().find("set_config") != std::string::npos);
        l.server(set_again.substr(0, cut));
        l.server(set_again.substr(cut));
        CHECK(show(l.to_client()) == "");
        CHECK(show(l.to_server()) == show(query(write_kv)));
        l.server(done);
        CHECK(show(l.to_client()) == show(done));
    }
}

TEST_CASE("pooled: the front of a message takes no connection, and all of it takes one") {
    const std::string long_text(2U << 20, ' ');
    const struct {
        const char* name;
        std::string bytes;
        std::size_t front;  // of it that lets it go on
    } rows[] = {
        {"query", query(write_kv), query(write_kv).size()},
        {"parse", parse("s", write_kv), parse("s", write_kv).size()},
        {"long query", query(write_kv + long_text), 8192},
        {"long parse", parse("s", write_kv + long_text), 8192},
        {"long bind", bind("s", {long_text}), 8192},
    };
    for (const bool cache : {true, false}) {
        for (const auto& row : rows) {
            CAPTURE(row.name);
            CAPTURE(cache);
            world w;
            w.options.cache = cache;
            shared_server server{w};
            auto& l = server.log_in();
            const auto before = server.taken;
            for (std::size_t at = 0; at + 1 < row.front; at += 1 + at / 4)
                l.client(row.bytes.substr(at, std::min(1 + at / 4, row.front - 1 - at)));
            CHECK(server.taken == before);
            CHECK(show(l.to_server()) == "");
            l.client(row.bytes.substr(row.front - 1));
            l.client(sync_now());
            server.restored(l);
            CHECK(!server.free);
        }
    }
}

TEST_CASE("pooled: the rest of a connection that was given up is not expected of the next one") {
    const auto half = described().size() + 8;
    world w;
    w.options.query_wait_timeout = std::chrono::milliseconds{100};
    shared_server server{w};
    auto& l = server.log_in({{"application_name", "y"}});
    server.renew();
    l.client(query(write_kv));
    l.server(set_again.substr(0, half));
    l.later(std::chrono::milliseconds{200});
    CHECK(l.to_client().find("55P03") != std::string::npos);
    CHECK(server.unfit == 1);
    l.client(query(write_kv));
    l.server(set_again);
    CHECK(show(l.to_client()) == "");
    l.server(done);
    CHECK(show(l.to_client()) == show(done));
    CHECK(!l.closing);
}

TEST_CASE("pooled: RESET of what the start-up gave tells the client that value") {
    world w;
    shared_server server{w};
    auto& l = server.log_in({{"application_name", "y"}});
    l.client(query("SET application_name = 'z'"));
    server.restored(l);
    l.server(completed("SET") + parameter("application_name", "z") + ready());
    (void)l.to_client();
    l.client(query("RESET application_name"));
    l.server(completed("RESET") + parameter("application_name", "") + ready());
    CHECK(show(l.to_client()) ==
          show(completed("RESET") + parameter("application_name", "y") + ready()));
    // And says nothing where the client has it already.
    l.client(query("RESET application_name"));
    server.restored(l);
    l.server(completed("RESET") + parameter("application_name", "") + ready());
    CHECK(show(l.to_client()) == show(completed("RESET") + ready()));
}

TEST_CASE("pooled: a cancel takes no kept connection away while its settings are restored") {
    world w;
    shared_server server{w};
    auto& l = listening_after_reset(server);
    CHECK(!l.cancel());
    l.server(set_again);
    CHECK(show(l.to_client()) == "");
    l.client(query(write_kv));
    CHECK(show(l.to_server()) == show(query(write_kv)));
    l.server(done);
    CHECK(show(l.to_client()) == show(done));
    CHECK(server.unfit == 0);
    CHECK(!server.free);
}

TEST_CASE("pooled: a notification is told also while settings are restored") {
    world w;
    shared_server server{w};
    auto& l = listening_after_reset(server);
    const auto notification = message(protocol::notification_response{9, "c", ""});
    l.server(notification + set_again);
    CHECK(show(l.to_client()) == show(notification));
}

TEST_CASE("pooled: behind a RESET in a pipeline stands what the start-up gave") {
    world w;
    shared_server server{w, {"app.tenant_id"}};
    auto& l = server.log_in({{"app.tenant_id", "a"}});
    l.client(query("RESET app.tenant_id") + query("UPDATE notes SET v = 1"));
    server.restored(l);
    l.server(completed("RESET") + ready());
    CHECK(show(l.to_client()) == show(completed("RESET") + ready()));
    const auto again = l.to_server();
    CHECK(again.find("E'app.tenant_id',E'a'") != std::string::npos);
    CHECK(again.find("UPDATE") == std::string::npos);
    l.server(was_set + ready());
    CHECK(show(l.to_server()) == show(query("UPDATE notes SET v = 1")));
}

TEST_CASE("pooled: what a DO block has set stands but for what a RESET takes away") {
    static constexpr auto hidden = "DO $$BEGIN PERFORM become_b(); END$$";
    const auto did = completed("DO") + ready();
    const auto reset = completed("RESET") + ready();
    world w;
    shared_server server{w, {"app.tenant_id"}};
    auto& l = server.log_in({{"app.tenant_id", "a"}});
    const auto runs = [&](const std::string& request, const std::string& reply) {
        l.client(request);
        server.restored(l);
        l.server(reply);
        CHECK(show(l.to_client()) == show(reply));
        return l.to_server();
    };
    CHECK(show(runs(query(hidden), did)) == "");
    SUBCASE("a RESET of something else") { CHECK(show(runs(query("RESET ROLE"), reset)) == ""); }
    SUBCASE("a RESET that is rolled back") {
        (void)runs(query("BEGIN"), completed("BEGIN") + ready('T'));
        (void)runs(query("RESET app.tenant_id"), completed("RESET") + ready('T'));
        CHECK(show(runs(query("ROLLBACK"), completed("ROLLBACK") + ready())) == "");
    }
    SUBCASE("a RESET that is undone at once") {
        const auto both = query(std::string{"RESET app.tenant_id; "} + hidden);
        CHECK(show(runs(both, completed("RESET") + did)) == "");
    }
    SUBCASE("a RESET of it") {
        const auto again = runs(query("RESET app.tenant_id"), reset);
        CHECK(again.find("E'app.tenant_id',E'a'") != std::string::npos);
    }
    SUBCASE("a RESET of it before another one of something else") {
        l.client(query("RESET app.tenant_id") + query("RESET ROLE"));
        l.server(reset);
        const auto again = l.to_server();
        CHECK(again.find("E'app.tenant_id',E'a'") != std::string::npos);
    }
    CHECK(!server.free);
}

TEST_CASE("pooled: who uses a name waits for what has become of it") {
    world w;
    shared_server server{w};
    auto& l = server.log_in();
    const auto made = parse("s", "SELECT v FROM other, random() r") + sync_now();
    const auto use = bind("s") + execute() + sync_now();
    l.client(made);
    l.server(parse_complete() + ready());
    (void)l.to_client();
    std::string first, refused = failed("57014") + ready();
    SUBCASE("a Close") { first = message(protocol::close{'S', "s"}) + sync_now(); }
    SUBCASE("a Parse, which has to fail") {
        first = made;
        refused = failed("42P05") + ready();
    }
    (void)l.to_server();
    l.client(first + use);
    CHECK(show(l.to_server()).find("B'") == std::string::npos);
    l.server(refused);
    CHECK(show(l.to_client()) == show(refused));
    // The statement is still there.
    CHECK(show(l.to_server()).find("B'\\00pgsidecar:1") != std::string::npos);
}

TEST_CASE("pooled: what others have set there matters to answers that ask for it alone") {
    world w;
    shared_server server{w};
    auto& other = server.log_in();
    auto& l = server.log_in();
    for (const auto name : {"app.elsewhere", "app.tenant_id"}) {
        other.client(query("SET " + std::string{name} + " = 'x'"));
        server.restored(other);
        other.server(completed("SET") + ready());
    }
    const auto asks = [&](const std::string& request) {
        l.client(request);
        server.restored(l);
        l.server(answer("1"));
        (void)l.to_client();
        l.client(request);
        return l.to_server().empty();  // the cache has answered
    };
    CHECK(asks(query("SELECT v FROM kv WHERE id = 0")));
    CHECK(!asks(query("SELECT v FROM notes")));  // whose policy asks for app.tenant_id
}

TEST_CASE("pooled: who has ended to listen does when that is committed") {
    const auto unlisten = query("UNLISTEN *");
    world w;
    shared_server server{w};
    auto& l = server.log_in();
    const auto runs = [&](const std::string& request, const std::string& reply) {
        l.client(request);
        l.server(reply);
        CHECK(show(l.to_client()) == show(reply));
    };
    runs(query("LISTEN c"), completed("LISTEN") + ready());
    CHECK(!server.free);
    SUBCASE("at once") {
        runs(unlisten, completed("UNLISTEN") + ready());
        CHECK(server.free);
    }
    SUBCASE("in a block") {
        runs(query("BEGIN"), completed("BEGIN") + ready('T'));
        runs(unlisten, completed("UNLISTEN") + ready('T'));
        SUBCASE("that is committed") {
            runs(query("COMMIT"), completed("COMMIT") + ready());
            CHECK(server.free);
        }
        SUBCASE("that is rolled back") {
            runs(query("ROLLBACK"), completed("ROLLBACK") + ready());
            CHECK(!server.free);
        }
        SUBCASE("that has failed") {
            runs(query("SELECT 1/0"), failed("22012") + ready('E'));
            runs(query("COMMIT"), completed("ROLLBACK") + ready());
            CHECK(!server.free);
        }
        SUBCASE("and listens again") {
            runs(query("LISTEN c"), completed("LISTEN") + ready('T'));
            runs(query("COMMIT"), completed("COMMIT") + ready());
            CHECK(!server.free);
        }
    }
    SUBCASE("in a text that fails") {
        runs(query("UNLISTEN *; SELECT 1/0"), completed("UNLISTEN") + failed("22012") + ready());
        CHECK(!server.free);
    }
}

TEST_CASE("pooled: who keeps a connection does not wait for who waits for it") {
    world w;
    shared_server server{w};
    const auto read = query("SELECT v FROM kv WHERE id = 0");
    auto& waits = server.log_in();
    auto& keeps = server.log_in();
    keeps.client(query("LISTEN c"));
    keeps.server(completed("LISTEN") + ready());
    (void)keeps.to_client();
    (void)keeps.to_server();
    waits.client(read);
    REQUIRE(server.waiting == 1);
    keeps.client(read);
    CHECK(show(keeps.to_server()) == show(read));
    keeps.server(answer("1"));
    CHECK(show(keeps.to_client()) == show(answer("1")));
}

TEST_CASE("pooled: connections with outdated defaults are no failed attempts, however many") {
    world w;
    shared_server server{w};
    auto& l = server.log_in();
    w.dbs.defaults_altered.fetch_add(1);
    server.stale = 20;  // and the one that lies ready
    l.client(query(write_kv));
    CHECK(show(l.to_server()) == show(query(write_kv)));
    CHECK(server.unfit == 21);
    l.server(done);
    CHECK(show(l.to_client()) == show(done));
    CHECK(server.unfit == 21);
}
