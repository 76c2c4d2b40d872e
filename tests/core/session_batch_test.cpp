// The extended protocol: batches that the cache answers, statements that then exist here and not at
// the server, and everything that only looks like a batch.
#include <doctest/doctest.h>

#include "tests/core/script.h"

using namespace core_test;

namespace {

const auto sql = "SELECT v FROM kv WHERE id = $1"sv;
const auto parsed = parse("", sql);
const auto run = bind("", {"1"}) + describe_portal() + execute() + sync_now();
const auto batch = parsed + run;
const auto rows = described() + row_of("one") + completed("SELECT 1");
const auto ran = bind_complete() + rows + ready();
const auto batch_answer = parse_complete() + ran;
const auto named = parse("s", sql);
const auto run_named = bind("s", {"1"}) + describe_portal() + execute() + sync_now();

}  // namespace

TEST_CASE("batch: the second of its kind is answered here") {
    script{}.passes(batch, batch_answer).hits(batch, batch_answer).play_everyhow();
}

TEST_CASE("batch: a parameter's value is part of the key") {
    const auto two = parsed + bind("", {"2"}) + describe_portal() + execute() + sync_now();
    script{}
        .passes(batch, batch_answer)
        .passes(two, parse_complete() + bind_complete() + described() + row_of("two") +
                         completed("SELECT 1") + ready())
        .hits(batch, batch_answer)
        .play_everyhow();
}

TEST_CASE("batch: without Describe the answer has no description") {
    const auto bare = parsed + bind("", {"1"}) + execute() + sync_now();
    const auto bare_answer =
        parse_complete() + bind_complete() + row_of("one") + completed("SELECT 1") + ready();
    script{}
        .passes(batch, batch_answer)
        .passes(bare, bare_answer)
        .hits(bare, bare_answer)
        .hits(batch, batch_answer)
        .play_everyhow();
}

TEST_CASE("batch: a simple query's answer is not that of a batch") {
    const auto same = query("SELECT v FROM kv");
    const auto extended =
        parse("", "SELECT v FROM kv") + bind("") + describe_portal() + execute() + sync_now();
    script{}.passes(same, answer("one")).passes(extended, batch_answer).play_everyhow();
}

TEST_CASE("batch: a named statement is prepared once and executed from the cache") {
    script{}
        .passes(named + sync_now(), parse_complete() + ready())
        .passes(run_named, ran)
        .hits(run_named, ran)
        .play_everyhow();
}

TEST_CASE("batch: a Parse answered here is made good before the server needs the statement") {
    const auto other = bind("s", {"2"}) + describe_portal() + execute() + sync_now();
    const auto other_answer =
        bind_complete() + described() + row_of("two") + completed("SELECT 1") + ready();
    script{}
        .passes(batch, batch_answer)
        .hits(named + run_named, batch_answer)
        .client(other, {.server = named + other})
        .server(parse_complete() + other_answer, {.client = other_answer})
        .hits(other, other_answer)
        .play_everyhow();
}

TEST_CASE("batch: Describe of a statement that the server has not heard of") {
    const auto want_types = describe_statement("s") + sync_now();
    const auto types = message(protocol::parameter_description{}) + described() + ready();
    script{}
        .passes(batch, batch_answer)
        .hits(named + run_named, batch_answer)
        .client(want_types, {.server = named + want_types})
        .server(parse_complete() + types, {.client = types})
        .play_everyhow();
}

TEST_CASE("batch: a repair that fails fails the client's message, once") {
    const auto other = bind("s", {"2"}) + describe_portal() + execute() + sync_now();
    script{}
        .passes(batch, batch_answer)
        .hits(named + run_named, batch_answer)
        .client(other, {.server = named + other})
        .server(failed("42P01") + ready(), {.client = failed("42P01") + ready()})
        // It is tried again: the client still holds its statement for prepared.
        .client(other, {.server = named + other})
        .play_everyhow();
}

TEST_CASE("batch: a duplicate name is refused by the server, also when it was parsed here") {
    const auto again = named + sync_now();
    const auto refused = failed("42P05") + ready();
    script{}
        .passes(batch, batch_answer)
        .hits(named + run_named, batch_answer)
        .client(again, {.server = named + again})
        .server(parse_complete() + refused, {.client = refused})
        .passes(again, refused)
        .hits(run_named, ran)
        .play_everyhow();
}

