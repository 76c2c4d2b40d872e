// Limits of a tenant, in each shape of the protocol: what is refused here, what fails at the server
// in the place of something refused, what is cut, and what runs out of time.
#include <doctest/doctest.h>

#include "tests/core/script.h"

using namespace core_test;
using namespace std::chrono_literals;
using policy::enforcement;

namespace {

const auto select_kv = query("SELECT v FROM kv");
const auto insert_kv = query("INSERT INTO kv VALUES ('1')");
const auto begin = query("BEGIN");
const auto begun = completed("BEGIN") + ready('T');
const auto rollback = query("ROLLBACK");
const auto rolled_back = completed("ROLLBACK") + ready();
// What the session sends in the place of what it refuses.
const auto failing = parse("pgsidecar", "pgsidecar: refused by a limit of its tenant");

policy::tenant_options limits(auto change) {
    policy::tenant_options out{
        .limits = enforcement::enforce,
        .sources = {{.where = policy::tenant_source::from::setting, .name = "app.tenant_id"}}};
    out.tiers.front().queries_per_minute = 1'000'000;
    change(out.tiers.front(), out);
    return out;
}

std::string error(std::string_view sqlstate, std::string_view message, std::string_view detail,
                  std::string_view hint = {}, std::string_view who = "default") {
    std::string out;
    protocol::write_error(out, "ERROR", sqlstate,
                          std::string{message} + " of tenant \"" + std::string{who} + "\"", detail,
                          hint);
    return out;
}

const auto two_a_minute = limits([](policy::tier& t, auto&) {
    t.queries_per_minute = 2;
    t.burst = 2;
});
const auto over_rate = error("55P03", "over queries_per_minute",
                             "2 queries a minute, at most 2 at once.", "Retry after 30000 ms.");

const auto two_rows = limits([](policy::tier& t, auto&) { t.max_result_rows = 2; });
const auto too_many_rows = error("54000", "result exceeds max_result_rows", "At most 2 rows.",
                                 "Ask for fewer rows at a time, with LIMIT.");

const auto one_second = limits([](policy::tier& t, auto&) { t.query_timeout = 1s; });
std::string out_of_time(std::string_view more = {}) {
    return error("57014", "canceling statement due to query_timeout",
                 std::string{"query_timeout is 1000 ms."}.append(more));
}

std::string rows(int n) {
    std::string out;
    for (int i = 0; i < n; ++i) out += row_of("x");
    return out;
}

}  // namespace

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
    const auto starts = parse_complete() + bind_complete();
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

