// Simple queries: what passes, what the cache answers, what a pipeline must not overtake.
#include <doctest/doctest.h>

#include "tests/core/script.h"

using namespace core_test;

namespace {

const std::string select_kv = query("SELECT v FROM kv WHERE id = 1");

}  // namespace

TEST_CASE("query: the first answer is kept, the second comes from it byte for byte") {
    script{}.passes(select_kv, answer("one")).hits(select_kv, answer("one")).play_everyhow();
}

TEST_CASE("query: another text, another answer") {
    const auto two = query("SELECT v FROM kv WHERE id = 2");
    script{}
        .passes(select_kv, answer("one"))
        .passes(two, answer("two"))
        .hits(two, answer("two"))
        .hits(select_kv, answer("one"))
        .play_everyhow();
}

TEST_CASE("query: inside a block nothing is kept and nothing is served") {
    const auto in_block = described() + row_of("one") + completed("SELECT 1") + ready('T');
    script{}
        .passes(select_kv, answer("one"))
        .passes(query("BEGIN"), completed("BEGIN") + ready('T'))
        .passes(select_kv, in_block)
        .passes(query("COMMIT"), completed("COMMIT") + ready())
        .hits(select_kv, answer("one"))
        .play_everyhow();
}

TEST_CASE("query: in a failed block the server is asked") {
    script{}
        .passes(select_kv, answer("one"))
        .passes(query("BEGIN"), completed("BEGIN") + ready('T'))
        .passes(query("SELECT 1/0"), failed("22012") + ready('E'))
        .passes(select_kv, failed("25P02") + ready('E'))
        .passes(query("ROLLBACK"), completed("ROLLBACK") + ready())
        .hits(select_kv, answer("one"))
        .play_everyhow();
}

TEST_CASE("query: an answer with an error, a notice or a parameter in it is not kept") {
    const auto one = described() + row_of("one") + completed("SELECT 1");
    for (const auto& reply : {failed("42P01") + ready(), notice() + one + ready(),
                              parameter("TimeZone", "UTC") + one + ready()}) {
        script{}.passes(select_kv, reply).passes(select_kv, answer("one")).play_everyhow();
    }
}

TEST_CASE("query: a half-sent answer is not kept when the rows do not add up") {
    const auto short_one = described() + row_of("one") + completed("SELECT 2") + ready();
    script{}.passes(select_kv, short_one).passes(select_kv, answer("one")).play_everyhow();
}

TEST_CASE("query: a hit waits behind what changes settings, and is looked up anew after it") {
    const auto reset = query("DISCARD ALL");
    script{}
        .passes(select_kv, answer("one"))
        .client(reset + select_kv, {.server = reset})
        .server(completed("DISCARD ALL") + ready(),
                {.client = completed("DISCARD ALL") + ready() + answer("one")})
        .play_everyhow();
}

TEST_CASE("query: likewise behind a pool's reset of several statements") {
    const auto reset = query("RESET ALL;CLOSE ALL;UNLISTEN *;DISCARD TEMP");
    const auto done = completed("RESET") + completed("CLOSE CURSOR ALL") + completed("UNLISTEN") +
                      completed("DISCARD TEMP") + ready();
    script{}
        .passes(select_kv, answer("one"))
        .client(reset + select_kv, {.server = reset})
        .server(done, {.client = done + answer("one")})
        .play_everyhow();
}

TEST_CASE("query: held behind a setting that took effect, the old key must not answer") {
    const auto set = query("SET datestyle = 'German'");
    script{}
        .passes(select_kv, answer("one"))
        .client(set + select_kv, {.server = set})
        .server(completed("SET") + ready(),
                {.server = select_kv, .client = completed("SET") + ready()})
        .server(answer("eins"), {.client = answer("eins")})
        .hits(select_kv, answer("eins"))
        .passes(query("RESET datestyle"), completed("RESET") + ready())
        .hits(select_kv, answer("one"))
        .play_everyhow();
}

TEST_CASE("query: a setting that the server refused changes nothing") {
    script{}
        .passes(select_kv, answer("one"))
        .passes(query("SET datestyle = 'nonsense'"), failed("22023") + ready())
        .hits(select_kv, answer("one"))
        .play_everyhow();
}

TEST_CASE("query: SET in a rolled-back block leaves the old key") {
    script{}
        .passes(select_kv, answer("one"))
        .passes(query("BEGIN"), completed("BEGIN") + ready('T'))
        .passes(query("SET datestyle = 'German'"), completed("SET") + ready('T'))
        .passes(query("ROLLBACK"), completed("ROLLBACK") + ready())
        .hits(select_kv, answer("one"))
        .play_everyhow();
}

TEST_CASE("query: COMMIT of a failed block answers ROLLBACK and undoes its settings") {
    script{}
        .passes(select_kv, answer("one"))
        .passes(query("BEGIN"), completed("BEGIN") + ready('T'))
        .passes(query("SET datestyle = 'German'"), completed("SET") + ready('T'))
        .passes(query("SELECT 1/0"), failed("22012") + ready('E'))
        .passes(query("COMMIT"), completed("ROLLBACK") + ready())
        .hits(select_kv, answer("one"))
        .play_everyhow();
}

