// Write plans against a real catalog: what a statement changes without naming it.
#include <doctest/doctest.h>

#include <string>

#include "tests/policy/live_fixture.h"

namespace pgsidecar::policy {
namespace {

using testing::names;
using testing::write;

// What else a plan says, as letters: r reads only, d whole database, c whole cluster, s schema
// changed, t taints the session, m makes something temporary.
std::string flags(const write_plan& plan) {
    std::string text;
    if (plan.reads_only) text += 'r';
    if (plan.whole_database) text += 'd';
    if (plan.whole_cluster) text += 'c';
    if (plan.schema_changed) text += 's';
    if (plan.taints_session) text += 't';
    if (plan.creates_temporary) text += 'm';
    return text;
}

struct expectation {
    const char* trap;
    const char* sql;
    const char* tables;
    const char* flags;
};

// at_least: so many rows must have run on the server, or the comparison proves nothing.
template <std::size_t N>
void check(const expectation (&rows)[N], int at_least) {
    int confirmed = 0;
    for (const auto& row : rows) {
        CAPTURE(std::string{row.trap});
        CAPTURE(std::string{row.sql});
        const auto plan = write(row.sql);
        CHECK(names(plan.tables) == std::string{row.tables});
        CHECK(flags(plan) == std::string{row.flags});
        // The server must not have written anything that the plan does not name.
        if (plan.whole_database) continue;
        const auto wrote = testing::touched(row.sql, true);
        if (!wrote) continue;  // COPY, for one
        CAPTURE(*wrote);
        CHECK(testing::within(*wrote, names(plan.tables)));
        if (plan.reads_only) CHECK(wrote->empty());
        ++confirmed;
    }
    CHECK(confirmed >= at_least);
}

}  // namespace

TEST_CASE("plan_write: named targets") {
    check(
        {
            {"insert", "INSERT INTO plain VALUES (1)", "public.plain", ""},
            {"insert from a query", "INSERT INTO plain SELECT id, name FROM patients",
             "public.plain", ""},
            {"update through a join", "UPDATE plain SET v = p.name FROM patients p", "public.plain",
             ""},
            {"delete", "DELETE FROM plain", "public.plain", ""},
            {"copy", "COPY plain FROM STDIN", "public.plain", ""},
            {"copy out", "COPY plain TO STDOUT", "", "r"},
            {"merge",
             "MERGE INTO plain p USING patients s ON p.id = s.id "
             "WHEN NOT MATCHED THEN INSERT VALUES (1)",
             "public.plain", ""},
            {"truncate", "TRUNCATE plain", "public.plain", ""},
            {"write inside WITH", "WITH d AS (DELETE FROM plain RETURNING *) SELECT * FROM d",
             "public.plain", ""},
            {"two writes",
             "WITH d AS (DELETE FROM plain RETURNING id) INSERT INTO counters "
             "SELECT 'x', id FROM d",
             "public.counters public.plain", ""},
            {"explain analyze really runs", "EXPLAIN ANALYZE DELETE FROM plain", "public.plain",
             ""},
            {"explain does not", "EXPLAIN DELETE FROM plain", "", "r"},
            {"refresh", "REFRESH MATERIALIZED VIEW drug_counts", "public.drug_counts", ""},
            {"refresh of a query that writes", "REFRESH MATERIALIZED VIEW numbering",
             "public.counters public.numbering", ""},
            {"read", "SELECT * FROM patient_overview", "", "r"},
            {"unknown target: made a moment ago", "INSERT INTO nowhere VALUES (1)", "", "d"},
            {"catalog edited by hand", "UPDATE pg_class SET relname = 'x'", "", "dcst"},
        },
        11);
}

TEST_CASE("plan_write: foreign keys cascade as declared, and on") {
    check(
        {
            {"delete deletes, then sets null, which is an update that cascades",
             "DELETE FROM patients WHERE id = 1",
             "public.patients public.prescriptions public.refill_notes public.refills", ""},
            {"update of a key that only deletes cascade from", "UPDATE patients SET name = ''",
             "public.patients", ""},
            {"insert into the referenced table", "INSERT INTO patients VALUES (9)",
             "public.patients", ""},
            {"insert that may update by ON CONFLICT", "INSERT INTO refills VALUES (9, 1)",
             "public.refill_notes public.refills", ""},
            {"insert with a delete beside it",
             "WITH d AS (DELETE FROM patients RETURNING id) INSERT INTO plain SELECT id, '' FROM d",
             "public.patients public.plain public.prescriptions public.refill_notes public.refills",
             ""},
            {"truncate may cascade whatever the key says", "TRUNCATE patients CASCADE",
             "public.patients public.prescriptions public.refill_notes public.refills", ""},
        },
        6);
}

TEST_CASE("plan_write: partitions and children, both ways") {
    check(
        {
            {"the parent routes anywhere below", "INSERT INTO events VALUES ('2025-06-06', 'a')",
             "public.events public.events_2024 public.events_2025 public.events_2025_a", ""},
            {"a partition written directly shows in its parents",
             "INSERT INTO events_2025_a VALUES ('2025-06-06', 'a')",
             "public.events public.events_2025 public.events_2025_a", ""},
            {"a sibling does not", "DELETE FROM events_2024", "public.events public.events_2024",
             ""},
            {"inheritance parent", "UPDATE documents SET id = 1",
             "public.documents public.faxes public.letters", ""},
            {"inheritance child", "DELETE FROM faxes",
             "public.documents public.faxes public.letters", ""},
        },
        5);
}

TEST_CASE("plan_write: triggers, rules, views") {
    check(
        {
            {"trigger that writes another table", "INSERT INTO audited VALUES (1)",
             "public.audit_log public.audited", ""},
            {"trigger of another event", "DELETE FROM audited", "public.audited", ""},
            {"trigger that edits only its row", "UPDATE audited SET id = 2", "public.audited", ""},
            {"trigger with dynamic SQL", "DELETE FROM dynamic_audited", "public.dynamic_audited",
             "dst"},
            {"the same table, another event", "INSERT INTO dynamic_audited VALUES (1)",
             "public.dynamic_audited", ""},
            {"disabled trigger", "INSERT INTO silent_audited VALUES (1)", "public.silent_audited",
             ""},
            {"rule", "INSERT INTO ruled VALUES (1)", "public.ruled", "d"},
            {"automatically updatable view", "UPDATE writable SET v = ''", "public.plain", ""},
            {"INSTEAD OF trigger", "INSERT INTO instead VALUES (1)", "public.counters public.plain",
             ""},
            {"default that writes", "INSERT INTO numbered (v) VALUES ('')",
             "public.counters public.numbered", ""},
            {"CHECK that writes", "INSERT INTO checked VALUES ('')",
             "public.audit_log public.checked", ""},
            {"default from a well-known library", "INSERT INTO with_uuid DEFAULT VALUES",
             "public.with_uuid", ""},
        },
        10);
}

TEST_CASE("plan_write: functions called anywhere") {
    check(
        {
            {"SELECT that writes", "SELECT next_number()", "public.counters", ""},
            {"body in the standard's syntax", "SELECT next_number_atomic()", "public.counters", ""},
            {"deep in an expression", "SELECT 1 FROM plain WHERE id IN (SELECT next_number())",
             "public.counters", ""},
            {"function that calls another", "SELECT bulk_tag('x')", "public.counters public.plain",
             ""},
            {"stable one that calls a volatile one", "SELECT stable_caller()", "public.counters",
             ""},
            {"in a COPY", "COPY (SELECT next_number()) TO STDOUT", "public.counters", ""},
            {"in a cursor", "DECLARE c CURSOR FOR SELECT next_number()", "public.counters", ""},
            {"in a VALUES list", "INSERT INTO plain VALUES (next_number())",
             "public.counters public.plain", ""},
            {"procedure", "CALL renumber()", "public.counters", ""},
            {"reads its body only", "SELECT quiet()", "", "r"},
            {"session state changed inside, and nothing else", "SELECT set_path()", "", "t"},
            {"session state changed inside, and a write that it may redirect",
             "SELECT set_path_and_write()", "public.plain", "dt"},
            {"table made inside", "SELECT make_table()", "", "dst"},
            {"not in the catalog", "SELECT made_just_now()", "", "dst"},
            {"builtin that runs a string",
             "SELECT query_to_xml('DELETE FROM plain', true, true, '')", "", "dst"},
            {"sequence", "SELECT nextval('numbers')", "", ""},
            {"random, sleep, clock", "SELECT random(), pg_sleep(0), clock_timestamp()", "", "r"},
            {"advisory lock", "SELECT pg_advisory_lock(1)", "", ""},
            {"configuration", "SELECT pg_reload_conf()", "", "ds"},
            {"terminate", "SELECT pg_terminate_backend(1)", "", "dst"},
            {"TABLESAMPLE's method", "SELECT * FROM plain TABLESAMPLE system (1)", "", "r"},
            {"well-known library", "SELECT uuid_generate_v4()", "", "r"},
            {"stable and opaque: its author's promise holds", "SELECT stable_dynamic('plain')", "",
             "r"},
            {"volatile operator", "SELECT 1 <~> 2", "", "r"},
            {"volatile cast", "SELECT 'well'::mood::boolean", "", "r"},
            {"called as row.name", "SELECT p.initials FROM patients p", "", "r"},
        },
        17);
}

TEST_CASE("plan_write: definitions, roles, maintenance, the unknown") {
    check(
        {
            {"ddl", "CREATE TABLE fresh (id int)", "", "ds"},
            {"create table as", "CREATE TABLE fresh AS SELECT next_number()", "public.counters",
             "ds"},
            {"select into", "SELECT * INTO fresh FROM plain", "", "ds"},
            {"grant", "GRANT SELECT ON plain TO app", "", "dcs"},
            {"role", "ALTER ROLE app NOLOGIN", "", "dcs"},
            {"create database", "CREATE DATABASE other", "", "dcs"},
            {"alter system", "ALTER SYSTEM SET work_mem = '1MB'", "", "dcs"},
            {"vacuum full moves rows", "VACUUM FULL plain", "", "d"},
            {"cluster", "CLUSTER plain", "", "d"},
            {"commit prepared", "COMMIT PREPARED 'x'", "", "d"},
            {"do", "DO $$ BEGIN DELETE FROM plain; END $$", "", "dst"},
            {"execute, without what it executes", "EXECUTE x(1)", "", ""},
            {"arguments of execute", "EXECUTE x(next_number())", "public.counters", ""},
            {"begin", "BEGIN", "", "r"},
            {"savepoint", "SAVEPOINT a", "", "r"},
            {"show", "SHOW search_path", "", "r"},
            {"listen", "LISTEN x", "", "r"},
            {"lock", "LOCK plain", "", "r"},
            {"prepare", "PREPARE x AS DELETE FROM plain", "", "r"},
        },
        6);
}

TEST_CASE("plan_write: temporary tables touch nothing that is cached") {
    check(
        {
            {"create", "CREATE TEMP TABLE t (id int)", "", "m"},
            {"create as", "CREATE TEMP TABLE t AS SELECT * FROM plain", "", "m"},
            {"into", "SELECT * INTO TEMP t FROM plain", "", "m"},
            {"create as, with a function that writes",
             "CREATE TEMP TABLE t AS SELECT next_number()", "public.counters", "m"},
            {"an ordinary table made from a temporary one",
             "CREATE TABLE z AS SELECT * FROM pg_temp.t", "", "dsm"},
            {"dropped beside an ordinary one", "DROP TABLE pg_temp.t, plain", "", "dstm"},
            {"perhaps a trigger on it", "CREATE INDEX ON pg_temp.t (id)", "", "dstm"},
        },
        4);
    auto scope = testing::app_scope();
    CHECK(write("INSERT INTO t VALUES (1)", scope).whole_database);  // whose is it?
    scope.temporary_objects = true;
    CHECK(flags(write("INSERT INTO t VALUES (1)", scope)).empty());
    CHECK(flags(write("INSERT INTO pg_temp.t VALUES (1)", scope)).empty());
    CHECK(write("INSERT INTO nowhere.t VALUES (1)", scope).whole_database);
    // The name may be shadowed or not: the ordinary table counts as written.
    CHECK(names(write("INSERT INTO plain VALUES (1)", scope).tables) == "public.plain");
    CHECK(flags(write("CREATE TRIGGER x AFTER INSERT ON t FOR EACH ROW "
                      "EXECUTE FUNCTION write_audit()",
                      scope)) == "dst");
    scope.tainted = true;
    CHECK(write("INSERT INTO t VALUES (1)", scope).whole_database);
}

TEST_CASE("plan_write: settings come out in order") {
    auto plan = write("SET search_path = shared");
    REQUIRE(plan.settings.size() == 1);
    CHECK(plan.settings[0].name == "search_path");
    CHECK_FALSE(plan.reads_only);
    CHECK_FALSE(plan.taints_session);
    plan = write("SELECT set_config('app.tenant_id', 'a', false)");
    REQUIRE(plan.settings.size() == 1);
    CHECK(plan.settings[0].value == "a");
    CHECK_FALSE(plan.reads_only);
    CHECK_FALSE(plan.taints_session);
    plan = write("SELECT set_config('app.tenant_id', v, false) FROM plain");
    CHECK(plan.taints_session);
    plan = write("SELECT set_config('app.tenant_id', $1, false)");
    CHECK_FALSE(plan.taints_session);
    CHECK_FALSE(plan.reads_only);
    plan = write("SELECT current_setting(v) FROM plain");
    CHECK(plan.reads_only);
}

TEST_CASE("plan_write: names resolve as for reads, and what is doubtful counts twice") {
    session_scope scope{"hidden, public", "app", false, false, false};
    CHECK(names(write("DELETE FROM hidden.patients", scope).tables) == "hidden.patients");
    CHECK(names(write("INSERT INTO patients VALUES (1)", scope).tables) ==
          "hidden.patients public.patients");
    scope.search_path = "";
    CHECK(write("INSERT INTO patients VALUES (1)", scope).whole_database);
    // With the path unknown, every schema's functions may be meant.
    CHECK(names(write("SELECT next_number()", scope).tables) == "public.counters");
}

TEST_CASE("plan_write: without a catalog everything but an obvious read is everything") {
    const auto blind = [](const char* sql) {
        return plan_write(*testing::facts_of(sql), nullptr, testing::app_scope());
    };
    CHECK(flags(blind("SELECT lower(v), now() FROM plain")) == "r");
    CHECK(flags(blind("SELECT f(v) FROM plain")) == "dst");
    CHECK(flags(blind("SELECT hidden.lower(v) FROM plain")) == "dst");
    CHECK(flags(blind("INSERT INTO plain VALUES (1)")) == "d");
    CHECK(flags(blind("EXPLAIN ANALYZE DELETE FROM plain")) == "d");
    CHECK(flags(blind("EXPLAIN DELETE FROM plain")) == "r");
    CHECK(flags(blind("CREATE TABLE x (at timestamptz DEFAULT now())")) == "ds");
    CHECK(flags(blind("GRANT SELECT ON plain TO app")) == "dcs");
    CHECK(flags(blind("DO $$ BEGIN END $$")) == "dst");
    CHECK(flags(blind("BEGIN")) == "r");
    CHECK(blind("SET search_path = x").settings.size() == 1);
    CHECK(flags(plan_write(statement_facts{}, nullptr, testing::app_scope())) == "dcst");
}

}  // namespace pgsidecar::policy
