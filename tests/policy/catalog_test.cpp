// The builder fed by hand: what a server would not send, and sizes that would take it minutes.
#include <doctest/doctest.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/catalog.h"
#include "policy/catalog_queries.h"
#include "policy/plan_read.h"
#include "policy/plan_write.h"
#include "policy/resolve.h"

namespace pgsidecar::policy {
namespace {

using row = std::vector<std::optional<std::string_view>>;

void feed(catalog_builder& builder, catalog_source source, const row& columns) {
    builder.row(static_cast<std::size_t>(source), columns);
}

// The least that every server sends.
void feed_basics(catalog_builder& builder) {
    feed(builder, catalog_source::server, {"search_path", "\"$user\", public"});
    feed(builder, catalog_source::server, {"server_version_num", "150004"});
    feed(builder, catalog_source::server, {" started", "1"});
    feed(builder, catalog_source::schemas, {"pg_catalog", "postgres", ""});
    feed(builder, catalog_source::schemas, {"public", "postgres", ""});
    feed(builder, catalog_source::relations,
         {"1259", "pg_catalog", "pg_class", "r", "p", "false", "false", ""});
    feed(builder, catalog_source::builtin_functions, {"lower", "i"});
    feed(builder, catalog_source::builtin_operators, {"=", "i"});
    feed(builder, catalog_source::implicit_casts, {"0", std::nullopt});
}

void feed_table(catalog_builder& builder, std::string_view id, std::string_view name) {
    feed(builder, catalog_source::relations, {id, "public", name, "r", "p", "false", "false", ""});
}

}  // namespace

TEST_CASE("catalog builder: the basics make a catalog") {
    catalog_builder builder;
    feed_basics(builder);
    feed_table(builder, "20000", "t");
    const auto c = builder.finish(7);
    REQUIRE(c != nullptr);
    CHECK(builder.problem().empty());
    CHECK(c->generation() == 7);
    CHECK(c->server_version() == 150004);
    REQUIRE(c->find("public", "t") != nullptr);
    CHECK(c->find(20000) == c->find("public", "t"));
    CHECK(c->find("private", "t") == nullptr);
    CHECK(c->login_default("anyone", "search_path") == "\"$user\", public");
    CHECK(c->builtin_function("lower") == volatility::immutable);
    CHECK_FALSE(c->builtin_function("no_such").has_value());
}

TEST_CASE("catalog builder: each malformed row is refused and its query named") {
    const struct {
        const char* trap;
        catalog_source source;
        row columns;
        const char* problem;
    } rows[] = {
        {"too narrow", catalog_source::relations, {"1", "public"}, "relations"},
        {"too wide", catalog_source::server, {"a", "b", "c"}, "server"},
        {"null where none can be",
         catalog_source::relations,
         {"1", "public", std::nullopt, "r", "p", "false", "false", ""},
         "relations"},
        {"no number",
         catalog_source::relations,
         {"x", "public", "t", "r", "p", "false", "false", ""},
         "relations"},
        {"beyond 32 bits",
         catalog_source::relations,
         {"4294967296", "public", "t", "r", "p", "false", "false", ""},
         "relations"},
        {"negative", catalog_source::inheritance, {"-1", "1"}, "inheritance"},
        {"the same oid twice",
         catalog_source::relations,
         {"1259", "public", "t", "r", "p", "false", "false", ""},
         "relations"},
        {"broken list",
         catalog_source::datetime_columns,
         {"c", "1,,2", std::nullopt},
         "datetime_columns"},
        {"version", catalog_source::server, {"server_version_num", "fifteen"}, "server"},
    };
    for (const auto& r : rows) {
        CAPTURE(std::string{r.trap});
        catalog_builder builder;
        feed_basics(builder);
        feed(builder, r.source, r.columns);
        feed_table(builder, "20000", "t");  // later rows do not heal it
        CHECK(builder.finish() == nullptr);
        CHECK(builder.problem() == r.problem);
    }
}

TEST_CASE("catalog builder: a query that was skipped is noticed, not taken for an empty answer") {
    catalog_builder builder;
    feed(builder, catalog_source::server, {"search_path", "public"});
    CHECK(builder.finish() == nullptr);
    CHECK(builder.problem() == "schemas");
}

TEST_CASE("catalog builder: references to what is gone are skipped") {
    catalog_builder builder;
    feed_basics(builder);
    feed_table(builder, "20000", "t");
    feed(builder, catalog_source::inheritance, {"20000", "30000"});
    feed(builder, catalog_source::inheritance, {"30000", "20000"});
    feed(builder, catalog_source::foreign_keys, {"20000", "30000", "c", "a"});
    feed(builder, catalog_source::views, {"30000", "SELECT 1"});
    feed(builder, catalog_source::policies, {"30000", "*", "true", std::nullopt, ""});
    feed(builder, catalog_source::volatile_columns, {"30000"});
    const auto c = builder.finish();
    REQUIRE(c != nullptr);
    CHECK(c->find(20000)->parents.empty());
    CHECK(c->find(20000)->cascades.empty());
}

TEST_CASE("catalog: a trigger whose function is not in it may do anything") {
    catalog_builder builder;
    feed_basics(builder);
    feed_table(builder, "20000", "t");
    feed(builder, catalog_source::triggers, {"20000", "30000", "4", std::nullopt});
    const auto c = builder.finish();
    statement_facts insert;
    insert.kind = statement_kind::insert;
    insert.writes = {{"public", "t"}};
    const auto plan = plan_write(insert, c.get(), {"public", "app", false, false, false});
    CHECK(plan.whole_database);
    CHECK(plan.taints_session);
}

TEST_CASE("catalog: a view or policy that the parser refuses is never cached through") {
    catalog_builder builder;
    feed_basics(builder);
    feed_table(builder, "20000", "t");
    feed(builder, catalog_source::relations,
         {"20001", "public", "v", "v", "p", "false", "false", ""});
    feed(builder, catalog_source::relations,
         {"20002", "public", "s", "r", "p", "true", "false", ""});
    feed(builder, catalog_source::views, {"20001", "SELECT FROM FROM"});
    feed(builder, catalog_source::policies,
         {"20002", "*", "SYNTAX FROM THE FUTURE", std::nullopt, ""});
    const auto c = builder.finish();
    REQUIRE(c != nullptr);
    const cache_rules rules{{{"all", {"*"}, {}, {}, rule_mode::on}}, {}};
    const session_scope scope{"public", "app", false, false, false};
    statement_facts select;
    select.kind = statement_kind::select;
    select.reads = {{"", "v"}};
    CHECK(plan_read(select, *c, scope, rules).why == reason::unsupported_relation);
    CHECK(plan_write(select, c.get(), scope).whole_database);
    select.reads = {{"", "s"}};
    CHECK(plan_read(select, *c, scope, rules).why == reason::row_level_security);
    CHECK(plan_write(select, c.get(), scope).taints_session);
    select.reads = {{"", "t"}};
    CHECK(plan_read(select, *c, scope, rules).why == reason::miss);
}

TEST_CASE("catalog: hierarchies with a loop or many parents end") {
    catalog_builder builder;
    feed_basics(builder);
    std::vector<std::string> ids, names;
    for (int i = 0; i < 40; ++i) {
        ids.push_back(std::to_string(20000 + i));
        names.push_back("t" + std::to_string(i));
    }
    for (std::size_t i = 0; i < ids.size(); ++i) feed_table(builder, ids[i], names[i]);
    // Two parents on each level: 2^20 ways from the bottom to the top. And a loop, which no server
    // has, but the rows might.
    for (std::size_t i = 2; i < ids.size(); ++i) {
        feed(builder, catalog_source::inheritance, {ids[i], ids[i - 1]});
        feed(builder, catalog_source::inheritance, {ids[i], ids[i - 2]});
        feed(builder, catalog_source::foreign_keys, {ids[i], ids[i - 1], "c", "c"});
    }
    feed(builder, catalog_source::inheritance, {ids.front(), ids.back()});
    const auto c = builder.finish();
    REQUIRE(c != nullptr);
    const cache_rules rules{{{"all", {"*"}, {}, {}, rule_mode::on}}, {}};
    const session_scope scope{"public", "app", false, false, false};
    statement_facts facts;
    facts.kind = statement_kind::select;
    facts.reads = {{"", "t0"}};
    CHECK(plan_read(facts, *c, scope, rules).tables.size() == 39);  // t1 is beside t0
    facts = {};
    facts.kind = statement_kind::delete_;
    facts.writes = {{"", "t39"}};
    CHECK(plan_write(facts, c.get(), scope).tables.size() == 40);
}

TEST_CASE("catalog builder: a hundred thousand relations are no matter") {
    catalog_builder builder;
    feed_basics(builder);
    const auto begun = std::chrono::steady_clock::now();
    for (int i = 0; i < 100000; ++i) {
        feed_table(builder, std::to_string(20000 + i), "t" + std::to_string(i));
        if (i > 0) {
            feed(builder, catalog_source::inheritance,
                 {std::to_string(20000 + i), std::string_view{"20000"}});
        }
    }
    const auto c = builder.finish();
    REQUIRE(c != nullptr);
    const cache_rules rules{{{"all", {"*"}, {}, {}, rule_mode::on}}, {}};
    statement_facts select;
    select.kind = statement_kind::select;
    select.reads = {{"", "t0"}};
    const session_scope scope{"public", "app", false, false, false};
    CHECK(plan_read(select, *c, scope, rules).tables.size() == 100000);
    // Quadratic behaviour would take minutes.
    CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds{20});
}

