// Read plans against a real catalog: each row is a trap, what it must yield, and why it is one.
#include <doctest/doctest.h>

#include "tests/policy/live_fixture.h"

namespace pgsidecar::policy {
namespace {

using testing::names;
using testing::read;

struct expectation {
    const char* trap;
    const char* sql;
    reason why;
    const char* tables;   // of a miss
    const char* culprit;  // of a bypass; null = any
};

void check(const expectation& e, const session_scope& scope = testing::app_scope()) {
    CAPTURE(std::string{e.trap});
    CAPTURE(std::string{e.sql});
    const auto plan = read(e.sql, scope);
    CAPTURE(plan.culprit);
    CHECK(to_string(plan.why) == to_string(e.why));
    if (e.why == reason::miss) {
        CHECK(names(plan.tables) == e.tables);
        CHECK(plan.rule == 0);
        if (scope.search_path != testing::app_scope().search_path || scope.current_role != "app") {
            return;
        }
        // The server must not have read anything that the plan does not name.
        std::string sql{e.sql};
        if (const auto parameter = sql.find("$1"); parameter != std::string::npos) {
            sql.replace(parameter, 2, "NULL");
        }
        const auto seen = testing::touched(sql, false);
        CAPTURE(seen.value_or("refused"));
        CHECK(seen.has_value());
        if (seen) CHECK(testing::within(*seen, names(plan.tables)));
    } else {
        CHECK(plan.tables.empty());
        if (e.culprit != nullptr) CHECK(plan.culprit == e.culprit);
    }
}

}  // namespace

TEST_CASE("plan_read: tables, views, partitions and inheritance become their base tables") {
    static constexpr expectation rows[] = {
        {"plain table", "SELECT * FROM plain WHERE id = $1", reason::miss, "public.plain", ""},
        {"the same table twice", "SELECT 1 FROM plain a, plain b", reason::miss, "public.plain",
         ""},
        {"CTE that shadows nothing", "WITH x AS (SELECT * FROM plain) SELECT * FROM x",
         reason::miss, "public.plain", ""},
        {"sub-select in the target list", "SELECT (SELECT count(*) FROM patients) FROM plain",
         reason::miss, "public.patients public.plain", ""},
        {"view", "SELECT * FROM open_prescriptions", reason::miss, "public.prescriptions", ""},
        {"view of views", "SELECT * FROM patient_overview", reason::miss,
         "public.patients public.prescriptions", ""},
        {"materialised view stands for itself", "SELECT * FROM drug_counts", reason::miss,
         "public.drug_counts", ""},
        {"partitioned parent depends on all below", "SELECT * FROM events", reason::miss,
         "public.events public.events_2024 public.events_2025 public.events_2025_a", ""},
        {"partition named directly", "SELECT * FROM events_2024", reason::miss,
         "public.events_2024", ""},
        {"sub-partitioned partition", "SELECT * FROM events_2025", reason::miss,
         "public.events_2025 public.events_2025_a", ""},
        {"inheritance parent depends on children", "SELECT * FROM documents", reason::miss,
         "public.documents public.faxes public.letters", ""},
        {"no table", "SELECT 1", reason::no_table, "", ""},
        {"view without a table", "SELECT * FROM no_tables", reason::no_table, "", ""},
        {"unknown", "SELECT * FROM nowhere", reason::unknown_table, "", "nowhere"},
        {"catalog by path", "SELECT * FROM pg_class", reason::catalog_table, "", "pg_class"},
        {"catalog by name", "SELECT * FROM pg_catalog.pg_stat_activity", reason::catalog_table, "",
         "pg_stat_activity"},
        {"information schema", "SELECT * FROM information_schema.tables", reason::catalog_table, "",
         "tables"},
        {"catalog behind a view", "SELECT * FROM over_catalog", reason::catalog_table, "",
         "pg_class"},
        {"toast", "SELECT * FROM pg_toast.pg_toast_1", reason::catalog_table, "", nullptr},
        {"unlogged", "SELECT * FROM scratch", reason::unlogged_table, "", "scratch"},
        {"sequence", "SELECT last_value FROM numbers", reason::unsupported_relation, "", "numbers"},
        {"temporary by name", "SELECT * FROM pg_temp.x", reason::temporary_table, "", nullptr},
    };
    for (const auto& row : rows) check(row);
    CHECK(read("SELECT * FROM drug_counts").unseen_writes);
    CHECK_FALSE(read("SELECT * FROM plain").unseen_writes);
}

TEST_CASE("plan_read: what a view hides counts as if it were written out") {
    static constexpr expectation rows[] = {
        {"now() in a view", "SELECT * FROM hidden_clock", reason::clock_read, "", nullptr},
        {"CURRENT_DATE in a view", "SELECT * FROM hidden_today", reason::clock_read, "", nullptr},
        {"age() of one argument in a view", "SELECT * FROM hidden_age", reason::clock_read, "",
         "age"},
        {"TABLESAMPLE in a view", "SELECT * FROM hidden_sample", reason::tablesample, "", nullptr},
        {"row security behind a view", "SELECT * FROM notes_view", reason::miss, "public.notes",
         ""},
    };
    for (const auto& row : rows) check(row);
}

TEST_CASE("plan_read: statements that are not a plain SELECT") {
    static constexpr expectation rows[] = {
        {"insert", "INSERT INTO plain VALUES (1)", reason::not_a_select, "", nullptr},
        {"explain", "EXPLAIN SELECT * FROM plain", reason::not_a_select, "", nullptr},
        {"lock", "SELECT * FROM plain FOR UPDATE", reason::locking_clause, "", nullptr},
        {"into", "SELECT * INTO copied FROM plain", reason::select_into, "", nullptr},
        {"modifying CTE", "WITH d AS (DELETE FROM plain RETURNING *) SELECT * FROM d",
         reason::modifying_cte, "", nullptr},
        {"tablesample", "SELECT * FROM plain TABLESAMPLE bernoulli (1)", reason::tablesample, "",
         nullptr},
        {"ctid moves with VACUUM FULL", "SELECT ctid FROM plain", reason::system_column, "",
         nullptr},
        {"'today' in a literal", "SELECT * FROM patients WHERE born = 'today'", reason::clock_read,
         "", nullptr},
    };
    for (const auto& row : rows) check(row);
}

TEST_CASE("plan_read: functions by the catalog's volatility") {
    static constexpr expectation rows[] = {
        {"immutable", "SELECT lower(v) FROM plain", reason::miss, "public.plain", ""},
        {"stable of the key's settings",
         "SELECT to_char(seen, 'YYYY'), extract(year FROM seen), "
         "date_trunc('day', seen), seen AT TIME ZONE 'UTC' FROM patients",
         reason::miss, "public.patients", ""},
        {"row_to_json", "SELECT row_to_json(p), json_agg(p.name) FROM patients p GROUP BY p.id",
         reason::miss, "public.patients", ""},
        {"current_user is in the key", "SELECT current_user, session_user FROM plain", reason::miss,
         "public.plain", ""},
        {"now", "SELECT now() FROM plain", reason::clock_read, "", "now"},
        {"CURRENT_TIMESTAMP", "SELECT CURRENT_TIMESTAMP FROM plain", reason::clock_read, "",
         nullptr},
        {"age of one", "SELECT age(born) FROM patients", reason::clock_read, "", "age"},
        {"age of two", "SELECT age(seen, born) FROM patients", reason::miss, "public.patients", ""},
        {"random", "SELECT random() FROM plain", reason::volatile_function, "", "random"},
        {"nextval", "SELECT nextval('numbers') FROM plain", reason::volatile_function, "",
         "nextval"},
        {"set_config", "SELECT set_config('app.tenant_id', 'a', false)", reason::volatile_function,
         "", "set_config"},
        {"set_config in a query", "SELECT set_config('app.tenant_id', v, false) FROM plain",
         reason::opaque_setting, "", nullptr},
        {"advisory lock", "SELECT pg_advisory_lock(1) FROM plain", reason::volatile_function, "",
         "pg_advisory_lock"},
        {"catalog reader", "SELECT pg_get_viewdef(1) FROM plain", reason::stable_function, "",
         "pg_get_viewdef"},
        {"privilege", "SELECT has_table_privilege('plain', 'select') FROM plain",
         reason::stable_function, "", "has_table_privilege"},
        {"transaction id", "SELECT txid_current() FROM plain", reason::stable_function, "",
         "txid_current"},
        {"to_regclass", "SELECT to_regclass(v) FROM plain", reason::stable_function, "",
         "to_regclass"},
        {"json columns may hold 'today'",
         "SELECT * FROM plain, json_to_record(v::json) AS x(d date)", reason::unproven_cast, "",
         nullptr},
        {"query in a string", "SELECT query_to_xml('SELECT 1', true, true, '') FROM plain",
         reason::volatile_function, "", "query_to_xml"},
        {"declared setting", "SELECT current_setting('app.tenant_id') FROM plain", reason::miss,
         "public.plain", ""},
        {"undeclared setting", "SELECT current_setting('app.other') FROM plain",
         reason::undeclared_setting, "", "app.other"},
        {"computed setting", "SELECT current_setting(v) FROM plain", reason::opaque_setting, "",
         nullptr},
        {"unknown", "SELECT no_such(1) FROM plain", reason::unknown_function, "", "no_such"},
    };
    for (const auto& row : rows) check(row);
}

TEST_CASE("plan_read: the settings that are asked for, also behind a policy") {
    using settings = std::vector<std::string>;
    CHECK(read("SELECT v FROM plain").settings == settings{});
    CHECK(read("SELECT current_setting('App.Tenant_Id'), current_setting('app.tenant_id', true) "
               "FROM plain")
              .settings == settings{"app.tenant_id"});
    const auto guarded = read("SELECT * FROM notes");
    CHECK(to_string(guarded.why) == to_string(reason::miss));
    CHECK(guarded.settings == settings{"app.tenant_id"});
}

TEST_CASE("plan_read: user functions") {
    static constexpr expectation rows[] = {
        {"immutable is trusted", "SELECT twice(id) FROM plain", reason::miss, "public.plain", ""},
        {"overload: the most volatile counts", "SELECT overloaded(id) FROM plain",
         reason::volatile_function, "", "overloaded"},
        {"stable: its tables are dependencies", "SELECT drug_of(id) FROM plain", reason::miss,
         "public.plain public.prescriptions", ""},
        {"stable alone", "SELECT drug_of(1)", reason::miss, "public.prescriptions", ""},
        {"as a table", "SELECT * FROM drug_of(1)", reason::miss, "public.prescriptions", ""},
        {"body by the session's path", "SELECT drug_by_path(1)", reason::miss, "public.patients",
         ""},
        {"body by its own path", "SELECT drug_fixed_path(1)", reason::miss, "shared.patients", ""},
        {"the caller's own path reaches what it calls", "SELECT drug_through_fixed_path(1)",
         reason::miss, "shared.patients", ""},
        {"stable that reads the clock", "SELECT stable_clock() FROM plain", reason::clock_read, "",
         "now"},
        {"stable with dynamic SQL", "SELECT stable_dynamic(v) FROM plain", reason::stable_function,
         "", "stable_dynamic"},
        {"stable that calls a volatile one", "SELECT stable_caller() FROM plain",
         reason::volatile_function, "", "next_number"},
        {"immutable that reads a table after all", "SELECT immutable_reader(1) FROM patients",
         reason::miss, "public.patients public.plain", ""},
        {"now() as an argument's default", "SELECT hidden_default(id) FROM plain",
         reason::clock_read, "", "now"},
        {"a parameter's text may be 'today'", "SELECT parse_day(v) FROM plain",
         reason::unproven_cast, "", nullptr},
        {"volatile, however harmless", "SELECT quiet() FROM plain", reason::volatile_function, "",
         "quiet"},
        {"called as row.name", "SELECT p.initials FROM patients p", reason::volatile_function, "",
         "initials"},
        {"row.name that is a column", "SELECT p.name FROM patients p", reason::miss,
         "public.patients", ""},
        {"aggregates are not immutable because pg_proc says so", "SELECT random_sum(id) FROM plain",
         reason::volatile_function, "", "random_sum"},
    };
    for (const auto& row : rows) check(row);
}

TEST_CASE("plan_read: operators and casts") {
    static constexpr expectation rows[] = {
        {"timestamptz against date", "SELECT 1 FROM patients WHERE seen > born", reason::miss,
         "public.patients", ""},
        {"concatenation", "SELECT v || 'x' || 1 FROM plain", reason::miss, "public.plain", ""},
        {"user operator on an immutable function", "SELECT 1 FROM plain WHERE id <=~ 3",
         reason::miss, "public.plain", ""},
        {"user operator on a volatile function", "SELECT 1 FROM plain WHERE id <~> 3",
         reason::volatile_operator, "", "<~>"},
        {"the same by OPERATOR()", "SELECT 1 FROM plain WHERE id OPERATOR(public.<~>) 3",
         reason::volatile_operator, "", "<~>"},
        {"no such operator", "SELECT 1 FROM plain WHERE id <~~~> 3", reason::volatile_operator, "",
         nullptr},
        {"cast of a date column", "SELECT 1 FROM patients WHERE seen::date = $1", reason::miss,
         "public.patients", ""},
        {"cast of a text column that may hold 'today'",
         "SELECT 1 FROM prescriptions WHERE born::date = $1", reason::unproven_cast, "", "born"},
        {"a date here and a text there, same name",
         "SELECT 1 FROM patients JOIN prescriptions ON true WHERE born::date = $1",
         reason::unproven_cast, "", "born"},
        {"enum", "SELECT 1 FROM plain WHERE id < 0 AND v::mood = 'well'", reason::miss,
         "public.plain", ""},
        {"domain over text", "SELECT v::code FROM plain", reason::miss, "public.plain", ""},
        {"domain over date", "SELECT v::day FROM plain", reason::volatile_cast, "", "day"},
        {"composite type with a date", "SELECT v::dose FROM plain", reason::volatile_cast, "",
         "dose"},
        {"a table's row type", "SELECT v::patients FROM plain", reason::volatile_cast, "",
         "patients"},
        {"user cast from a user type", "SELECT ('well'::mood)::boolean FROM plain",
         reason::volatile_cast, "", nullptr},
        {"regclass", "SELECT id::regclass FROM plain", reason::stable_function, "", "regclass"},
        {"regconfig", "SELECT to_tsvector('english'::regconfig, v) FROM plain", reason::miss,
         "public.plain", ""},
    };
    for (const auto& row : rows) check(row);
}

TEST_CASE("plan_read: row-level security qualifies when the key holds all it reads") {
    static constexpr expectation rows[] = {
        {"declared setting", "SELECT * FROM notes", reason::miss, "public.notes", ""},
        {"policy's table is a dependency", "SELECT * FROM charts", reason::miss,
         "public.charts public.members", ""},
        {"undeclared setting", "SELECT * FROM undeclared", reason::row_level_security, "",
         "app.other"},
        {"clock", "SELECT * FROM expiring", reason::row_level_security, "", "now"},
        {"a policy for writes does not matter", "SELECT * FROM write_policy", reason::miss,
         "public.write_policy", ""},
    };
    for (const auto& row : rows) check(row);
}

TEST_CASE("plan_read: names resolve through the session's search_path") {
    const auto at = [](const char* path, const char* role) {
        return session_scope{path, role, false, false, false};
    };
    const expectation here{"", "SELECT * FROM patients", reason::miss, "public.patients", ""};
    check(here, at("\"$user\", public", "app"));

    auto there = here;
    there.trap = "\"$user\" is the current role";
    there.tables = "tenant_a.patients";
    check(there, at("\"$user\", public", "tenant_a"));

    there.trap = "quoted, folded and blank-padded elements";
    there.tables = "shared.patients";
    check(there, at("  \"nowhere\" ,SHARED ,public", "app"));

    // hidden is skipped by the server when the role has no USAGE there; who inherits the right is
    // not known here, so both tables count.
    there.trap = "a schema that the role may not be allowed to use";
    there.tables = "hidden.patients public.patients";
    check(there, at("hidden, public", "app"));
    there.tables = "hidden.patients";
    check(there, at("hidden, public", "postgres"));

    there.trap = "empty path, and one that does not parse";
    there.why = reason::unknown_table;
    there.culprit = "patients";
    check(there, at("\"\"", "app"));
    check(there, at("", "app"));
    check(there, at("public, \"open", "app"));
    check(there, at("public,,shared", "app"));

    const expectation own{"definer's \"$user\"", "SELECT definer_path(1)", reason::miss,
                          "public.patients", ""};
    check(own, at("\"$user\", public", "tenant_a"));
    const expectation out{"function outside the path", "SELECT twice(id) FROM public.plain",
                          reason::unknown_function, "", "twice"};
    check(out, at("shared", "app"));
}

TEST_CASE("plan_read: the session's own state") {
    auto scope = testing::app_scope();
    scope.temporary_objects = true;
    CHECK(read("SELECT * FROM plain", scope).why == reason::temporary_table);
    // A temporary table may inherit from an ordinary one.
    CHECK(read("SELECT * FROM public.plain", scope).why == reason::temporary_table);
    CHECK(read("SELECT drug_by_path(1)", scope).why == reason::temporary_table);
    scope = testing::app_scope();
    scope.tainted = true;
    CHECK(read("SELECT * FROM plain", scope).why == reason::tainted_session);
    scope = testing::app_scope();
    scope.serializable = true;
    CHECK(read("SELECT * FROM plain", scope).why == reason::serializable);
}

TEST_CASE("plan_read: the first rule that allows every table decides") {
    const auto rules_of = [](std::vector<cache_rule> list) {
        return cache_rules{std::move(list), {"app.tenant_id"}};
    };
    const auto rule = [](std::vector<std::string> tables, rule_mode mode = rule_mode::on,
                         std::vector<std::string> functions = {}) {
        return cache_rule{"r", std::move(tables), std::move(functions), std::chrono::minutes{1},
                          mode};
    };
    const auto scope = testing::app_scope();

    const auto two = rules_of({rule({"plain"}), rule({"public.p*"})});
    CHECK(read("SELECT 1 FROM plain", scope, two).rule == 0);
    CHECK(read("SELECT 1 FROM plain, patients", scope, two).rule == 1);
    const auto outside = read("SELECT 1 FROM plain, events", scope, two);
    CHECK(outside.why == reason::no_rule);
    CHECK(outside.culprit == "events");

    const auto off = rules_of({rule({"plain"}, rule_mode::off), rule({"*"})});
    CHECK(read("SELECT 1 FROM plain", scope, off).why == reason::rule_off);
    CHECK(read("SELECT 1 FROM plain", scope, off).rule == 0);
    CHECK(read("SELECT 1 FROM patients", scope, off).rule == 1);

    // A view is allowed by its own name or by those of its tables.
    const auto by_view = rules_of({rule({"patient_overview"})});
    CHECK(read("SELECT * FROM patient_overview", scope, by_view).why == reason::miss);
    CHECK(read("SELECT * FROM open_prescriptions", scope, by_view).why == reason::no_rule);
    const auto by_inner_view = rules_of({rule({"open_prescriptions", "patients"})});
    CHECK(read("SELECT * FROM patient_overview", scope, by_inner_view).why == reason::miss);
    // The same table named directly is not allowed by a view around it.
    CHECK(read("SELECT * FROM patient_overview, prescriptions", scope, by_view).why ==
          reason::no_rule);
    // A partition is covered through its parent, a policy's or a function's table is not.
    const auto few = rules_of({rule({"events", "charts", "plain"})});
    CHECK(read("SELECT * FROM events", scope, few).why == reason::miss);
    CHECK(read("SELECT * FROM events_2024", scope, few).why == reason::no_rule);
    CHECK(read("SELECT * FROM charts", scope, few).culprit == "members");
    CHECK(read("SELECT drug_of(id) FROM plain", scope, few).culprit == "prescriptions");

    // A rule's word for a function makes it immutable, and its tables stay out.
    const auto vouched = rules_of({rule({"plain"}, rule_mode::on, {"drug_of", "public.quiet"})});
    CHECK(names(read("SELECT drug_of(id) FROM plain", scope, vouched).tables) == "public.plain");
    CHECK(read("SELECT quiet() FROM plain", scope, vouched).why == reason::miss);
    CHECK(read("SELECT random() FROM plain", scope, vouched).why == reason::volatile_function);

    CHECK(read("SELECT 1 FROM plain", scope, rules_of({})).why == reason::no_rule);
    CHECK(read("SELECT 1", scope, rules_of({})).why == reason::no_table);
    CHECK(read("SELECT 1", scope, off).why == reason::no_table);
}

}  // namespace pgsidecar::policy