TEST_CASE("query: a multi-statement text is one transaction: its error undoes the SET before it") {
    script{}
        .passes(select_kv, answer("one"))
        .passes(query("SET datestyle = 'German'; SELECT 1/0"),
                completed("SET") + failed("22012") + ready())
        .hits(select_kv, answer("one"))
        .play_everyhow();
}

TEST_CASE("query: in a pipeline of two, a hit does not overtake the answer before it") {
    const auto slow = query("SELECT v FROM kv WHERE id = 2");
    // The cached answer waits until the slow one is through.
    script{}
        .passes(select_kv, answer("one"))
        .client(slow + select_kv, {.server = slow})
        .server(answer("two"), {.client = answer("two") + answer("one")})
        .play_everyhow();
}

TEST_CASE("query: behind an own write in the pipeline, the server is asked") {
    const auto update = query("UPDATE kv SET v = 'new' WHERE id = 1");
    const auto updated = completed("UPDATE 1") + ready();
    script{}
        .passes(select_kv, answer("one"))
        .client(update + select_kv, {.server = update + select_kv})
        .server(updated + answer("new"), {.client = updated + answer("new")})
        .passes(select_kv, answer("new"))
        .hits(select_kv, answer("new"))
        .play_everyhow();
}

TEST_CASE("query: a statement of unknown effect ends caching until DISCARD ALL") {
    script{}
        .passes(select_kv, answer("one"))
        .passes(query("DO 'BEGIN END'"), completed("DO") + ready())
        .event(step::kind::catalog)
        .passes(select_kv, answer("one"))
        .passes(select_kv, answer("one"))
        .passes(query("DISCARD ALL"), completed("DISCARD ALL") + ready())
        .passes(select_kv, answer("one"))
        .hits(select_kv, answer("one"))
        .play_everyhow();
}

TEST_CASE("query: a row-security setting is part of the key") {
    const auto notes = query("SELECT v FROM notes");
    script{}
        .passes(query("SET app.tenant_id = 'a'"), completed("SET") + ready())
        .passes(notes, answer("of a"))
        .hits(notes, answer("of a"))
        .passes(query("SET app.tenant_id = 'b'"), completed("SET") + ready())
        .passes(notes, answer("of b"))
        .passes(query("SET app.tenant_id = 'a'"), completed("SET") + ready())
        .hits(notes, answer("of a"))
        .play_everyhow();
}

TEST_CASE("query: the same name under another role's \"$user\" is another table") {
    script{}
        .passes(select_kv, answer("public's"))
        .passes(query("SET ROLE bob"), completed("SET") + ready())
        .passes(select_kv, answer("bob's"))
        .hits(select_kv, answer("bob's"))
        .passes(query("RESET ROLE"), completed("RESET") + ready())
        .hits(select_kv, answer("public's"))
        .play_everyhow();
}

TEST_CASE("query: an idle client's Terminate reaches the server once") {
    script{}
        .passes(select_kv, answer("one"))
        .client(terminate(), {.server = terminate()})
        .play_everyhow();
}

TEST_CASE("query: Terminate behind a query leaves the server time to answer") {
    script{}
        .client(select_kv + terminate(), {.server = select_kv + terminate()})
        .server(answer("one"), {.client = answer("one")})
        .play_everyhow();
}

TEST_CASE("query: an expired entry is asked for again") {
    world w;
    wired l{w};
    l.log_in();
    l.client(select_kv);
    l.server(answer("one"));
    (void)l.to_server();
    w.now += std::chrono::minutes{5};
    l.client(select_kv);
    CHECK(show(l.to_server()) == show(select_kv));
    l.client_gone();
}

TEST_CASE("query: texts that differ in literals share their analysis, not their answers") {
    world w;
    core::decider& d = w.deciders.front();
    const auto one = d.text("SELECT v FROM kv WHERE id = 1"),
               two = d.text("SELECT v FROM kv WHERE id = 2");
    CHECK(one->known == two->known);
    CHECK(one->sql != two->sql);
    const auto clock = d.text("SELECT v FROM kv WHERE id = 1 AND v = 'today'");
    CHECK(clock->known != d.text("SELECT v FROM kv WHERE id = 1 AND v = 'x'")->known);
    CHECK(d.text("SET a.b = 'c'")->known != d.text("SET a.b = 'd'")->known);
    CHECK(d.text("SELECT v FROM other WHERE id = 1")->known != one->known);
}

TEST_CASE("query: a statement that is not asked again keeps no catalog that has been replaced") {
    world w;
    core::decider& d = w.deciders.front();
    const auto text = d.text("SELECT v FROM kv WHERE id = 1");
    auto scope = d.scope(w.db(), "public", "app", false);
    const auto before = d.plan_for(*text, w.db(), scope);
    CHECK(d.plan_for(*text, w.db(), scope) == before);
    const std::weak_ptr<const policy::catalog> old = w.db().latest_catalog();
    REQUIRE(!old.expired());
    w.publish();
    scope = d.scope(w.db(), "public", "app", false);
    CHECK(old.expired());
    const auto after = d.plan_for(*text, w.db(), scope);
    CHECK(after != before);
    CHECK(text->known->plans.size() == 1);
}
