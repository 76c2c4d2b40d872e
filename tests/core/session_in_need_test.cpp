// stale_if_error: what is answered in place of the error that no server connection could be had,
// for how long, and what is not.
#include <doctest/doctest.h>

#include <functional>

#include "tests/core/shared_server.h"

using namespace core_test;
using namespace std::chrono_literals;

namespace {

const auto select_kv = query("SELECT v FROM kv");
const auto none = failed("08006");

// A session whose question has been answered and kept; its connection is somebody else's since.
struct needy {
    needy() {
        w.rules->rules.front().ttl = 10s;
        w.rules->rules.front().stale_if_error = 60s;
    }
    void fill(std::string_view request = select_kv, std::string_view reply = answer("old")) {
        if (!session) session = &server.log_in();
        session->client(request);
        server.restored(*session);
        session->server(reply);
        REQUIRE(show(session->to_client()) == show(reply));
        (void)session->outcomes();
        server.free = false;
    }
    // What the client is told when it asks and no connection can be had.
    std::string asks(std::string_view request = select_kv, std::string_view error = none) {
        session->client(request);
        if (auto told = session->to_client(); !told.empty()) return show(told);
        session->no_server(error);
        return show(session->to_client());
    }
    world w;
    shared_server server{w};
    wired* session = nullptr;
    const std::string old = show(answer("old"));
    const std::string refused = show(none + ready());
};

// A batch that asks for as many rows as it has keys.
std::string batch(std::vector<std::string_view> keys) {
    auto out = parse("", "SELECT v FROM kv WHERE id = $1");
    for (const auto key : keys) out += bind("", {key}) + execute();
    return out + sync_now();
}

}  // namespace

TEST_CASE("in need: the old answer, for as long as the rule says, beside the fresh ones") {
    needy n;
    n.fill();
    n.w.now += 9s;
    CHECK(n.asks() == n.old);
    CHECK(n.session->outcomes() == std::vector{policy::reason::hit});
    n.w.now += 1s;
    CHECK(n.asks() == n.old);
    CHECK(n.session->outcomes() == std::vector{policy::reason::stale_if_error});
    CHECK(n.server.waiting == 0);
    n.w.now += 60s - 1ms;
    CHECK(n.asks() == n.old);
    n.w.now += 1ms;
    CHECK(n.asks() == n.refused);
}

TEST_CASE("in need: a connection that can be had again brings the new answer") {
    needy n;
    n.fill();
    n.w.now += 11s;
    CHECK(n.asks() == n.old);
    n.server.free = true;
    n.fill(select_kv, answer("new"));
    CHECK(n.asks() == show(answer("new")));
    n.w.now += 11s;
    CHECK(n.asks() == show(answer("new")));
}

TEST_CASE("in need: for want of a server alone") {
    const struct {
        const char* code;
        bool served;
    } rows[] = {{"08000", true},  {"08001", true},  {"08006", true},  {"53300", true},
                {"53400", true},  {"57P01", true},  {"57P02", true},  {"57P03", true},
                {"28000", false}, {"28P01", false}, {"3D000", false}, {"42501", false},
                {"57014", false}, {"0A000", false}, {"XX000", false}};
    for (const auto& row : rows) {
        CAPTURE(row.code);
        needy n;
        n.fill();
        n.w.now += 11s;
        CHECK(n.asks(select_kv, failed(row.code, "FATAL")) ==
              (row.served ? n.old : show(failed(row.code) + ready())));
    }
}

TEST_CASE("in need: also when it has waited for too long, but not when it is cancelled") {
    needy n;
    n.w.options.query_wait_timeout = 100ms;
    n.fill();
    n.w.now += 11s;
    n.session->client(select_kv);
    CHECK(n.session->to_client().empty());
    n.session->later(100ms);
    CHECK(show(n.session->to_client()) == n.old);
    n.session->client(select_kv);
    CHECK(!n.session->cancel());
    CHECK(n.session->to_client().find("57014") != std::string::npos);
    CHECK(n.asks() == n.old);
}

