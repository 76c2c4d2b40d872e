// What functions of the user's write and read, from their source.
#include "policy/function_body.h"

#include <doctest/doctest.h>

#include <string>

namespace pgsidecar::policy {
namespace {

template <class T>
void list(std::string& out, const char* label, const std::vector<T>& values, auto name_of) {
    if (values.empty()) return;
    out += label;
    for (const auto& value : values) {
        const qualified_name& name = name_of(value);
        if (out.back() != '=') out += ',';
        out += name.schema.empty() ? name.name : name.schema + '.' + name.name;
    }
}

std::string say_effects(std::string_view language, std::string_view text) {
    const auto effects = analyze_function(language, text);
    if (!effects.understood) {
        CHECK(effects.writes.empty());
        return "not understood";
    }
    std::string out = "ok";
    const auto same = [](const qualified_name& n) -> const qualified_name& { return n; };
    const auto call = [](const function_call& c) -> const qualified_name& { return c.name; };
    list(out, " r=", effects.reads, same);
    list(out, " w=", effects.writes, same);
    list(out, " f=", effects.functions, call);
    for (const auto& change : effects.settings)
        out += " " + change.name + ":=" + change.value.value_or("");
    if (effects.dynamic_sql) out += " dynamic";
    if (effects.opaque) out += " opaque";
    return out;
}

struct row {
    std::string_view text;
    std::string_view want;
};

}  // namespace

TEST_CASE("function_body: language sql") {
    static constexpr row rows[] = {
        {"", "ok"},
        {"SELECT 1", "ok"},
        {"SELECT x FROM a WHERE id = $1", "ok r=a"},
        {"INSERT INTO log VALUES (f($1)); SELECT * FROM s.a;", "ok r=s.a w=log f=f"},
        {"WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d", "ok w=t"},
        {"TRUNCATE t; COPY u FROM '/x'; REFRESH MATERIALIZED VIEW m", "ok w=m,t,u"},
        {"SELECT set_config('a', 'b', false)", "ok f=set_config a:=b opaque"},
        {"SELECT set_config($1, 'b', false)", "ok f=set_config opaque"},
        {"SET a = 'b'", "ok a:=b opaque"},
        {"CREATE TABLE x (a int)", "ok w=x opaque"},
        {"CREATE TEMP TABLE x AS SELECT * FROM a", "ok r=a w=x opaque"},
        {"SELECT * INTO x FROM a", "ok r=a w=x opaque"},
        {"LISTEN x", "ok opaque"},
        {"EXPLAIN ANALYZE DELETE FROM t", "ok w=t"},
        {"CALL p(1)", "ok f=p"},
        {"DO $$ BEGIN END $$", "ok opaque"},
        {"EXECUTE p", "ok opaque"},
        {"DISCARD ALL", "ok opaque"},
        {"SELECT FROM WHERE", "not understood"},
        {"DELETE FROM t; SELECT 1 FROM FROM", "not understood"},
        {"RETURN f(a + 1)", "ok f=f"},
        {"RETURN (SELECT max(x) FROM s.a)", "ok r=s.a f=max"},
        {"BEGIN ATOMIC\n INSERT INTO s.t VALUES (1);\n SELECT * FROM s.a;\nEND", "ok r=s.a w=s.t"},
        {"begin /* x */ atomic delete from t; end;", "ok w=t"},
        {"BEGIN ATOMIC\nEND", "ok"},
    };
    for (const auto& r : rows) {
        CAPTURE(r.text);
        CHECK(say_effects("sql", r.text) == r.want);
    }
}

TEST_CASE("function_body: plpgsql (trap: tables that triggers and called functions write)") {
    static constexpr row rows[] = {
        {"BEGIN RETURN NEW; END", "ok"},
        {"BEGIN INSERT INTO s.log VALUES (NEW.id, f(NEW.x)); RETURN NEW; END", "ok w=s.log f=f"},
        {"DECLARE x int := f(1); BEGIN RETURN NEW; END", "ok f=f"},
        {"DECLARE x int; BEGIN SELECT a INTO x FROM t WHERE b = NEW.b; RETURN NEW; END", "ok r=t"},
        {"DECLARE x int; BEGIN INSERT INTO t VALUES (1) RETURNING id INTO STRICT x; RETURN x; END",
         "ok w=t"},
        {"DECLARE x int; BEGIN x := (SELECT max(a) FROM t) + 1; RETURN NEW; END", "ok r=t f=max"},
        {"DECLARE x int; BEGIN x = f(2); RETURN NEW; END", "ok f=f"},
        {"DECLARE x int[]; BEGIN x[f(1)] := g(2); RETURN NEW; END", "ok f=f,g"},
        {"BEGIN NEW.a := f(1); RETURN NEW; END", "ok f=f"},
        {"BEGIN PERFORM f(a) FROM t; RETURN NEW; END", "ok r=t f=f"},
        {"BEGIN IF EXISTS (SELECT 1 FROM a) THEN DELETE FROM b; ELSIF f(1) THEN DELETE FROM c; "
         "ELSE DELETE FROM d; END IF; RETURN NEW; END",
         "ok r=a w=b,c,d f=f"},
        {"BEGIN CASE f(1) WHEN g(2) THEN DELETE FROM a; ELSE DELETE FROM b; END CASE; RETURN 1; "
         "END",
         "ok w=a,b f=f,g"},
        {"DECLARE r record; BEGIN FOR r IN SELECT * FROM a LOOP UPDATE b SET x = r.x; END LOOP; "
         "RETURN NEW; END",
         "ok r=a w=b"},
        {"BEGIN FOR i IN f(1)..g(2) BY h(3) LOOP DELETE FROM a; END LOOP; RETURN NEW; END",
         "ok w=a f=f,g,h"},
        {"DECLARE x int; BEGIN FOREACH x IN ARRAY f(1) LOOP DELETE FROM a; END LOOP; RETURN 1; END",
         "ok w=a f=f"},
        {"BEGIN WHILE f(1) LOOP DELETE FROM a; EXIT WHEN g(1); CONTINUE WHEN h(1); END LOOP; "
         "RETURN 1; END",
         "ok w=a f=f,g,h"},
        {"BEGIN LOOP DELETE FROM a; END LOOP; END", "ok w=a"},
        {"BEGIN RETURN f((SELECT 1 FROM t)); END", "ok r=t f=f"},
        {"BEGIN RAISE NOTICE 'x % %', f(1), (SELECT 1 FROM t) USING HINT = g(1); RETURN 1; END",
         "ok r=t f=f,g"},
        {"BEGIN ASSERT f(1), g(2); RETURN 1; END", "ok f=f,g"},
        {"BEGIN BEGIN DELETE FROM a; EXCEPTION WHEN unique_violation THEN DELETE FROM b; END; "
         "RETURN 1; END",
         "ok w=a,b"},
        {"DECLARE x int; BEGIN DELETE FROM a; GET DIAGNOSTICS x = ROW_COUNT; RETURN 1; END",
         "ok w=a"},
        {"BEGIN EXECUTE 'DELETE FROM ' || f(1) USING g(2); RETURN 1; END", "ok f=f,g dynamic"},
        {"DECLARE r record; BEGIN FOR r IN EXECUTE f(1) LOOP DELETE FROM a; END LOOP; RETURN 1; "
         "END",
         "ok w=a f=f dynamic"},
        {"BEGIN TRUNCATE a; RETURN 1; END", "ok w=a"},
        {"BEGIN CALL p(1); RETURN 1; END", "ok f=p"},
        {"BEGIN COMMIT; END", "ok opaque"},
        {"BEGIN ROLLBACK AND CHAIN; END", "ok opaque"},
        {"BEGIN SET LOCAL a.b = 'c'; RETURN 1; END", "ok a.b:=c opaque"},
        {"BEGIN CREATE TEMP TABLE x (a int); RETURN 1; END", "ok w=x opaque"},
        {"BEGIN PERFORM set_config('a', 'b', true); RETURN 1; END", "ok f=set_config a:=b opaque"},
        {"BEGIN SELEC; RETURN 1; END", "not understood"},
        {"BEGIN", "not understood"},
    };
    for (const auto& r : rows) {
        CAPTURE(r.text);
        const auto text =
            "CREATE OR REPLACE FUNCTION s.f(a integer, b text DEFAULT NULL::text)\n"
            " RETURNS trigger\n LANGUAGE plpgsql\n SECURITY DEFINER\nAS $function$" +
            std::string{r.text} + "$function$\n";
        CHECK(say_effects("plpgsql", text) == r.want);
    }
}

TEST_CASE("function_body: plpgsql that returns sets, and procedures") {
    CHECK(
        say_effects("plpgsql",
                    "CREATE FUNCTION f() RETURNS SETOF t LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY "
                    "SELECT * FROM a WHERE g(1); RETURN QUERY DELETE FROM b RETURNING *; END $$") ==
        "ok r=a w=b f=g");
    CHECK(
        say_effects("plpgsql",
                    "CREATE FUNCTION f() RETURNS SETOF t LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY "
                    "EXECUTE 'x' USING g(1); END $$") == "ok f=g dynamic");
    CHECK(say_effects("plpgsql",
                      "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN DELETE FROM a; END $$") ==
          "ok w=a");
}

TEST_CASE("function_body: what cannot be read is not understood") {
    CHECK(say_effects("c", "f_in_c") == "not understood");
    CHECK(say_effects("internal", "now") == "not understood");
    CHECK(say_effects("plpython3u", "return 1") == "not understood");
    CHECK(say_effects("plpgsql", "") == "not understood");
    CHECK(say_effects("plpgsql", "BEGIN RETURN 1; END") == "not understood");
    CHECK(say_effects("plpgsql", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'") ==
          "not understood");
    CHECK(say_effects("sql", std::string("SELECT 1\0", 9)) == "not understood");
}

}  // namespace pgsidecar::policy
