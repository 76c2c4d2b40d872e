// Time that runs out near the end of a statement, in a batch, and where another limit is met.
#include <doctest/doctest.h>

#include "tests/core/limited.h"

using namespace core_test;
using namespace core_test::limited;

TEST_CASE("limits: time that runs out behind the last tag is not told") {
    for (const auto& request : {insert_kv, insert_part + sync_now()}) {
        const auto tag = request == insert_kv ? completed("INSERT 0 1") : inserted_part;
        script s;
        s.limits(one_second);
        s.client(request, {.server = request});
        s.server(tag, {.client = tag});
        s.later(1s);
        s.event(step::kind::cancel_sent);
        s.later(25ms);
        s.server(ready(), {.client = ready()});
        s.passes(select_kv, answer("one"));
        s.play_everyhow();
    }
}

TEST_CASE("limits: behind an error no time-out is told") {
    for (const auto& request : {insert_kv, insert_part + sync_now()}) {
        for (const bool late : {false, true}) {
            CAPTURE(late);
            script s;
            s.limits(one_second);
            s.client(request, {.server = request});
            if (late) s.later(1s);
            s.server(failed("23505"), {.client = failed("23505")});
            if (late) s.event(step::kind::cancel_sent);
            s.later(late ? 25ms : 1s);
            s.server(ready(), {.client = ready()});
            s.passes(select_kv, answer("one"));
            s.play_everyhow();
        }
    }
}

TEST_CASE("limits: a batch is made to fail when its client is told of an error, not before") {
    const auto read = parse("", "SELECT v FROM other, random() r") + bind("") + execute();
    script s;
    s.limits(one_second);
    // Done in time, with its Sync still to come.
    s.client(insert_part + flush(), {.server = insert_part + flush()});
    s.later(1s);
    s.server(inserted_part, {.client = inserted_part});
    s.event(step::kind::cancel_sent);
    s.later(1h);
    s.passes(sync_now(), ready());
    s.client(insert_part + flush(), {.server = insert_part + flush()});
    s.later(1s);
    s.event(step::kind::cancel_sent);
    s.later(25ms, {.server = failing, .client = out_of_time(" The server has not confirmed it.")});
    s.server(inserted_part + failed("42601"), {});
    s.passes(read + sync_now(), ready());
    s.passes(select_kv, answer("one"));
    s.play_everyhow();
}

TEST_CASE("limits: nobody is given up for a Sync that does not come") {
    script s;
    s.limits(one_second);
    s.client(insert_part + flush(), {.server = insert_part + flush()});
    s.later(1s);
    s.event(step::kind::cancel_sent);
    s.server(failed("57014"), {.client = out_of_time()});
    s.later(1h);
    s.passes(sync_now(), ready());
    s.passes(select_kv, answer("one"));
    s.play_everyhow();
}

TEST_CASE("limits: what follows a Flush has time of its own") {
    const auto inserted = completed("INSERT 0 1") + ready();
    for (const auto& [request, reply] :
         {std::pair{insert_kv, inserted}, {insert_part + sync_now(), inserted_part + ready()}}) {
        script s;
        s.limits(one_second);
        s.passes(insert_part + flush(), inserted_part);
        s.later(1h);
        s.client(request, {.server = request});
        s.later(999ms);
        s.server(reply, {.client = reply});
        s.passes(select_kv, answer("one"));
        s.play_everyhow();
    }
}

TEST_CASE("limits: a ROLLBACK in a batch is not answered for") {
    const auto part = parse("", "ROLLBACK") + bind("") + execute();
    const auto done = starts + completed("ROLLBACK");
    script s;
    s.limits(one_second);
    s.passes(begin, begun);
    s.client(part + flush(), {.server = part + flush()});
    s.later(1s);
    s.event(step::kind::cancel_sent);
    s.later(25ms);
    s.server(done, {.client = done});
    s.passes(sync_now(), ready());
    s.passes(select_kv, answer("one"));
    s.play_everyhow();
}

TEST_CASE("limits: a refusal keeps its words when time runs out, too") {
    script s;
    s.limits(limits([](policy::tier& t, auto&) {
        t.queries_per_minute = t.burst = 2;
        t.query_timeout = 1s;
    }));
    s.passes(insert_part + flush(), inserted_part);
    s.client(insert_part + flush(), {.server = insert_part + flush()});
    const auto third = parse("", "INSERT INTO kv VALUES ('1')") + bind("");
    s.client(insert_part + sync_now(), {.server = third + failing + sync_now()});
    s.later(1s);
    s.server(inserted_part + starts + failed("42601") + ready(),
             {.client = inserted_part + starts + over_rate + ready()});
    s.event(step::kind::cancel_sent);
    s.play_everyhow();
}