TEST_CASE("batch: a simple query drops the unnamed statement, also one answered here") {
    const auto simple = query("SELECT v FROM kv");
    const auto refused = failed("26000") + ready();
    SUBCASE("passed") {
        script{}
            .passes(parsed + sync_now(), parse_complete() + ready())
            .passes(simple, answer("x"))
            .passes(run, refused)
            .play_everyhow();
    }
    SUBCASE("answered here: the server's is closed first") {
        script{}
            .passes(simple, answer("x"))
            .passes(parsed + sync_now(), parse_complete() + ready())
            .hits(simple, answer("x"))
            .client(run, {.server = close_statement("") + run})
            .server(close_complete() + refused, {.client = refused})
            .play_everyhow();
    }
}

TEST_CASE("batch: Close answered here reaches the server before the name is used again") {
    const auto done = run_named.substr(0, run_named.size() - sync_now().size()) +
                      close_statement("s") + sync_now();
    const auto done_answer = bind_complete() + rows + close_complete() + ready();
    const auto other_sql = parse("s", "SELECT v FROM other");
    script{}
        .passes(named + sync_now(), parse_complete() + ready())
        .passes(run_named, ran)
        .hits(done, done_answer)
        .client(other_sql + sync_now(), {.server = close_statement("s") + other_sql + sync_now()})
        .server(close_complete() + parse_complete() + ready(),
                {.client = parse_complete() + ready()})
        .play_everyhow();
}

TEST_CASE("batch: after Close answered here, Bind of it is refused by the server") {
    const auto done = run_named.substr(0, run_named.size() - sync_now().size()) +
                      close_statement("s") + sync_now();
    script{}
        .passes(named + sync_now(), parse_complete() + ready())
        .passes(run_named, ran)
        .hits(done, bind_complete() + rows + close_complete() + ready())
        .client(run_named, {.server = close_statement("s") + run_named})
        .server(close_complete() + failed("26000") + ready(), {.client = failed("26000") + ready()})
        .play_everyhow();
}

TEST_CASE("batch: several Executes are served when every one hits, and only then") {
    const auto one = bind("s", {"1"}) + describe_portal() + execute();
    const auto two = bind("s", {"2"}) + describe_portal() + execute();
    const auto one_answer = bind_complete() + rows;
    const auto two_answer = bind_complete() + described() + row_of("two") + completed("SELECT 1");
    script{}
        .passes(named + sync_now(), parse_complete() + ready())
        .passes(one + sync_now(), one_answer + ready())
        .passes(one + two + sync_now(), one_answer + two_answer + ready())
        .hits(one + two + sync_now(), one_answer + two_answer + ready())
        .hits(two + sync_now(), two_answer + ready())
        .hits(two + one + two + sync_now(), two_answer + one_answer + two_answer + ready())
        .play_everyhow();
}

TEST_CASE("batch: pipelined batches are answered in order and each ends in its own Ready") {
    script{}
        .passes(batch, batch_answer)
        .hits(batch + batch + batch, batch_answer + batch_answer + batch_answer)
        .play_everyhow();
}

TEST_CASE("batch: an error in a pipeline skips up to its Sync and no further") {
    const auto bad = parse("", "SELECT nonsense") + bind("") + execute() + sync_now();
    const auto other = parse("", "SELECT v FROM other") + bind("") + execute() + sync_now();
    const auto other_answer =
        parse_complete() + bind_complete() + row_of("x") + completed("SELECT 1") + ready();
    script{}
        .client(bad + other, {.server = bad + other})
        .server(failed("42703") + ready(), {.client = failed("42703") + ready()})
        .server(other_answer, {.client = other_answer})
        .play_everyhow();
}

TEST_CASE("batch: statements parsed behind an error were never parsed") {
    const auto bad = parse("b", "SELECT nonsense") + named + sync_now();
    script{}
        .passes(bad, failed("42703") + ready())
        // Had it counted as known, this would be a duplicate.
        .passes(named + run_named, batch_answer)
        .hits(run_named, ran)
        .play_everyhow();
}

TEST_CASE("batch: behind an error and before the Sync everything is skipped, a query too") {
    const auto simple = query("SELECT v FROM kv");
    script{}
        .passes(simple, answer("x"))
        .passes(parse("", "SELECT nonsense") + flush(), failed("42703"))
        .client(simple, {.server = simple})  // the server throws it away
        .passes(sync_now(), ready())
        .hits(simple, answer("x"))
        .play_everyhow();
}

