// Answers that grow too large, and time that runs out.
#include <doctest/doctest.h>

#include "tests/core/limited.h"

using namespace core_test;
using namespace core_test::limited;

TEST_CASE("limits: the row above the limit is not sent, and the statement is cancelled") {
    const auto all = query("SELECT v FROM other, random() r");
    script s;
    s.limits(two_rows);
    s.client(all, {.server = all});
    s.server(described() + rows(3), {.client = described() + rows(2)});
    s.event(step::kind::cancel_sent);
    s.server(rows(5) + failed("57014") + ready(), {.client = too_many_rows + ready()});
    s.passes(select_kv, answer("one"));
    s.play_everyhow();
}

TEST_CASE("limits: a long row that is one too many") {
    const auto wide = row_of(std::string(100'000, 'x'));
    const auto all = query("SELECT v FROM other, random() r");
    script s;
    s.limits(two_rows);
    s.client(all, {.server = all});
    s.server(described() + rows(2) + wide, {.client = described() + rows(2)});
    s.event(step::kind::cancel_sent);
    s.server(wide + failed("57014") + ready(), {.client = too_many_rows + ready()});
    s.passes(select_kv, answer("one"));
    s.play();
}

TEST_CASE("limits: a statement that is done before the cancel comes") {
    const auto all = query("SELECT v FROM other, random() r");
    const auto write = query("UPDATE kv SET v = 1 RETURNING v");
    const auto kept =
        error("54000", "result exceeds max_result_rows", "At most 2 rows. What it wrote is kept.",
              "Ask for fewer rows at a time, with LIMIT.");
    script s;
    s.limits(two_rows);
    s.client(all, {.server = all});
    s.server(described() + rows(3) + completed("SELECT 3") + ready(),
             {.client = described() + rows(2) + too_many_rows + ready()});
    s.event(step::kind::cancel_sent);
    s.client(write, {.server = write});
    s.server(described() + rows(3) + completed("UPDATE 3") + ready(),
             {.client = described() + rows(2) + kept + ready()});
    s.event(step::kind::cancel_sent);
    s.passes(select_kv, answer("one"));
    s.play_everyhow();
}

TEST_CASE("limits: a block whose statement was done before the cancel came is aborted after all") {
    const auto all = query("SELECT v FROM other, random() r");
    script s;
    s.limits(two_rows);
    s.passes(begin, begun);
    s.client(all, {.server = all});
    s.server(described() + rows(3) + completed("SELECT 3") + ready('T'),
             {.server = failing + sync_now(), .client = described() + rows(2) + too_many_rows});
    s.event(step::kind::cancel_sent);
    s.server(failed("42601") + ready('E'), {.client = ready('E')});
    s.passes(rollback, rolled_back);
    s.play_everyhow();
}

TEST_CASE("limits: what makes a batch permanent waits until its rows are counted") {
    const auto write = parse("", "INSERT INTO kv VALUES ('1')") + bind("") + execute();
    const auto read = parse("", "SELECT v FROM other, random() r") + bind("") + execute();
    const auto written = parse_complete() + bind_complete() + completed("INSERT 0 1");
    script s;
    s.limits(two_rows);
    s.client(read + write + sync_now(), {.server = read + write + flush()});
    s.server(starts + rows(3), {.server = failing, .client = starts + rows(2)});
    // Done in time: only the failure behind it takes it back.
    s.server(completed("SELECT 3") + written + failed("42601"), {.client = too_many_rows});
    s.event(step::kind::cancel_sent, {.server = sync_now()});
    s.server(ready(), {.client = ready()});
    // Few rows: the Sync follows when they are here.
    s.client(read + write + sync_now(), {.server = read + write + flush()});
    s.server(starts + rows(2) + completed("SELECT 2") + written,
             {.server = sync_now(), .client = starts + rows(2) + completed("SELECT 2") + written});
    s.server(ready(), {.client = ready()});
    s.play_everyhow();
}

TEST_CASE("limits: what a batch wrote is not said to be kept where its Sync was held back") {
    const auto write = parse("", "UPDATE kv SET v = 1 RETURNING v") + bind("") + execute();
    script s;
    s.limits(two_rows);
    s.client(write + sync_now(), {.server = write + flush()});
    s.server(starts + rows(3), {.server = failing, .client = starts + rows(2)});
    s.server(completed("UPDATE 3") + failed("42601"), {.client = too_many_rows});
    s.event(step::kind::cancel_sent, {.server = sync_now()});
    s.server(ready(), {.client = ready()});
    s.play_everyhow();
}

TEST_CASE("limits: a block that is pipelined does not go on behind an answer that may be cut") {
    const auto all = query("SELECT v FROM other, random() r");
    const auto commit = query("COMMIT");
    script s;
    s.limits(two_rows);
    s.client(begin + all + commit, {.server = begin + all});
    s.server(
        begun + described() + rows(3) + completed("SELECT 3") + ready('T'),
        {.server = failing + sync_now(), .client = begun + described() + rows(2) + too_many_rows});
    s.event(step::kind::cancel_sent);
    s.server(failed("42601") + ready('E'), {.server = commit, .client = ready('E')});
    s.server(rolled_back, {.client = rolled_back});
    s.play_everyhow();
}

TEST_CASE("limits: a batch is made to fail behind the long message that is under way") {
    const auto read = parse("", "SELECT v FROM other, random() r") + bind("") + execute();
    const std::string long_value(100'000, 'x');
    const auto insert = parse("", "INSERT INTO kv VALUES ($1)");
    const auto wide = bind("", {long_value});
    const auto front = wide.substr(0, 70'000);
    const auto back = wide.substr(70'000);
    script s;
    s.limits(two_rows);
    s.client(read + flush() + insert + front, {.server = read + flush() + insert + front});
    s.server(starts + rows(3), {.client = starts + rows(2)});
    s.event(step::kind::cancel_sent);
    s.client(back + execute() + sync_now(), {.server = back + failing + execute() + sync_now()});
    s.server(completed("SELECT 3") + starts + failed("42601") + ready(),
             {.client = too_many_rows + ready()});
    s.passes(select_kv, answer("one"));
    s.play();
}

TEST_CASE("limits: a COMMIT waits for the rows before it in its batch") {
    const auto read = parse("", "SELECT v FROM other, random() r") + bind("") + execute();
    const auto ready_to_commit = parse("", "COMMIT") + bind("");
    script s;
    s.limits(two_rows);
    s.passes(begin, begun);
    s.client(read + ready_to_commit + execute() + sync_now(),
             {.server = read + ready_to_commit + flush()});
    s.server(starts + rows(3), {.server = failing, .client = starts + rows(2)});
    s.server(completed("SELECT 3") + starts + failed("42601"), {.client = too_many_rows});
    s.event(step::kind::cancel_sent, {.server = execute() + sync_now()});
    s.server(ready('E'), {.client = ready('E')});
    s.passes(rollback, rolled_back);
    s.play_everyhow();
}

TEST_CASE("limits: no error is written into the middle of a long row") {
    const auto all = query("SELECT v FROM other, random() r");
    const auto wide = row_of(std::string(100'000, 'x'));
    const auto half = wide.substr(0, 70'000);
    script s;
    s.limits(one_second);
    s.client(all, {.server = all});
    s.server(described() + half, {.client = described() + half});
    s.later(1s);
    s.event(step::kind::cancel_sent);
    s.later(25ms);
    s.later(10s);
    s.play();
}

TEST_CASE("limits: a batch that only reads, or whose rows are known to be few, does not wait") {
    const auto read = parse("", "SELECT v FROM other, random() r") + bind("") + execute();
    const auto one = parse("", "INSERT INTO kv VALUES ('1') RETURNING v") + bind("") + execute();
    script s;
    s.limits(two_rows);
    s.passes(read + read + sync_now(), starts + rows(1) + completed("SELECT 1") + starts + rows(1) +
                                           completed("SELECT 1") + ready());
    s.passes(one + one + sync_now(), starts + rows(1) + completed("INSERT 0 1") + starts + rows(1) +
                                         completed("INSERT 0 1") + ready());
    s.play_everyhow();
}

TEST_CASE("limits: an answer that was cut is not kept") {
    script s;
    s.limits(two_rows);
    s.client(select_kv, {.server = select_kv});
    s.server(described() + rows(3) + completed("SELECT 3") + ready(),
             {.client = described() + rows(2) + too_many_rows + ready()});
    s.event(step::kind::cancel_sent);
    s.passes(select_kv, answer("one"));
    s.hits(select_kv, answer("one"));
    s.play_everyhow();
}

TEST_CASE("limits: when time is up the statement is cancelled, and its error is in our words") {
    script s;
    s.limits(one_second);
    s.client(insert_kv, {.server = insert_kv});
    s.later(1s);
    s.event(step::kind::cancel_sent);
    s.server(failed("57014") + ready(), {.client = out_of_time() + ready()});
    s.passes(select_kv, answer("one"));
    s.play_everyhow();
}

TEST_CASE("limits: what the server says in time is passed on as it is") {
    const auto inserted = completed("INSERT 0 1") + ready();
    script s;
    s.limits(one_second);
    for (const auto& end : {inserted, failed("23505") + ready()}) {
        s.client(insert_kv, {.server = insert_kv});
        s.later(1s);
        s.server(end, {.client = end});
        s.event(step::kind::cancel_sent);
    }
    s.play_everyhow();
}

TEST_CASE("limits: a server that does not react is answered for, and waited for") {
    for (const bool late : {false, true}) {
        CAPTURE(late);
        script s;
        s.limits(one_second);
        s.client(insert_kv, {.server = insert_kv});
        s.later(1s);
        s.event(step::kind::cancel_sent);
        s.later(25ms, {.client = unsure + ready()});
        s.client(select_kv, {});  // waits
        s.server(late ? completed("INSERT 0 1") + ready() : failed("57014") + ready(),
                 {.server = select_kv});
        s.server(answer("one"), {.client = answer("one")});
        s.play_everyhow();
    }
}

TEST_CASE("limits: a cancel that came before its statement began is sent again") {
    script s;
    s.limits(one_second);
    s.client(insert_kv, {.server = insert_kv});
    s.later(1s);
    s.event(step::kind::cancel_sent);
    s.later(25ms, {.client = unsure + ready()});
    for (int i = 0; i < 3; ++i) {
        s.later(200ms);
        s.event(step::kind::cancel_sent);
    }
    s.server(failed("57014") + ready(), {});
    s.passes(select_kv, answer("one"));
    s.play_everyhow();
}

TEST_CASE("limits: a block of a server that did not react is aborted as its client was told") {
    script s;
    s.limits(one_second);
    s.passes(begin, begun);
    s.client(insert_kv, {.server = insert_kv});
    s.later(1s);
    s.event(step::kind::cancel_sent);
    s.later(25ms, {.client = unsure + ready('E')});
    s.server(completed("INSERT 0 1") + ready('T'), {.server = failing + sync_now()});
    s.client(rollback, {});
    s.server(failed("42601") + ready('E'), {.server = rollback});
    s.server(rolled_back, {.client = rolled_back});
    s.play_everyhow();
}

TEST_CASE("limits: a COMMIT is not answered for") {
    script s;
    s.limits(one_second);
    s.passes(begin, begun);
    s.client(query("COMMIT"), {.server = query("COMMIT")});
    s.later(1s);
    s.event(step::kind::cancel_sent);
    s.later(3s);
    s.server(completed("COMMIT") + ready(), {.client = completed("COMMIT") + ready()});
    s.play_everyhow();
}

TEST_CASE("limits: a server that never reacts is given up") {
    std::string fatal;
    protocol::write_error(fatal, "FATAL", "08006", "the server does not react");
    script s;
    s.limits(one_second);
    s.client(select_kv, {.server = select_kv});
    s.later(1s);
    s.event(step::kind::cancel_sent);
    s.later(25ms, {.client = out_of_time(" The server has not confirmed it; what it writes may be "
                                         "kept.") +
                             ready()});
    s.later(10s, {.client = fatal});
    s.play_everyhow();
}

TEST_CASE("limits: COPY data that does not come") {
    const auto copy = query("COPY kv FROM STDIN");
    const auto no_more = message(protocol::copy_fail{"pgsidecar: a limit of its tenant"});
    std::string copy_failed;
    protocol::write_error(copy_failed, "ERROR", "57014",
                          "COPY from stdin failed: pgsidecar: a limit of its tenant");
    script s;
    s.limits(one_second);
    s.passes(copy, copy_in());
    s.later(1s, {.server = no_more});
    s.server(copy_failed + ready(), {.client = out_of_time() + ready()});
    s.client(copy_data("late") + copy_done(), {.server = copy_data("late") + copy_done()});
    s.passes(select_kv, answer("one"));
    s.play_everyhow();
}

TEST_CASE("limits: each request of a pipeline has its own time") {
    const auto inserted = completed("INSERT 0 1") + ready();
    script s;
    s.limits(one_second);
    s.client(insert_kv + insert_kv, {.server = insert_kv + insert_kv});
    s.later(900ms);
    s.server(inserted, {.client = inserted});
    s.later(900ms);
    s.later(100ms);
    s.server(failed("57014") + ready(), {.client = out_of_time() + ready()});
    s.event(step::kind::cancel_sent);
    s.play_everyhow();
}

TEST_CASE("limits: an idle transaction runs nothing") {
    script s;
    s.limits(one_second);
    s.passes(begin, begun);
    s.later(10s);
    s.passes(rollback, rolled_back);
    s.play_everyhow();
}

TEST_CASE("limits: a status that the client was not told of ends the connection") {
    std::string fatal;
    protocol::write_error(fatal, "FATAL", "08006",
                          "the server ended a statement otherwise than its client was told");
    script s;
    s.limits(one_second);
    s.passes(begin, begun);
    s.client(insert_kv, {.server = insert_kv});
    s.later(1s);
    s.event(step::kind::cancel_sent);
    s.later(25ms, {.client = unsure + ready('E')});
    s.server(completed("INSERT 0 1") + ready('I'), {.client = fatal});
    s.play_everyhow();
}
