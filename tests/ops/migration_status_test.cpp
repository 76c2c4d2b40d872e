#include "proxy/ops/migration_status.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "proxy/ops/migration_sql.h"

using namespace pgsidecar;
using ops::migration_facts;

namespace {

const std::string cache = "prescription_query_cache", metrics = "prescription_query_metrics",
                  cache_index = "idx_prescription_cache_tenant_expiration",
                  versions{ops::versions_table}, mark{ops::made_mark};

// A database to which `up` was applied, the cache table found and all else made.
migration_facts applied() {
    migration_facts facts;
    facts.relations = {{cache, "r", "", "t"},
                       {metrics, "r", mark, "t"},
                       {cache_index, "i", mark, "f"},
                       {versions, "r", "", "t"}};
    for (const auto& c : ops::expected_columns(ops::migration_sql::up))
        facts.columns.push_back({c.table, c.name, c.shape});
    facts.index = {{cache, "tenant_id, expiration_time", "t"}};
    facts.records = {
        {"1", "query_cache", "2026-01-02 03:04:05 UTC", "ann", "table " + cache, "f"},
        {"1", "query_cache", "2026-01-02 03:04:05 UTC", "ann", "index " + cache_index, "t"},
        {"2", "query_metrics", "2026-01-02 03:04:05 UTC", "ben", "table " + metrics, "t"}};
    return facts;
}

// And the optional step as well.
migration_facts with_notify() {
    auto facts = applied();
    for (const auto object : ops::migration_steps().at(2).objects) {
        facts.outside.push_back({std::string{object}, ""});
        facts.records.push_back(
            {"3", "notify", "2026-02-02 03:04:05 UTC", "dba", std::string{object}, "t"});
    }
    facts.watched = {{"public", "a", "A"}, {"public", "b", "A"}};
    return facts;
}

migration_facts with_wal() {
    auto facts = applied();
    for (const auto object : ops::migration_steps().at(3).objects) {
        facts.outside.push_back({std::string{object}, ""});
        facts.records.push_back(
            {"4", "wal", "2026-02-02 03:04:05 UTC", "dba", std::string{object}, "t"});
    }
    facts.published = {{"public.a", "in step", ""}, {"public.b", "in step", ""}};
    return facts;
}

bool complete(const migration_facts& facts, std::string_view wanted = {}) {
    const auto steps = ops::migration_status(facts);
    return std::ranges::all_of(steps, [&](const auto& s) { return s.ok(s.name == wanted); });
}

// "made ok", "- missing"
std::string object(const migration_facts& facts, std::string_view name) {
    for (const auto& step : ops::migration_status(facts))
        for (const auto& o : step.objects)
            if (o.object == name) return (o.from.empty() ? "-" : o.from) + " " + o.state;
    return "not told";
}

void drop(ops::answer_rows& rows, std::string_view first) {
    std::erase_if(rows, [&](const auto& r) { return r.at(0) == first; });
}

}  // namespace

TEST_CASE("status: everything applied") {
    const auto facts = applied();
    CHECK(complete(facts));
    CHECK(object(facts, "table " + cache) == "found ok");
    CHECK(object(facts, "index " + cache_index) == "made ok");
    CHECK(object(facts, "table " + metrics) == "made ok");
    CHECK_FALSE(complete(facts, "notify"));
    CHECK(complete(with_notify()));
    CHECK(complete(with_notify(), "notify"));
    CHECK_FALSE(complete(with_notify(), "wal"));
    CHECK(complete(with_wal(), "wal"));
}

TEST_CASE("status: nothing applied") {
    const migration_facts nothing;
    CHECK_FALSE(complete(nothing));
    CHECK(object(nothing, "table " + cache) == "- missing");
    CHECK(ops::render(ops::migration_status(nothing)) ==
          "step             object                                          applied  by  state\n"
          "1 query_cache                                                    -        -   not "
          "applied\n"
          "                 table prescription_query_cache                  -            missing\n"
          "                 index idx_prescription_cache_tenant_expiration  -            missing\n"
          "2 query_metrics                                                  -        -   not "
          "applied\n"
          "                 table prescription_query_metrics                -            missing\n"
          "3 notify                                                         -        -   "
          "not applied (optional)\n"
          "4 wal                                                            -        -   "
          "not applied (optional)\n");
}

TEST_CASE("status: what is there without a record is found, and not applied") {
    auto facts = applied();
    facts.records.clear();
    CHECK_FALSE(complete(facts));
    CHECK(object(facts, "table " + metrics) == "found ok");
    CHECK(ops::render(ops::migration_status(facts)).find("not applied") != std::string::npos);
}

TEST_CASE("status: what somebody has changed since") {
    auto facts = applied();
    drop(facts.relations, metrics);
    CHECK(object(facts, "table " + metrics) == "- missing");
    CHECK_FALSE(complete(facts));
    CHECK(ops::render(ops::migration_status(facts)).find("applied, but not as expected") !=
          std::string::npos);

    facts = applied();
    facts.relations[1][2] = "";  // made anew by somebody else: our mark is gone
    CHECK(object(facts, "table " + metrics) == "found ok");

    facts = applied();
    facts.relations[0][1] = "v";
    CHECK(object(facts, "table " + cache) == "found is no table");

    facts = applied();
    facts.columns[1][2] = "text";
    CHECK(object(facts, "table " + cache) ==
          "found column \"tenant_id\" is text, expected is character varying(100), not null");
    CHECK_FALSE(complete(facts));
}

