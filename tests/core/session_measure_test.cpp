// What is told of each statement: how it was answered, how much it gave, which transactions ended.
#include <doctest/doctest.h>

#include "tests/core/limited.h"

using namespace core_test;
using namespace std::chrono_literals;

namespace {

using policy::reason;

struct measured_session {
    measured_session() {
        w.options.measures = true;
        w.limit({.limits = policy::enforcement::off});
        t = std::make_unique<wired>(w);
        t->log_in();
    }
    // What is told of one exchange, in `took`.
    std::vector<core::measurement> exchange(std::string_view asks, std::string_view answers,
                                            std::chrono::milliseconds took = 5ms) {
        t->client(asks);
        w.now += took;
        if (!answers.empty()) t->server(answers);
        (void)t->to_client();
        (void)t->to_server();
        return t->measured();
    }

    world w;
    std::unique_ptr<wired> t;
    const std::string select_kv = query("SELECT v FROM kv WHERE id = 1");
};

TEST_CASE_FIXTURE(measured_session, "measured: a miss, then its hit, with rows and bytes") {
    const auto start = w.now;
    const auto miss = exchange(select_kv, answer("one"));
    REQUIRE(miss.size() == 1);
    CHECK(miss[0].why == reason::miss);
    CHECK(miss[0].rows == 1);
    CHECK(miss[0].bytes == answer("one").size() - ready().size());
    CHECK(miss[0].since == start);
    CHECK(miss[0].tenant->name == "default");
    CHECK(miss[0].text->sql == "SELECT v FROM kv WHERE id = 1");
    CHECK(miss[0].where == &w.db());
    CHECK(miss[0].by_rule);
    CHECK_FALSE(miss[0].alone);
    CHECK(t->ended().size() == 1);

    const auto hit = exchange(select_kv, {});
    REQUIRE(hit.size() == 1);
    CHECK(hit[0].why == reason::hit);
    CHECK(hit[0].rows == 1);
    CHECK(hit[0].bytes == miss[0].bytes);
    CHECK(hit[0].alone);
    CHECK(t->ended().empty());
}

TEST_CASE_FIXTURE(measured_session,
                  "measured: what cannot be cached says why, an error that it failed") {
    const auto bypass = exchange(query("SELECT now()"), answer("x"));
    REQUIRE(bypass.size() == 1);
    CHECK(bypass[0].why == reason::clock_read);
    const auto refused = exchange(query("SELECT nonsense FROM kv"), failed("42703") + ready());
    REQUIRE(refused.size() == 1);
    CHECK(refused[0].failed);
    CHECK_FALSE(bypass[0].failed);
}

TEST_CASE_FIXTURE(measured_session,
                  "measured: a block is one transaction, from its first statement") {
    const auto start = w.now;
    (void)exchange(query("BEGIN"), completed("BEGIN") + ready('T'));
    CHECK(t->ended().empty());
    const auto inside =
        exchange(select_kv, described() + row_of("one") + completed("SELECT 1") + ready('T'));
    REQUIRE(inside.size() == 1);
    CHECK(inside[0].why == reason::in_transaction);
    CHECK(t->ended().empty());
    (void)exchange(query("COMMIT"), completed("COMMIT") + ready());
    const auto ended = t->ended();
    REQUIRE(ended.size() == 1);
    CHECK(ended[0].since == start);
    CHECK(ended[0].where == &w.db());
}

TEST_CASE_FIXTURE(measured_session,
                  "measured: in a pipeline each has the time since the one before") {
    const auto start = w.now;
    const auto second = query("SELECT v FROM other");
    t->client(query("UPDATE kv SET v = '2'") + second);
    w.now += 3ms;
    t->server(completed("UPDATE 7") + ready());
    w.now += 4ms;
    t->server(answer("two"));
    const auto all = t->measured();
    REQUIRE(all.size() == 2);
    CHECK(all[0].since == start);
    CHECK(all[0].rows == 7);
    CHECK(all[1].since == start + 3ms);
    CHECK(all[1].bytes == answer("two").size() - ready().size());
    CHECK(t->ended().size() == 2);
}

TEST_CASE_FIXTURE(measured_session,
                  "measured: a long row counts with all its bytes, however it comes") {
    const auto long_row = row_of(std::string(200'000, 'x'));
    t->client(query("SELECT v FROM other"));
    const auto whole = described() + long_row + completed("SELECT 1") + ready();
    for (std::size_t i = 0; i < whole.size(); i += 4096) t->server(whole.substr(i, 4096));
    const auto one = t->measured();
    REQUIRE(one.size() == 1);
    CHECK(one[0].bytes == whole.size() - ready().size());
    CHECK(one[0].rows == 1);
}

}  // namespace