TEST_CASE("batch: a query that follows an unfinished batch ends its transaction at the server") {
    const auto simple = query("SELECT v FROM kv");
    const auto write = parse("", "UPDATE other SET v = 1") + bind("") + execute() + flush();
    script{}
        .passes(simple, answer("x"))
        .passes(write, parse_complete() + bind_complete() + completed("UPDATE 1"))
        .passes(simple, answer("x"))
        .hits(simple, answer("x"))
        .play_everyhow();
}

TEST_CASE("batch: a query behind a Parse that was flushed is not answered here either") {
    const auto simple = query("SELECT v FROM kv");
    script{}
        .passes(simple, answer("x"))
        .passes(named + flush(), parse_complete())
        .passes(simple, answer("x"))
        .play_everyhow();
}

TEST_CASE("batch: Execute with a row limit passes each time") {
    const auto limited = parsed + bind("", {"1"}) + describe_portal() + execute("", 1) + sync_now();
    const auto suspended = parse_complete() + bind_complete() + described() + row_of("one") +
                           message(protocol::portal_suspended{}) + ready();
    script{}.passes(limited, suspended).passes(limited, suspended).play_everyhow();
}

TEST_CASE("batch: a second Execute of one portal is never a hit") {
    const auto twice =
        parsed + bind("", {"1"}) + describe_portal() + execute() + execute() + sync_now();
    const auto twice_answer =
        parse_complete() + bind_complete() + rows + completed("SELECT 0") + ready();
    script{}
        .passes(batch, batch_answer)
        .passes(twice, twice_answer)
        .passes(twice, twice_answer)
        .play_everyhow();
}

TEST_CASE("batch: named portals pass") {
    const auto portal =
        parsed + bind("", {"1"}, "p") + describe_portal("p") + execute("p") + sync_now();
    script{}.passes(portal, batch_answer).passes(portal, batch_answer).play_everyhow();
}

TEST_CASE("batch: a bound value that reads the clock passes") {
    for (const char* word : {"today", " NOW ", "yesterday"}) {
        const auto dated = parsed + bind("", {word}) + describe_portal() + execute() + sync_now();
        script{}.passes(dated, batch_answer).passes(dated, batch_answer).play();
    }
}

TEST_CASE("batch: DISCARD ALL drops the named statements on both sides") {
    script{}
        .passes(named + sync_now(), parse_complete() + ready())
        .passes(run_named, ran)
        .passes(query("DISCARD ALL"), completed("DISCARD ALL") + ready())
        .passes(run_named, failed("26000") + ready())
        // Whoever runs what was never prepared here is not followed any further.
        .passes(named + run_named, batch_answer)
        .passes(run_named, ran)
        .play_everyhow();
}

TEST_CASE("batch: DEALLOCATE of a statement parsed here works at the server") {
    const auto drop = query("DEALLOCATE s");
    script{}
        .passes(batch, batch_answer)
        .hits(named + run_named, batch_answer)
        .client(drop, {.server = named + sync_now() + drop})
        .server(parse_complete() + ready() + completed("DEALLOCATE") + ready(),
                {.client = completed("DEALLOCATE") + ready()})
        .passes(run_named, failed("26000") + ready())
        .play_everyhow();
}

TEST_CASE("batch: a refused DEALLOCATE or DISCARD ALL drops nothing") {
    for (const auto* drop : {"DISCARD ALL", "DEALLOCATE ALL", "DEALLOCATE s"}) {
        for (const bool refused : {true, false}) {
            CAPTURE(drop);
            CAPTURE(refused);
            script s;
            s.passes(batch, batch_answer).hits(named + run_named, batch_answer);
            const auto call = query(drop);
            const bool by_name = drop == "DEALLOCATE s"sv;  // the server must have heard of it
            const auto ahead = by_name ? named + sync_now() : ""s;
            const auto reply = (refused ? failed("25001") : completed("X")) + ready();
            s.client(call, {.server = ahead + call});
            s.server((by_name ? parse_complete() + ready() : ""s) + reply, {.client = reply});
            refused ? s.hits(run_named, batch_answer.substr(parse_complete().size()))
                    : s.passes(run_named, failed("26000") + ready());
            s.play_everyhow();
        }
    }
}

TEST_CASE("batch: SQL EXECUTE of a statement parsed here works at the server") {
    const auto call = query("EXECUTE s('2')");
    script{}
        .passes(batch, batch_answer)
        .hits(named + run_named, batch_answer)
        .client(call, {.server = named + sync_now() + call})
        .server(parse_complete() + ready() + answer("two"), {.client = answer("two")})
        .play_everyhow();
}