TEST_CASE("limits: rows are counted while the cancel of a time-out is under way") {
    const auto all = query("SELECT v FROM other, random() r");
    const auto write = parse("", "UPDATE kv SET v = 1 RETURNING v") + bind("") + execute();
    script s;
    s.limits(limits([](policy::tier& t, auto&) {
        t.max_result_rows = 2;
        t.query_timeout = 1s;
    }));
    s.client(all, {.server = all});
    s.later(1s);
    s.server(described() + rows(3), {.client = described() + rows(2)});
    s.event(step::kind::cancel_sent);
    s.server(rows(2) + failed("57014") + ready(), {.client = too_many_rows + ready()});
    // And what makes them permanent waits for them.
    s.client(write + flush(), {.server = write + flush()});
    s.later(1s);
    s.event(step::kind::cancel_sent);
    s.client(sync_now(), {.server = flush()});
    s.server(starts + rows(3), {.server = failing, .client = starts + rows(2)});
    s.server(completed("UPDATE 3") + failed("42601"),
             {.server = sync_now(), .client = too_many_rows});
    s.server(ready(), {.client = ready()});
    s.play_everyhow();
}

TEST_CASE("limits: a long part of COPY's data is let through before the COPY is made to fail") {
    const auto copy = query("COPY kv FROM STDIN");
    const auto wide = copy_data(std::string(100'000, 'x'));
    const auto no_more = message(protocol::copy_fail{"pgsidecar: a limit of its tenant"});
    std::string copy_failed;
    protocol::write_error(copy_failed, "ERROR", "57014",
                          "COPY from stdin failed: pgsidecar: a limit of its tenant");
    script s;
    s.limits(one_second);
    s.passes(copy, copy_in());
    s.client(wide.substr(0, 70'000), {.server = wide.substr(0, 70'000)});
    s.later(1s);
    s.event(step::kind::cancel_sent);
    s.client(wide.substr(70'000), {.server = wide.substr(70'000) + no_more});
    s.server(copy_failed + ready(), {.client = out_of_time() + ready()});
    s.passes(select_kv, answer("one"));
    s.play();
}

TEST_CASE("limits: a statement whose Parse was answered for is closed before it is parsed again") {
    const auto named =
        parse("s", "INSERT INTO kv VALUES ('1')") + bind("s") + execute() + sync_now();
    script s;
    s.limits(one_second);
    s.client(named, {.server = named});
    s.later(1s);
    s.event(step::kind::cancel_sent);
    s.later(25ms, {.client = unsure + ready()});
    s.server(inserted_part + ready(), {});
    s.client(named, {.server = close_statement("s") + named});
    s.server(close_complete() + inserted_part + ready(), {.client = inserted_part + ready()});
    s.play_everyhow();
}

TEST_CASE("limits: a Close that was answered for has not happened") {
    const auto named = parse("s", "INSERT INTO kv VALUES ('1')");
    const auto run = bind("s") + execute() + sync_now();
    script s;
    s.limits(one_second);
    s.passes(named + run, inserted_part + ready());
    const auto request = close_statement("s") + insert_part + sync_now();
    s.client(request, {.server = request});
    s.later(1s);
    s.event(step::kind::cancel_sent);
    s.later(25ms, {.client = unsure + ready()});
    s.server(close_complete() + inserted_part + ready(), {});
    s.client(run, {.server = named + run});
    s.server(inserted_part + ready(),
             {.client = bind_complete() + completed("INSERT 0 1") + ready()});
    s.play_everyhow();
}

TEST_CASE("limits: a Parse that was answered for takes no later one of its name with it") {
    const auto read = parse("", "SELECT v FROM other, random() r");
    const auto run = bind("") + execute() + sync_now();
    script s;
    s.limits(one_second);
    s.client(insert_part + flush(), {.server = insert_part + flush()});
    s.later(1s);
    s.event(step::kind::cancel_sent);
    s.later(25ms, {.server = failing, .client = out_of_time(" The server has not confirmed it.")});
    s.client(sync_now() + read + flush(), {.server = sync_now() + read + flush()});
    s.server(inserted_part + failed("42601") + ready(), {.client = ready()});
    s.client(run, {.server = run});
    s.play_everyhow();
}