TEST_CASE("search_path: each text yields its elements or nothing") {
    using list = std::vector<std::string>;
    const struct {
        std::string_view text;
        std::optional<list> want;
    } rows[] = {
        {"", list{}},
        {"   ", list{}},
        {"public", list{"public"}},
        {"\"$user\", public", list{"$user", "public"}},
        {"$user,public", list{"$user", "public"}},
        {" A , \"A\" ", list{"a", "A"}},
        {"\"a\"\"b\"", list{"a\"b"}},
        {"\"a, b\"", list{"a, b"}},
        {"\"\"", list{""}},
        {"a,", std::nullopt},
        {",a", std::nullopt},
        {"a,,b", std::nullopt},
        {"a b", std::nullopt},
        {"\"a", std::nullopt},
        {"\"a\"b", std::nullopt},
        {"\"a\"\"", std::nullopt},
        {"caf\xc3\x89", std::nullopt},
        {"\"caf\xc3\x89\"", list{"caf\xc3\x89"}},
    };
    for (const auto& r : rows) {
        CAPTURE(std::string{r.text});
        CHECK((parse_search_path(r.text) == r.want));
    }
    CHECK_FALSE(parse_search_path(std::string(64, 'x')).has_value());
}

TEST_CASE("reason: every code has a text of its own") {
    std::vector<std::string_view> seen;
    for (int i = 0; i < static_cast<int>(reason::count_); ++i) {
        const auto text = to_string(static_cast<reason>(i));
        CHECK_FALSE(text.empty());
        for (const auto other : seen) CHECK(text != other);
        seen.push_back(text);
    }
    CHECK(to_string(reason::miss) == "miss");
    CHECK(to_string(reason::unknown_statement) == "bypass:unknown_statement");
}

}  // namespace pgsidecar::policy
