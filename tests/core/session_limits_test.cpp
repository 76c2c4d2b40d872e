// What a tenant's limits refuse, in each shape of the protocol: here, or by something that fails at
// the server in its place.
#include <doctest/doctest.h>

#include "tests/core/limited.h"

using namespace core_test;
using namespace core_test::limited;

TEST_CASE("limits: the query above the rate is refused here, and the next token lets one through") {
    script s;
    s.limits(two_a_minute);
    for (int i = 0; i < 2; ++i) s.passes(insert_kv, completed("INSERT 0 1") + ready());
    s.client(insert_kv, {.client = over_rate + ready()});
    s.later(30s);
    s.passes(insert_kv, completed("INSERT 0 1") + ready());
    s.play_everyhow();
}

TEST_CASE("limits: an answer of the cache costs a token like any other") {
    script s;
    s.limits(two_a_minute);
    s.passes(select_kv, answer("one"));
    s.hits(select_kv, answer("one"));
    s.client(select_kv, {.client = over_rate + ready()});
    s.play_everyhow();
}

TEST_CASE("limits: a refused query inside a block fails at the server, which aborts the block") {
    script s;
    s.limits(two_a_minute);
    s.passes(begin, begun);
    for (int i = 0; i < 2; ++i) s.passes(insert_kv, completed("INSERT 0 1") + ready('T'));
    s.client(insert_kv, {.server = failing + sync_now()});
    s.server(failed("42601") + ready('E'), {.client = over_rate + ready('E')});
    s.passes(rollback, rolled_back);
    s.play_everyhow();
}

TEST_CASE("limits: a refused Execute in a batch that is under way takes the batch with it") {
    const auto part = parse("", "INSERT INTO kv VALUES ('1')") + bind("") + execute();
    const auto done = parse_complete() + bind_complete() + completed("INSERT 0 1");
    script s;
    s.limits(two_a_minute);
    s.client(part + flush(), {.server = part + flush()});
    s.server(done, {.client = done});
    s.client(part + flush(), {.server = part + flush()});
    s.server(done, {.client = done});
    const auto third = parse("", "INSERT INTO kv VALUES ('1')") + bind("");
    s.client(part + sync_now(), {.server = third + failing + sync_now()});
    s.server(parse_complete() + bind_complete() + failed("42601") + ready(),
             {.client = parse_complete() + bind_complete() + over_rate + ready()});
    s.later(60s);
    s.passes(select_kv, answer("one"));
    s.play_everyhow();
}

TEST_CASE("limits: a batch that is refused whole never leaves") {
    const auto part = parse("", "SELECT v FROM kv") + bind("") + execute();
    script s;
    s.limits(two_a_minute);
    s.passes(insert_kv, completed("INSERT 0 1") + ready());
    s.client(part + part + sync_now(), {.client = over_rate + ready()});
    s.passes(part + sync_now(),
             parse_complete() + bind_complete() + row_of("x") + completed("SELECT 1") + ready());
    s.play_everyhow();
}

TEST_CASE("limits: a refusal behind what is owed keeps its place") {
    const auto inserted = completed("INSERT 0 1") + ready();
    script s;
    s.limits(two_a_minute);
    s.client(insert_kv + insert_kv + insert_kv,
             {.server = insert_kv + insert_kv + failing + sync_now()});
    s.server(inserted + inserted + failed("42601") + ready(),
             {.client = inserted + inserted + over_rate + ready()});
    s.play_everyhow();
}

TEST_CASE("limits: the server's own end outranks a refusal") {
    script s;
    s.limits(two_a_minute);
    s.passes(begin, begun);
    for (int i = 0; i < 2; ++i) s.passes(insert_kv, completed("INSERT 0 1") + ready('T'));
    s.client(insert_kv, {.server = failing + sync_now()});
    s.server(failed("57P01", "FATAL"), {.client = failed("57P01", "FATAL")});
    s.play_everyhow();
}