TEST_CASE("in need: what was written, or may have been, is not undone") {
    const std::function<void(needy&)> changes[] = {
        [](needy& n) { n.w.kv().bump(); },
        [](needy& n) { n.w.db().whole().bump(); },
        [](needy& n) {
            n.w.kv().begin_commit();
            n.w.kv().lose_commit();
        },
        [](needy& n) { n.w.db().begin_schema_change(); },
        [](needy& n) { n.w.db().want_reload(); },
        [](needy& n) { n.w.dbs.suspend(); },
        [](needy& n) { n.w.db().withdraw(); },
        [](needy& n) {
            n.w.db().lose(n.w.now);
            n.w.db().want_reload();
        },
        [](needy& n) {
            n.w.db().lose(n.w.now);
            n.w.db().begin_schema_change();
        },
        [](needy& n) {
            n.w.db().want_reload();
            n.w.db().doubt(n.w.now);
            n.w.db().lose(n.w.now);
        },
        [](needy& n) {
            n.w.db().lose(n.w.now);
            n.w.publish();
        },
        [](needy& n) {
            n.w.db().lose(n.w.now);
            n.w.dbs.suspend();
        },
    };
    for (const auto& change : changes) {
        CAPTURE(&change - changes);
        needy n;
        n.fill();
        n.w.now += 11s;
        REQUIRE(n.asks() == n.old);
        change(n);
        CHECK(n.asks() == n.refused);
    }
}

TEST_CASE("in need: from when definitions, or writes, were not followed any more") {
    for (const bool of_stream : {false, true}) {
        CAPTURE(of_stream);
        needy n;
        n.w.rules->rules.front().ttl = 1h;
        n.w.db().trust_until(n.w.now + 20s);
        n.fill();
        n.w.now += 11s;
        CHECK(n.asks() == n.old);
        CHECK(n.session->outcomes() == std::vector{policy::reason::hit});
        if (of_stream) {
            n.w.db().trust_until(core::database::time_point::min());  // it was seen until 20 s
        } else {
            n.w.now += 9s;
            n.w.db().lose(n.w.now);
        }
        CHECK(n.asks() == n.old);
        CHECK(n.session->outcomes() == std::vector{policy::reason::stale_if_error});
        // Doubting and losing it again, before it was of use, moves nothing.
        n.w.now += of_stream ? 69s - 1ms : 60s - 1ms;
        n.w.db().doubt(n.w.now);
        n.w.db().lose(n.w.now);
        n.w.db().lose(n.w.now);
        CHECK(n.asks() == n.old);
        n.w.now += 1ms;
        CHECK(n.asks() == n.refused);
    }
}

TEST_CASE("in need: only what the rule allows") {
    needy off;
    off.w.rules->rules.front().stale_if_error = 0s;
    off.fill();
    off.w.now += 10s;
    CHECK(off.asks() == off.refused);
    needy shadow;
    shadow.fill();
    shadow.w.rules->rules.front().mode = policy::rule_mode::shadow;
    shadow.w.db().move_epoch();
    CHECK(shadow.asks() == shadow.refused);
    needy n;
    n.fill();
    CHECK(n.asks(query("SELECT v FROM kv WHERE id = 2")) == n.refused);
    CHECK(n.asks(query("UPDATE kv SET v = 1 WHERE id = 1")) == n.refused);
    CHECK(n.asks(query("SELECT v FROM kv; SELECT v FROM kv")) == n.refused);
    CHECK(n.asks(query("BEGIN")) == show(completed("BEGIN") + ready('T')));
    CHECK(n.asks() == show(none + ready('E')));
    CHECK(n.asks(query("COMMIT")) == show(completed("ROLLBACK") + ready()));
    CHECK(n.asks() == n.old);
}

TEST_CASE("in need: a batch is answered as a whole or not at all") {
    const auto one = bind_complete() + row_of("one") + completed("SELECT 1");
    needy n;
    n.fill(batch({"1"}), parse_complete() + one + ready());
    n.server.free = true;
    n.fill(batch({"2"}), parse_complete() + one + ready());
    n.w.now += 11s;
    CHECK(n.asks(batch({"1", "2"})) == show(parse_complete() + one + one + ready()));
    CHECK(n.session->outcomes() == std::vector(2, policy::reason::stale_if_error));
    CHECK(n.asks(batch({"1", "3"})) == n.refused);
    CHECK(n.asks(batch({"1"})) == show(parse_complete() + one + ready()));
}
