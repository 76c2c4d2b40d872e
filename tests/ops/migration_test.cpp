#include "proxy/ops/migration.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/ops/migration_sql.h"

using namespace pgsidecar;
using namespace std::string_view_literals;
using ops::table_column;
using texts = std::vector<std::string>;

namespace {

std::string file(const std::string& name) {
    std::ifstream in{PGSIDECAR_SOURCE_DIR "/deploy/sql/" + name, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
}

constexpr std::string_view small_list =
    "SELECT $columns$\r\n"
    "  t   id    integer, not null, primary key  \r\n"
    "\n"
    "  t   name  character varying(255)\n"
    "  u   x     text\n"
    "  half\n"
    "$columns$ rest";

}  // namespace

TEST_CASE("the SQL in the program is that of the files") {
    CHECK(ops::migration_sql::up == file("up.sql"));
    CHECK(ops::migration_sql::down == file("down.sql"));
    CHECK(ops::migration_sql::notify_up == file("notify-up.sql"));
    CHECK(ops::migration_sql::notify_down == file("notify-down.sql"));
    CHECK(ops::migration_sql::wal_up == file("wal-up.sql"));
    CHECK(ops::migration_sql::wal_down == file("wal-down.sql"));
    CHECK(ops::migration_sql::up.size() > 1000);
}

TEST_CASE("what notify and wal share is the same text in both") {
    const auto shared = [](std::string_view sql) {
        const auto begin = sql.find("from here ...\n"), end = sql.find("... to here.\n");
        REQUIRE(begin != std::string_view::npos);
        REQUIRE(end != std::string_view::npos);
        return sql.substr(begin, end - begin);
    };
    const auto text = shared(ops::migration_sql::wal_up);
    CHECK(text == shared(ops::migration_sql::notify_up));
    CHECK(text.find("FUNCTION pgsidecar.watched_tables(") != std::string_view::npos);
    CHECK(text.find("FUNCTION pgsidecar.ddl_message(") != std::string_view::npos);
}

TEST_CASE("expected columns: a line each, its shape to the end of the line") {
    const auto columns = ops::expected_columns(small_list);
    const std::vector<table_column> want{{"t", "id", "integer, not null, primary key"},
                                         {"t", "name", "character varying(255)"},
                                         {"u", "x", "text"}};
    CHECK(columns == want);
    CHECK(ops::expected_columns("").empty());
    CHECK(ops::expected_columns("$columns$ t a text\n").empty());  // never closed
}

TEST_CASE("expected columns of up.sql: those of its tables") {
    const auto columns = ops::expected_columns(ops::migration_sql::up);
    const auto count = [&](std::string_view table) {
        return std::ranges::count(columns, table, &table_column::table);
    };
    CHECK(count("prescription_query_cache") == 5);
    CHECK(count("prescription_query_metrics") == 6);
    CHECK(count(ops::versions_table) == 6);
    CHECK(columns.size() == 17);
}

TEST_CASE("every step's objects are named by its SQL") {
    for (const auto& step : ops::migration_steps()) {
        const auto sql = step.version == 4   ? ops::migration_sql::wal_up
                         : step.version == 3 ? ops::migration_sql::notify_up
                                             : ops::migration_sql::up;
        CHECK(sql.find("'" + std::string{step.name} + "'") != std::string_view::npos);
        for (const auto object : step.objects) {
            CAPTURE(object);
            // Event triggers are made of their events: pgsidecar_ddl_command_end.
            const auto name = object.substr(object.rfind(object.starts_with("event") ? '_' : ' '));
            CHECK(sql.find(name.substr(1)) != std::string_view::npos);
        }
    }
    for (const auto sql : {ops::migration_sql::up, ops::migration_sql::down})
        CHECK(sql.find("'" + std::string{ops::made_mark} + "'") != std::string_view::npos);
}

TEST_CASE("column difference: the first one is named") {
    const auto expected = ops::expected_columns(small_list);
    const table_column id{"t", "id", "integer, not null, primary key"};
    const table_column name{"t", "name", "character varying(255)"};
    const table_column other{"u", "whatever", "text"};
    static const struct {
        const char* what;
        std::vector<table_column> found;
        const char* want;  // null: none
    } rows[] = {
        {"as expected", {id, name}, nullptr},
        {"in another order, beside another table", {other, name, id}, nullptr},
        {"one is missing",
         {id, other},
         "column \"name\" is missing, expected is character varying(255)"},
        {"another type",
         {id, {"t", "name", "text"}},
         "column \"name\" is text, expected is character varying(255)"},
        {"no primary key, and a type as well: the first of them",
         {{"t", "id", "integer, not null"}, {"t", "name", "text"}},
         "column \"id\" is integer, not null, expected is integer, not null, primary key"},
        {"one too many",
         {id, name, {"t", "extra", "jsonb"}},
         "column \"extra\" is jsonb, expected is no such column"},
        {"upper and lower case differ",
         {id, {"t", "Name", "character varying(255)"}},
         "column \"name\" is missing, expected is character varying(255)"},
        {"no table at all",
         {},
         "column \"id\" is missing, expected is integer, not null, primary key"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.what);
        const auto got = ops::column_difference("t", expected, row.found);
        CHECK(got.value_or("none") == std::string{row.want ? row.want : "none"});
    }
}

TEST_CASE("watched patterns: of rules that cache, each once") {
    policy::cache_rules rules;
    rules.rules.resize(4);
    rules.rules[0].tables = {"public.a*", "b"};
    rules.rules[1].tables = {"kept_out"};
    rules.rules[1].mode = policy::rule_mode::off;
    rules.rules[2].tables = {"b", "s.c?"};
    rules.rules[3].tables = {"shadowed"};
    rules.rules[3].mode = policy::rule_mode::shadow;
    CHECK(ops::watched_patterns(rules) == texts{"public.a*", "b", "s.c?", "shadowed"});
    CHECK(ops::watched_patterns({}).empty());
}

TEST_CASE("texts for PostgreSQL") {
    CHECK(ops::array_literal({}) == "{}");
    CHECK(ops::array_literal(texts{"a", "b,c", "d\"e\\f", ""}) == R"({"a","b,c","d\"e\\f",""})");
    CHECK(ops::quoted_identifier("Odd \"name\"") == R"("Odd ""name""")");
}