namespace {

const auto notes = query("SELECT v FROM notes");
// What interceptors of frameworks send as a connection is taken from its pool.
constexpr auto sets_tenant = "SELECT set_config('app.tenant_id', $1, false)"sv;
std::string set_tenant(std::string_view value, std::string_view text = sets_tenant) {
    return parse("", text) + bind("", {value}) + execute() + sync_now();
}
const auto was_set =
    parse_complete() + bind_complete() + row_of("b") + completed("SELECT 1") + ready();

}  // namespace

TEST_CASE("batch: a setting bound as a parameter is followed") {
    script{}
        .passes(query("SET app.tenant_id = 'a'"), completed("SET") + ready())
        .passes(notes, answer("of a"))
        .passes(set_tenant("b"), was_set)
        .passes(notes, answer("of b"))
        .hits(notes, answer("of b"))
        .passes(set_tenant("a"), was_set)
        .hits(notes, answer("of a"))
        .passes(query("BEGIN"), completed("BEGIN") + ready('T'))
        .passes(set_tenant("b"), parse_complete() + bind_complete() + row_of("b") +
                                     completed("SELECT 1") + ready('T'))
        .passes(query("ROLLBACK"), completed("ROLLBACK") + ready())
        .hits(notes, answer("of a"))
        .play_everyhow();
}

TEST_CASE("batch: a bound setting that the server refuses is not set") {
    script{}
        .passes(set_tenant("a"), was_set)
        .passes(notes, answer("of a"))
        .passes(set_tenant("b"), failed("22023") + ready())
        .hits(notes, answer("of a"))
        .play_everyhow();
}

TEST_CASE("batch: a look-up waits behind a bound setting, and uses it") {
    script{}
        .passes(set_tenant("a"), was_set)
        .passes(notes, answer("of a"))
        .passes(set_tenant("b"), was_set)
        .client(set_tenant("a") + notes, {.server = set_tenant("a")})
        .server(was_set, {.client = was_set + answer("of a")})
        .play_everyhow();
}

TEST_CASE("batch: a bound setting that cannot be told ends the caching") {
    const std::string ways[] = {
        set_tenant(
            "b", "SELECT set_config('app.tenant_id', $1, false), set_config('a.b', now(), false)"),
        set_tenant("b",
                   "SELECT set_config('app.tenant_id', $1, false), "
                   "set_config('app.tenant_id', 'c', false)"),
        set_tenant("b", "SELECT set_config('app.tenant_id', $1, false) WHERE $1 <> 'b'"),
        set_tenant("app.tenant_id", "SELECT set_config($1, 'b', false)"),
    };
    for (const auto& way : ways) {
        CAPTURE(show(way));
        script{}
            .passes(query("SET app.tenant_id = 'a'"), completed("SET") + ready())
            .passes(notes, answer("of a"))
            .passes(way, was_set)
            .passes(notes, answer("of b"))
            .passes(notes, answer("of b"))
            .play_everyhow();
    }
}

TEST_CASE("batch: a bound setting of a type that is not text ends the caching") {
    for (const std::uint32_t type : {25U, 1043U, 705U, 0U, 1042U, 23U}) {
        CAPTURE(type);
        std::string typed;
        protocol::writer w{typed};
        w.begin('P');
        w.cstring("");
        w.cstring("SELECT set_config('app.tenant_id', $1::text, false)");
        w.u16(1);
        w.u32(type);
        w.end();
        typed += bind("", {"b"}) + execute() + sync_now();
        script s;
        s.passes(typed, was_set).passes(notes, answer("of b"));
        const bool followed = type != 1042 && type != 23;
        followed ? s.hits(notes, answer("of b")) : s.passes(notes, answer("of b"));
        s.play_everyhow();
    }
}

TEST_CASE("batch: what is too long to be read is not prepared from here under that name") {
    world w{1, {.max_sql_length = 40}};
    wired l{w};
    l.log_in();
    l.client(batch);
    l.server(batch_answer);
    (void)l.to_server();
    (void)l.to_client();
    const auto longer =
        parse("long", "SELECT v FROM other WHERE id = 1 AND v = 'more than the limit'");
    l.client(longer + batch);
    CHECK(show(l.to_server()) == show(longer + batch));
    l.client_gone();
}
