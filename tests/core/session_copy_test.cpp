// COPY in both protocols: Sync and Flush are ignored while the server reads data; what is owed must
// come out even, however the copy ends.
#include <doctest/doctest.h>

#include "tests/core/script.h"

using namespace core_test;

namespace {

const auto select_kv = query("SELECT v FROM kv");
const auto copy = query("COPY kv FROM STDIN");
const auto lines = copy_data("1\tone\n") + copy_data("2\ttwo\n");
const auto copied = completed("COPY 2") + ready();
const auto prepared_copy = parse("", "COPY kv FROM STDIN") + bind("") + execute();
const auto prepared_start = parse_complete() + bind_complete() + copy_in();

// In step again: the next request is looked up, and answered here from then on.
script& in_step(script& s) {
    return s.passes(select_kv, answer("one")).hits(select_kv, answer("one"));
}

}  // namespace

TEST_CASE("copy: simple, to its end") {
    script s;
    s.passes(copy, copy_in());
    s.client(lines + copy_done(), {.server = lines + copy_done()});
    s.server(copied, {.client = copied});
    in_step(s).play_everyhow();
}

TEST_CASE("copy: simple, data sent before the server asks for it") {
    script s;
    s.client(copy + lines + copy_done(), {.server = copy + lines + copy_done()});
    s.server(copy_in() + copied, {.client = copy_in() + copied});
    in_step(s).play_everyhow();
}

TEST_CASE("copy: simple, refused while data is under way") {
    script s;
    s.passes(copy, copy_in());
    s.client(copy_data("bad"), {.server = copy_data("bad")});
    s.server(failed("22P04") + ready(), {.client = failed("22P04") + ready()});
    s.client(copy_data("late") + copy_done(), {.server = copy_data("late") + copy_done()});
    in_step(s).play_everyhow();
}

TEST_CASE("copy: simple, given up by the client") {
    script s;
    s.passes(copy, copy_in());
    s.client(copy_data("1") + copy_fail(), {.server = copy_data("1") + copy_fail()});
    s.server(failed("57014") + ready(), {.client = failed("57014") + ready()});
    in_step(s).play_everyhow();
}

TEST_CASE("copy: extended, the Sync behind Execute is swallowed, the one behind CopyDone counts") {
    script s;
    s.passes(prepared_copy + sync_now(), prepared_start);
    s.client(lines + copy_done() + sync_now(), {.server = lines + copy_done() + sync_now()});
    s.server(copied, {.client = copied});
    in_step(s).play_everyhow();
}

TEST_CASE("copy: extended, Sync sent while the server reads is ignored") {
    script s;
    s.passes(prepared_copy + flush(), prepared_start);
    s.client(sync_now() + lines + sync_now() + copy_done() + sync_now(),
             {.server = sync_now() + lines + sync_now() + copy_done() + sync_now()});
    s.server(copied, {.client = copied});
    in_step(s).play_everyhow();
}

TEST_CASE("copy: extended, all in one go") {
    script s;
    const auto all = prepared_copy + sync_now() + lines + copy_done() + sync_now();
    s.client(all, {.server = all});
    s.server(prepared_start + copied, {.client = prepared_start + copied});
    in_step(s).play_everyhow();
}

TEST_CASE("copy: extended, refused while data is under way") {
    script s;
    s.passes(prepared_copy + flush(), prepared_start);
    s.client(copy_data("bad"), {.server = copy_data("bad")});
    s.server(failed("22P04"), {.client = failed("22P04")});
    s.client(copy_data("late") + copy_done() + sync_now(),
             {.server = copy_data("late") + copy_done() + sync_now()});
    s.server(ready(), {.client = ready()});
    in_step(s).play_everyhow();
}

TEST_CASE("copy: out, nothing of it is kept") {
    script s;
    const auto out = query("COPY kv TO STDOUT");
    std::string start = copy_in();
    start[0] = 'H';
    const auto reply = start + lines + copy_done() + completed("COPY 2") + ready();
    s.passes(out, reply).passes(out, reply);
    in_step(s).play_everyhow();
}

TEST_CASE("copy: what was read before a COPY FROM is not served after it") {
    script s;
    s.passes(select_kv, answer("zero"));
    s.passes(copy, copy_in());
    s.client(lines + copy_done(), {.server = lines + copy_done()});
    s.server(copied, {.client = copied});
    in_step(s).play_everyhow();
}
