// Clients that say nothing: in a transaction and outside of one, each with its own time.
#include <doctest/doctest.h>

#include "tests/core/world.h"

using namespace core_test;
using namespace std::chrono_literals;

namespace {

const auto select_kv = query("SELECT v FROM kv");

struct idle_world {
    idle_world() {
        w.options.client_idle_timeout = 60s;
        w.options.idle_transaction_timeout = 10s;
        l.log_in();
    }
    ~idle_world() {
        if (!l.closing) l.client_gone();
        CHECK(w.unrest(l.unsettled) == "");
    }
    void passes(const std::string& request, const std::string& reply) {
        l.client(request);
        l.server(reply);
        (void)l.to_client();
    }
    bool ended(std::string_view sqlstate) {
        return l.closing && l.to_client().find(sqlstate) != std::string::npos;
    }
    world w;
    wired l{w};
};

}  // namespace

TEST_CASE("idle: a client that says nothing is disconnected, not before its time") {
    idle_world i;
    i.l.later(59s);
    CHECK_FALSE(i.l.closing);
    i.passes(select_kv, answer("one"));
    i.l.later(59s);
    CHECK_FALSE(i.l.closing);
    i.l.later(1s);
    CHECK(i.ended("57P05"));
}

TEST_CASE("idle: who says nothing keeps no catalog that has been replaced") {
    idle_world i;
    i.passes(select_kv, answer("one"));
    const std::weak_ptr<const policy::catalog> before = i.w.db().usable_catalog();
    i.w.db().want_reload();
    i.l.catalog_read();
    CHECK_FALSE(before.expired());
    i.l.session().forget_old_catalog();
    i.w.deciders.front().forget_old_scopes();
    CHECK(before.expired());
    i.l.client(select_kv);
    CHECK(show(i.l.to_client()) == show(answer("one")));
}

TEST_CASE("idle: an answer of the cache is a sign of life") {
    idle_world i;
    i.passes(select_kv, answer("one"));
    i.l.later(59s);
    i.l.client(select_kv);
    CHECK(show(i.l.to_client()) == show(answer("one")));
    i.l.later(59s);
    CHECK_FALSE(i.l.closing);
}

TEST_CASE("idle: a transaction has its own, shorter time") {
    idle_world i;
    i.passes(query("BEGIN"), completed("BEGIN") + ready('T'));
    i.l.later(9s);
    CHECK_FALSE(i.l.closing);
    i.l.later(1s);
    CHECK(i.ended("25P03"));
}

TEST_CASE("idle: a failed transaction and a batch without its Sync are transactions, too") {
    {
        idle_world i;
        i.passes(query("BEGIN"), completed("BEGIN") + ready('T'));
        i.passes(query("SELECT nothing"), failed("42703") + ready('E'));
        i.l.later(10s);
        CHECK(i.ended("25P03"));
    }
    {
        idle_world i;
        i.passes(parse("", "INSERT INTO kv VALUES ('1')") + bind("") + execute() + flush(),
                 parse_complete() + bind_complete() + completed("INSERT 0 1"));
        i.l.later(10s);
        CHECK(i.ended("25P03"));
    }
}

TEST_CASE("idle: who waits for the server is not idle") {
    idle_world i;
    i.l.client(query("INSERT INTO kv VALUES ('1')"));
    i.l.later(1h);
    CHECK_FALSE(i.l.closing);
    i.l.server(completed("INSERT 0 1") + ready());
    i.l.later(59s);
    CHECK_FALSE(i.l.closing);
    i.l.later(1s);
    CHECK(i.ended("57P05"));
}

TEST_CASE("idle: without the settings nobody is disconnected") {
    world w;
    wired l{w};
    l.log_in();
    l.later(1000h);
    CHECK_FALSE(l.closing);
    l.client_gone();
}
