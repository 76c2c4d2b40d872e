// Whose limits hold a request where each request may be another tenant's: by a comment of its text,
// or by a setting that is sent right before it.
#include <doctest/doctest.h>

#include "tests/core/limited.h"

using namespace core_test;
using namespace core_test::limited;

namespace {

using from = policy::tenant_source::from;

// The tenant "few" may have two rows, and two requests a minute.
const auto few_for_few = limits([](policy::tier& t, policy::tenant_options& all) {
    all.sources = {{.where = from::comment, .name = "tenant"},
                   {.where = from::setting, .name = "app.tenant_id"}};
    auto few = t;
    few.name = "few";
    few.members = {"few"};
    few.max_result_rows = 2;
    few.queries_per_minute = 2;
    few.burst = 2;
    all.tiers.push_back(std::move(few));
});

const auto refused_rows = error("54000", "result exceeds max_result_rows", "At most 2 rows.",
                                "Ask for fewer rows at a time, with LIMIT.", "few");
const auto refused_rate =
    error("55P03", "over queries_per_minute", "2 queries a minute, at most 2 at once.",
          "Retry after 30000 ms.", "few");

std::string text_of(std::string_view tenant) {
    return "SELECT v FROM other, random() r /*tenant='" + std::string{tenant} + "'*/";
}
std::string query_of(std::string_view tenant) { return query(text_of(tenant)); }
std::string part_of(std::string_view tenant) {
    return parse("", text_of(tenant)) + bind("") + execute();
}

const auto select_three = rows(3) + completed("SELECT 3");

}  // namespace

TEST_CASE("tenant: of pipelined queries each is held to the limits of its own tenant") {
    const auto whole = described() + select_three + ready();
    script s;
    s.limits(few_for_few);
    SUBCASE("the stricter one behind") {
        s.client(query_of("many") + query_of("few"), {.server = query_of("many")});
        s.server(whole, {.server = query_of("few"), .client = whole});
        s.server(described() + rows(3), {.client = described() + rows(2)});
        s.event(step::kind::cancel_sent);
        s.server(failed("57014") + ready(), {.client = refused_rows + ready()});
    }
    SUBCASE("the stricter one in front") {
        s.client(query_of("few") + query_of("many"), {.server = query_of("few")});
        s.server(described() + rows(3), {.client = described() + rows(2)});
        s.event(step::kind::cancel_sent);
        s.server(failed("57014") + ready(),
                 {.server = query_of("many"), .client = refused_rows + ready()});
        s.server(whole, {.client = whole});
    }
    SUBCASE("what is the same tenant's does not wait") {
        s.client(query_of("many") + query_of("many"),
                 {.server = query_of("many") + query_of("many")});
        s.server(whole + whole, {.client = whole + whole});
    }
    s.play_everyhow();
}

TEST_CASE("tenant: of pipelined batches each is held to the limits of its own tenant") {
    const auto many = part_of("many") + sync_now();
    const auto few = part_of("few") + sync_now();
    const auto whole = starts + select_three + ready();
    script s;
    s.limits(few_for_few);
    s.client(many + few + many, {.server = many});
    s.server(whole, {.server = few, .client = whole});
    s.server(starts + rows(3), {.client = starts + rows(2)});
    s.event(step::kind::cancel_sent);
    s.server(failed("57014") + ready(), {.server = many, .client = refused_rows + ready()});
    s.server(whole, {.client = whole});
    s.play_everyhow();
}

TEST_CASE("tenant: behind a BEGIN that names nobody the first query need not wait") {
    const auto many = part_of("many") + sync_now();
    const auto whole = begun + starts + select_three + ready('T');
    script s;
    s.limits(few_for_few);
    s.client(begin + many, {.server = begin + many});
    s.server(whole, {.client = whole});
    s.play_everyhow();
}

TEST_CASE("tenant: a comment names it in a block too") {
    const auto few = part_of("few") + sync_now();
    const auto one = starts + row_of("x") + completed("SELECT 1") + ready('T');
    script s;
    s.limits(few_for_few);
    s.passes(begin, begun);
    for (int i = 0; i < 2; ++i) s.passes(few, one);
    SUBCASE("of a statement that is not named") {
        s.client(few, {.server = parse("", text_of("few")) + bind("") + failing + sync_now()});
        s.server(starts + failed("42601") + ready('E'),
                 {.client = starts + refused_rate + ready('E')});
    }
    SUBCASE("of a statement that was prepared") {
        s.passes(parse("s", text_of("few")) + sync_now(), parse_complete() + ready('T'));
        s.passes(query("SELECT 1"), described() + row_of("1") + completed("SELECT 1") + ready('T'));
        s.client(bind("s") + execute() + sync_now(), {.server = bind("s") + failing + sync_now()});
        s.server(bind_complete() + failed("42601") + ready('E'),
                 {.client = bind_complete() + refused_rate + ready('E')});
    }
    s.play_everyhow();
}

TEST_CASE("tenant: a setting that may name another one is waited for behind requests too") {
    const auto set = query("SET app.tenant_id = 'few'");
    const auto ask = query("SELECT v FROM other, random() r");
    const auto whole = described() + select_three + ready();
    const auto done = completed("SET") + ready();
    script s;
    s.limits(few_for_few);
    s.client(ask + set + ask, {.server = ask + set});
    s.server(whole + done, {.server = ask, .client = whole + done});
    s.server(described() + rows(3), {.client = described() + rows(2)});
    s.event(step::kind::cancel_sent);
    s.server(failed("57014") + ready(), {.client = refused_rows + ready()});
    s.play_everyhow();
}