TEST_CASE("status: the index") {
    static const struct {
        ops::answer_rows rows;
        const char* want;
    } rows[] = {
        {{}, "made is no index"},
        {{{"other", "tenant_id, expiration_time", "t"}}, "made is an index of another table"},
        {{{cache, "expiration_time, tenant_id", "t"}},
         "made is on (expiration_time, tenant_id), expected is (tenant_id, expiration_time)"},
        {{{cache, "tenant_id, expiration_time", "f"}}, "made is unique, partial or not valid"},
    };
    for (const auto& row : rows) {
        auto facts = applied();
        facts.index = row.rows;
        CHECK(object(facts, "index " + cache_index) == row.want);
        CHECK_FALSE(complete(facts));
    }
}

TEST_CASE("status: notify") {
    auto facts = with_notify();
    facts.watched[1][2] = "";
    CHECK(object(facts, "trigger on public.b") == "- missing");
    CHECK(object(facts, "triggers on 1 tables") == "made ok");
    CHECK_FALSE(complete(facts));
    facts.watched[1][2] = "D";
    CHECK(object(facts, "trigger on public.b") == "made is not enabled for all");
    CHECK_FALSE(complete(facts));

    facts = with_notify();
    facts.outside.back().at(1) = "is another trigger";
    CHECK(object(facts, "event trigger pgsidecar_sql_drop") == "made is another trigger");
    CHECK_FALSE(complete(facts));

    facts = with_notify();
    drop(facts.outside, "function pgsidecar.notify_write");
    CHECK(object(facts, "function pgsidecar.notify_write") == "- missing");
    CHECK_FALSE(complete(facts));

    // Not applied, and yet some of it is there: that is told.
    facts = applied();
    facts.outside = {{"schema pgsidecar", ""}};
    CHECK(complete(facts));
    CHECK(ops::render(ops::migration_status(facts)).find("schema pgsidecar") != std::string::npos);
}

TEST_CASE("status: wal") {
    static const struct {
        const char *state, *reason, *want;
        bool complete;
    } rows[] = {
        {"missing", "", "- missing", false},
        {"left out", "has no primary key", "- left out: it has no primary key", true},
        {"not wanted", "is not watched", "made must not be published: it is not watched", false},
        {"other columns", "", "made is published with other columns, or not every row", false},
        {"in step", "", "not told", true},
    };
    for (const auto& row : rows) {
        CAPTURE(row.state);
        auto facts = with_wal();
        facts.published.push_back({"public.c", row.state, row.reason});
        CHECK(object(facts, "published table public.c") == row.want);
        CHECK(complete(facts) == row.complete);
        if (!row.complete) CHECK(object(facts, "2 published tables") == "made ok");
    }

    // Of notify, which is not applied, nothing is told: what is there belongs to wal.
    auto facts = with_wal();
    const auto text = ops::render(ops::migration_status(facts));
    CHECK(text.find("notify_ddl") == std::string::npos);
    CHECK(text.find("schema pgsidecar") == text.rfind("schema pgsidecar"));

    drop(facts.outside, "publication pgsidecar");
    CHECK(object(facts, "publication pgsidecar") == "- missing");
    CHECK_FALSE(complete(facts));
    facts.outside.push_back({"publication mine", ""});  // another name, given by hand
    facts.records.push_back({"4", "wal", "", "", "publication mine", "t"});
    CHECK(object(facts, "publication mine") == "made ok");
    CHECK(object(facts, "publication pgsidecar") == "not told");
    CHECK(complete(facts));
    facts.outside.back().at(1) = "does not publish every write";
    CHECK_FALSE(complete(facts));
}

TEST_CASE("status: records that cannot be read") {
    auto facts = applied();
    CHECK(ops::records_problem(facts).empty());
    facts.relations[3][3] = "f";
    CHECK(ops::records_problem(facts) ==
          "needs SELECT on table pgsidecar_migrations and USAGE on its schema");
    facts = applied();
    facts.columns.back() = {versions, "found", "text"};
    CHECK(ops::records_problem(facts) ==
          "table pgsidecar_migrations is not pgsidecar's: column \"found\" is text, expected is "
          "text[], not null");
    CHECK(ops::records_problem({}).empty());
}

TEST_CASE("status: names from the database do not reach the terminal raw") {
    auto facts = applied();
    facts.records[0][3] = "ann\x1b[2J\nforged";
    const auto text = ops::render(ops::migration_status(facts));
    CHECK(text.find('\x1b') == std::string::npos);
    CHECK(text.find("\nforged") == std::string::npos);
    CHECK(text.find("ann\\x1b[2J\\x0aforged") != std::string::npos);
}