TEST_CASE("limits: a batch that only reads, or whose rows are known to be few, does not wait") {
    const auto read = parse("", "SELECT v FROM other, random() r") + bind("") + execute();
    const auto one = parse("", "INSERT INTO kv VALUES ('1') RETURNING v") + bind("") + execute();
    const auto starts = parse_complete() + bind_complete();
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
    const auto unsure =
        out_of_time(" The server has not confirmed it; what it writes may be kept.");
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

TEST_CASE("limits: a block of a server that did not react is aborted as its client was told") {
    const auto unsure =
        out_of_time(" The server has not confirmed it; what it writes may be kept.");
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

namespace {

// Sessions of one tenant of which one may run.
struct queue {
    explicit queue(std::size_t sessions) {
        w.limit(limits([](policy::tier& t, auto&) {
            t.max_concurrent = 1;
            t.query_wait_timeout = 5s;
        }));
        for (std::size_t i = 0; i < sessions; ++i) {
            each.push_back(std::make_unique<wired>(w, (i + 1) << 20));
            each[i]->log_in();
        }
    }
    ~queue() {
        std::vector<core::unsettled_commit> unsettled;
        for (auto& l : each) {
            if (!l->closing) l->client_gone();
            unsettled.insert(unsettled.end(), l->unsettled.begin(), l->unsettled.end());
        }
        deliver();
        CHECK(w.unrest(unsettled) == "");
    }
    void deliver() {
        for (bool some = true; std::exchange(some, false);)
            for (auto& l : each)
                for (const auto& wake : l->wakes()) {
                    some = true;
                    auto& target = *each[(wake.token >> 20) - 1];
                    if (!target.closing) target.wake(wake);
                }
    }
    world w;
    std::vector<std::unique_ptr<wired>> each;
};

const auto inserted = completed("INSERT 0 1") + ready();

}  // namespace

TEST_CASE("limits: one runs, the others wait in the order they came") {
    queue q{3};
    for (auto& l : q.each) l->client(insert_kv);
    CHECK(show(q.each[0]->to_server()) == show(insert_kv));
    for (std::size_t i = 0; i < 3; ++i) {
        for (std::size_t j = i + 1; j < 3; ++j) CHECK(q.each[j]->to_server().empty());
        q.each[i]->server(inserted);
        CHECK(show(q.each[i]->to_client()) == show(inserted));
        q.deliver();
        if (i + 1 < 3) CHECK(show(q.each[i + 1]->to_server()) == show(insert_kv));
    }
}

TEST_CASE("limits: who waits for too long is told so, and its place in the queue is gone") {
    queue q{3};
    for (auto& l : q.each) l->client(insert_kv);
    q.each[1]->later(5s);
    CHECK(show(q.each[1]->to_client()).find("55P03") != std::string::npos);
    q.each[0]->server(inserted);
    q.deliver();
    CHECK(q.each[1]->to_server().find("INSERT") == std::string::npos);
    CHECK(show(q.each[2]->to_server()) == show(insert_kv));
}

TEST_CASE("limits: whoever dies gives its place on, running, waiting, or just admitted") {
    for (const bool client_dies : {true, false}) {
        queue q{4};
        for (auto& l : q.each) l->client(insert_kv);
        const auto die = [&](wired& l) { client_dies ? l.client_gone() : l.server_gone(); };
        die(*q.each[1]);  // waiting
        die(*q.each[0]);  // running; the next is admitted, and
        die(*q.each[2]);  // does not live to hear of it
        q.deliver();
        CHECK(q.each[3]->to_server().find("INSERT") != std::string::npos);
    }
}

TEST_CASE("limits: one that waits can be cancelled") {
    queue q{2};
    for (auto& l : q.each) l->client(insert_kv);
    CHECK_FALSE(q.each[1]->cancel());
    CHECK(show(q.each[1]->to_client()).find("57014") != std::string::npos);
    q.each[1]->client(insert_kv);  // waits again
    CHECK(q.each[1]->to_server().empty());
    q.each[0]->server(inserted);
    q.deliver();
    CHECK(show(q.each[1]->to_server()) == show(insert_kv));
}

TEST_CASE("limits: a transaction keeps its place until its end") {
    queue q{2};
    q.each[0]->client(begin);
    q.each[0]->server(begun);
    q.each[1]->client(insert_kv);
    CHECK(q.each[1]->to_server().empty());
    q.each[0]->client(insert_kv);
    q.each[0]->server(completed("INSERT 0 1") + ready('T'));
    q.deliver();
    CHECK(q.each[1]->to_server().empty());
    q.each[0]->client(rollback);
    q.each[0]->server(rolled_back);
    q.deliver();
    CHECK(show(q.each[1]->to_server()) == show(insert_kv));
}

TEST_CASE("limits: an answer of the cache waits for its turn like any other") {
    queue q{2};
    q.each[1]->client(select_kv);
    q.each[1]->server(answer("one"));
    (void)q.each[1]->to_client();
    q.each[0]->client(query("SELECT v FROM other, random() r"));
    q.each[1]->client(select_kv);
    CHECK(q.each[1]->to_client().empty());
    q.each[0]->server(answer("x"));
    q.deliver();
    CHECK(show(q.each[1]->to_client()) == show(answer("one")));
}

TEST_CASE("limits: a status that the client was not told of ends the connection") {
    const auto unsure =
        out_of_time(" The server has not confirmed it; what it writes may be kept.");
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
