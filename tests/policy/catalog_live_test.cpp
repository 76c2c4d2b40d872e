// The catalog against a real server: what loads, with whose rights, how fast, and whether names and
// log-in defaults come out as the server itself says.
#include <doctest/doctest.h>

#include <string>

#include "policy/resolve.h"
#include "tests/policy/live_fixture.h"
#include "tests/policy/live_server.h"

namespace pgsidecar::policy {
namespace {

using testing::fixture;
using testing::live_server;

std::string quoted(const std::string& text) {
    std::string out = "'";
    for (const char c : text) out += c == '\'' ? std::string{"''"} : std::string{c};
    return out + "'";
}

}  // namespace

TEST_CASE("catalog: a role without any privilege reads all of it") {
    (void)fixture();
    auto& server = live_server::instance();
    server.run("CREATE ROLE powerless LOGIN");
    const auto own = server.load("postgres", "powerless");
    REQUIRE(own != nullptr);
    CHECK(own->relations().size() == fixture().relations().size());
    CHECK(own->find("hidden", "patients") != nullptr);
    const auto* view = own->find("public", "patient_overview");
    REQUIRE(view != nullptr);
    CHECK(view->view != nullptr);
    // The same database, whoever looks.
    CHECK(own->fingerprint() == server.load()->fingerprint());
    server.run("DROP ROLE powerless");
}

TEST_CASE("catalog: log-in defaults, the narrowest level wins") {
    const auto& c = fixture();
    CHECK(c.login_default("app", "search_path") == "\"$user\", public");
    CHECK(c.login_default("tenant_a", "search_path") == "shared, public");
    CHECK(c.login_default("tenant_a", "timezone") == "UTC");
    CHECK(c.login_default("app", "timezone").empty());
    CHECK(c.login_default("tenant_a", "default_transaction_isolation") == "serializable");
    CHECK(c.login_default("app", "default_transaction_isolation") == "read committed");
    CHECK(c.login_default("anyone", "statement_timeout") == "1min");
    CHECK(c.login_defaults_text("app") != c.login_defaults_text("tenant_a"));
    CHECK(c.login_defaults_text("nobody") == c.login_defaults_text("anyone"));
    CHECK(c.server_version() >= 120000);

    // The server agrees, session by session.
    auto& server = live_server::instance();
    for (const std::string user : {"app", "tenant_a", "postgres"}) {
        for (const std::string name : {"search_path", "default_transaction_isolation"}) {
            CAPTURE(user);
            CAPTURE(name);
            CHECK(server.run("SHOW " + name, "postgres", user).at(0) ==
                  std::string{c.login_default(user, name)});
        }
    }
    // In another database neither the database's defaults nor role-in-database ones apply.
    const auto other = server.load("template1");
    CHECK(other->login_default("tenant_a", "search_path") == "\"$user\", public");
    CHECK(other->login_default("tenant_a", "timezone") == "Europe/Berlin");
}

TEST_CASE("catalog: a reloaded configuration shows in one text, a role's default in the other") {
    auto& server = live_server::instance();
    const auto before = server.load();
    CHECK(before->server_settings_text() == server.load()->server_settings_text());
    const auto configured = [&](const std::string& sql) {
        server.run(sql);
        server.run("SELECT pg_reload_conf()");
        for (int i = 0; i < 200; ++i) {  // the server's processes learn of it one by one
            auto now = server.load();
            if (now->server_settings_text() != before->server_settings_text()) return now;
        }
        return before;
    };
    const auto after = configured("ALTER SYSTEM SET extra_float_digits = -3");
    CHECK(after->server_settings_text() != before->server_settings_text());
    CHECK(after->login_defaults_text("app") == before->login_defaults_text("app"));
    server.run("ALTER SYSTEM RESET extra_float_digits");
    server.run("SELECT pg_reload_conf()");
    server.run("ALTER ROLE app SET extra_float_digits = 0");
    const auto altered = server.load();
    CHECK(altered->login_defaults_text("app") != before->login_defaults_text("app"));
    CHECK(altered->login_defaults_text("tenant_a") == before->login_defaults_text("tenant_a"));
    server.run("ALTER ROLE app RESET extra_float_digits");
}

TEST_CASE("catalog: the control role's own search_path is not taken for the server's") {
    auto& server = live_server::instance();
    server.run("CREATE ROLE pathful LOGIN; ALTER ROLE pathful SET search_path = elsewhere");
    const auto seen = server.load("template1", "pathful");
    CHECK(seen->login_default("pathful", "search_path") == "elsewhere");
    CHECK(seen->login_default("someone", "search_path").empty());  // not known, so not guessed
    server.run("DROP ROLE pathful");
}

TEST_CASE("catalog: names resolve as the server resolves them") {
    auto& server = live_server::instance();
    const auto& c = fixture();
    const char* const paths[] = {
        "public",          "\"$user\", public",  "shared, public",        "hidden, public",
        "hidden",          "public, pg_catalog", "PUBLIC , Shared",       "\"\"",
        "pg_temp, shared", "\"a\"\"b\", public", "nowhere,public,shared", "\"Public\",shared"};
    for (const std::string role : {"app", "tenant_a", "postgres"}) {
        for (const std::string path : paths) {
            CAPTURE(role);
            CAPTURE(path);
            const auto said = server.run("BEGIN; SELECT set_config('search_path', " + quoted(path) +
                                             ", true); SELECT to_regclass('patients')::oid",
                                         "postgres", role);
            const auto found = name_path{c, path, role}.find({"", "patients"});
            if (said.at(0).empty()) {
                // Perhaps hidden from this role alone.
                const bool doubtful =
                    found.empty() || !c.surely_usable(*c.find_schema(found.front()->schema), role);
                CHECK(doubtful);
                continue;
            }
            bool among = false;
            for (const auto* r : found) among = among || std::to_string(r->id) == said.at(0);
            CHECK(among);
            // Doubt is the exception: without a schema in doubt there is one answer.
            if (path.find("hidden") == std::string::npos) CHECK(found.size() == 1);
        }
    }
}

TEST_CASE("catalog: the fingerprint changes with what shapes an answer, and with nothing else") {
    auto& server = live_server::instance();
    server.run("CREATE DATABASE prints");
    const auto print = [&](bool told = false) {
        return server.load("prints", "postgres", told)->fingerprint();
    };
    server.run("CREATE TABLE t (id int, v text); CREATE TYPE e AS ENUM ('a')", "prints");
    server.settle();
    auto last = print();
    const auto told = print(true);
    server.run("INSERT INTO t VALUES (1); ANALYZE t", "prints");
    server.settle();
    CHECK(print() == last);
    server.run("TRUNCATE t", "prints");
    CHECK(print(true) == told);
    last = print();
    for (const std::string change :
         {"ALTER TABLE t RENAME COLUMN v TO w", "ALTER TABLE t ALTER id TYPE bigint",
          "GRANT SELECT ON t TO PUBLIC", "GRANT SELECT (id) ON t TO app",
          "REVOKE SELECT ON t FROM PUBLIC", "ALTER TYPE e RENAME VALUE 'a' TO 'b'",
          "ALTER TABLE t ENABLE ROW LEVEL SECURITY", "CREATE POLICY p ON t USING (id > 0)",
          "ALTER POLICY p ON t TO app",
          "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
          "CREATE OR REPLACE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2'",
          "CREATE SCHEMA s", "GRANT USAGE ON SCHEMA s TO app", "ALTER ROLE app BYPASSRLS",
          "ALTER ROLE app NOBYPASSRLS", "GRANT pg_read_all_data TO app",
          "REVOKE pg_read_all_data FROM app", "ALTER DATABASE prints SET timezone = 'UTC'"}) {
        CAPTURE(change);
        server.run(change, "prints");
        const auto now = print();
        CHECK(now != last);
        last = now;
    }
    server.run("DROP DATABASE prints");
}

TEST_CASE("catalog: what was changed and changed back leaves another fingerprint") {
    auto& server = live_server::instance();
    server.run("CREATE DATABASE backs");
    server.run(
        "CREATE TABLE t (id int, v text); GRANT SELECT ON t TO app; GRANT SELECT (v) ON t TO app;"
        "CREATE SCHEMA s; GRANT USAGE ON SCHEMA s TO app",
        "backs");
    const auto print = [&](bool told = false) {
        return server.load("backs", "postgres", told)->fingerprint();
    };
    const struct {
        const char *there, *back;
        bool of_roles;
    } rows[] = {
        {"GRANT SELECT ON t TO tenant_a", "REVOKE SELECT ON t FROM tenant_a", false},
        {"GRANT SELECT (id) ON t TO tenant_a", "REVOKE SELECT (id) ON t FROM tenant_a", false},
        {"GRANT USAGE ON SCHEMA s TO tenant_a", "REVOKE USAGE ON SCHEMA s FROM tenant_a", false},
        {"CREATE POLICY p ON t USING (true)", "DROP POLICY p ON t", false},
        {"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "DROP FUNCTION f()", false},
        {"ALTER ROLE app BYPASSRLS", "ALTER ROLE app NOBYPASSRLS", true},
        {"GRANT pg_read_all_data TO app", "REVOKE pg_read_all_data FROM app", true},
        {"ALTER ROLE app SET work_mem = '5MB'", "ALTER ROLE app RESET work_mem", true},
    };
    for (const auto& row : rows) {
        CAPTURE(row.there);
        server.settle();
        const auto before = print(), told = print(true);
        server.run(row.there, "backs");
        server.run(row.back, "backs");
        server.settle();
        CHECK(print() != before);
        CHECK((print(true) != told) == row.of_roles);
    }
    server.run("DROP DATABASE backs");
}

TEST_CASE("catalog: however the server plans the reading, the fingerprint is the same") {
    auto& server = live_server::instance();
    server.run("CREATE DATABASE plans");
    server.run(
        "CREATE TABLE a (at date, v text); CREATE TABLE b (v int, at date);"
        "CREATE TABLE c (at timestamp, v date); CREATE TABLE d (at text, v text);"
        "CREATE FUNCTION read_it(text) RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';"
        "CREATE FUNCTION read_it(bytea) RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';"
        "CREATE CAST (text AS int) WITH FUNCTION read_it(text) AS IMPLICIT;"
        "CREATE CAST (bytea AS int) WITH FUNCTION read_it(bytea) AS IMPLICIT;",
        "plans");
    // New versions of the rows: no longer where they were among the others.
    server.run(
        "ALTER TABLE a ALTER at SET STATISTICS 10; ALTER TABLE b ALTER v SET STATISTICS 10;"
        "ALTER FUNCTION read_it(text) COST 5; GRANT SELECT ON a TO PUBLIC",
        "plans");
    server.settle();
    const auto print = [&](const std::string& first) {
        return server.load("plans", "postgres", false, first)->fingerprint();
    };
    const auto usual = print("");
    for (const std::string way : {"seqscan", "indexscan", "bitmapscan", "hashagg", "hashjoin",
                                  "mergejoin", "nestloop", "sort", "material"}) {
        CAPTURE(way);
        CHECK(print("SET LOCAL enable_" + way + " = off") == usual);
    }
    server.run("DROP DATABASE plans");
}

TEST_CASE("catalog: a temporary table of any session is not in it") {
    // load() runs while another session holds the table.
    auto& server = live_server::instance();
    server.settle();
    const auto before = server.load()->fingerprint();
    server.run("CREATE TEMP TABLE passing (id int)");
    server.settle();
    CHECK(server.load()->fingerprint() == before);
}

TEST_CASE("catalog: implicit casts that read the clock shut the cache") {
    auto& server = live_server::instance();
    server.run("CREATE DATABASE casts");
    server.run("CREATE TABLE t (v text)", "casts");
    CHECK_FALSE(server.load("casts")->implicit_cast_hazard());
    server.run("CREATE CAST (text AS date) WITH INOUT AS IMPLICIT", "casts");
    const auto snapshot = server.load("casts");
    CHECK(snapshot->implicit_cast_hazard());
    const auto plan = plan_read(*testing::facts_of("SELECT * FROM t"), *snapshot,
                                testing::app_scope(), testing::open_rules());
    CHECK(plan.why == reason::volatile_cast);
    server.run("DROP DATABASE casts");
}

}  // namespace pgsidecar::policy
