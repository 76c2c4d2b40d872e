// What becomes of the session's settings.
#include <doctest/doctest.h>

#include "tests/policy/analyze_say.h"

namespace pgsidecar::policy {

TEST_CASE("analyze: SET in all its shapes") {
    static constexpr said rows[] = {
        {"SET work_mem = '4MB'", "set name=work_mem work_mem:=4MB"},
        {"SET SESSION work_mem TO 4096", "set name=work_mem work_mem:=4096"},
        {"SET \"App.Tenant_Id\" = 'T1'", "set name=app.tenant_id app.tenant_id:=T1"},
        {"SET app.tenant_id TO ''", "set name=app.tenant_id app.tenant_id:="},
        {"SET LOCAL app.tenant_id = x", "set name=app.tenant_id app.tenant_id:=x local"},
        {"SET x = on", "set name=x x:=on"},
        {"SET x = TRUE", "set name=x x:=true"},
        {"SET x = 1.50", "set name=x x:=1.50"},
        {"SET x = DEFAULT", "set name=x x:=DEFAULT"},
        {"SET LOCAL x TO DEFAULT", "set name=x x:=DEFAULT local"},
        {"SET x = 'it''s'", "set name=x x:=it's"},
        {"SET x FROM CURRENT",
         "set name=x x:=\x01"
         "current"},
        {"SET DateStyle = iso, mdy", "set name=datestyle datestyle:=iso, mdy"},
        {"SET DateStyle = '', mdy", "set name=datestyle datestyle:=, mdy"},
        {"SET NAMES 'UTF8'", "set name=client_encoding client_encoding:=UTF8"},
        {"SET NAMES", "set name=client_encoding client_encoding:=DEFAULT"},
        {"SET XML OPTION DOCUMENT", "set name=xmloption xmloption:=DOCUMENT"},
        {"SET SEED TO 0.5", "set name=seed seed:=0.5"},
        {"SET SCHEMA 'My'", "set name=search_path search_path:=\"My\""},
        {"SET ROLE bob", "set name=role role:=bob"},
        {"SET ROLE \"Bob\"", "set name=role role:=Bob"},
        {"SET LOCAL ROLE 'x y'", "set name=role role:=x y local"},
        {"SET ROLE NONE", "set name=role role:=none"},
        {"SET SESSION AUTHORIZATION bob",
         "set name=session_authorization session_authorization:=bob"},
        {"SET SESSION AUTHORIZATION DEFAULT",
         "set name=session_authorization session_authorization:=DEFAULT"},
        {"SET LOCAL SESSION AUTHORIZATION 'b'",
         "set name=session_authorization session_authorization:=b local"},
    };
    check_rows(rows);
}

TEST_CASE("analyze: negative numbers keep their sign (trap: -3 and 0 are one in the parse tree)") {
    static constexpr said rows[] = {
        {"SET extra_float_digits = -3", "set name=extra_float_digits extra_float_digits:=-3"},
        {"SET extra_float_digits = 0", "set name=extra_float_digits extra_float_digits:=0"},
        {"SET extra_float_digits = - /* x */ 15",
         "set name=extra_float_digits extra_float_digits:=-15"},
        {"SET extra_float_digits = +3", "set name=extra_float_digits extra_float_digits:=3"},
        {"SET x = -1.5", "set name=x x:=-1.5"},
        {"SELECT 1; SET x = -7; SET x = -8", "select; set name=x x:=-7; set name=x x:=-8"},
        {"SET TIME ZONE -7", "set name=timezone timezone:=-7"},
        {"SET TIME ZONE 0", "set name=timezone timezone:=0"},
    };
    check_rows(rows);
}

TEST_CASE("analyze: SET TIME ZONE") {
    static constexpr said rows[] = {
        {"SET TIME ZONE 'Europe/Zurich'", "set name=timezone timezone:=Europe/Zurich"},
        {"SET TimeZone TO utc", "set name=timezone timezone:=utc"},
        {"SET TIME ZONE LOCAL", "set name=timezone timezone:=DEFAULT"},
        {"SET LOCAL TIME ZONE DEFAULT", "set name=timezone timezone:=DEFAULT local"},
        {"SET TIME ZONE 5.5", "set name=timezone timezone:=5.5"},
        {"SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE ; SELECT 1",
         "set name=timezone timezone:=\x01INTERVAL '-08:00' HOUR TO MINUTE; select"},
    };
    check_rows(rows);
}

TEST_CASE("analyze: search_path as the server keeps it (trap: one SQL under two search_paths)") {
    static constexpr said rows[] = {
        {"SET search_path = a, B, \"C\", public",
         "set name=search_path search_path:=a, b, \"C\", public"},
        {"SET search_path TO 'a, b'", "set name=search_path search_path:=\"a, b\""},
        {"SET search_path TO \"$user\", public",
         "set name=search_path search_path:=\"$user\", public"},
        {"SET search_path TO ''", "set name=search_path search_path:=\"\""},
        {"SET search_path TO \"user\", \"name\", \"int\", \"1a\"",
         "set name=search_path search_path:=\"user\", name, \"int\", \"1a\""},
        {"SET search_path TO 'q\"q', pg_temp",
         "set name=search_path search_path:=\"q\"\"q\", pg_temp"},
        {"SET LOCAL search_path TO DEFAULT", "set name=search_path search_path:=DEFAULT local"},
        {"SET temp_tablespaces TO 'A'", "set name=temp_tablespaces temp_tablespaces:=\"A\""},
    };
    check_rows(rows);
}

TEST_CASE("analyze: transaction modes (trap: serializable readers)") {
    static constexpr said rows[] = {
        {"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "set"},
        {"SET LOCAL TRANSACTION READ ONLY", "set"},
        {"SET TRANSACTION SNAPSHOT '1-1-1'", "set"},
        {"SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
         "set default_transaction_isolation:=serializable"},
        {"SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY, ISOLATION LEVEL READ COMMITTED",
         "set default_transaction_read_only:=on default_transaction_isolation:=read committed"},
        {"SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE, NOT DEFERRABLE",
         "set default_transaction_read_only:=off default_transaction_deferrable:=off"},
        {"SET default_transaction_isolation = 'serializable'",
         "set name=default_transaction_isolation default_transaction_isolation:=serializable"},
        {"SET transaction_isolation = 'repeatable read'",
         "set name=transaction_isolation transaction_isolation:=repeatable read"},
    };
    check_rows(rows);
}

TEST_CASE("analyze: RESET") {
    static constexpr said rows[] = {
        {"RESET App.X", "reset name=app.x app.x:=DEFAULT"},
        {"RESET ALL", "reset ALL:=DEFAULT"},
        {"RESET TIME ZONE", "reset name=timezone timezone:=DEFAULT"},
        {"RESET ROLE", "reset name=role role:=DEFAULT"},
        {"RESET SESSION AUTHORIZATION",
         "reset name=session_authorization session_authorization:=DEFAULT"},
        {"RESET TRANSACTION ISOLATION LEVEL",
         "reset name=transaction_isolation transaction_isolation:=DEFAULT"},
    };
    check_rows(rows);
}

TEST_CASE("analyze: set_config() that certainly runs once, and that which may not") {
    static constexpr said rows[] = {
        {"SELECT set_config('App.X', 'v', false)", "select f=set_config/3 app.x:=v about_session"},
        {"SELECT pg_catalog.set_config('a', 'v', true) AS x",
         "select f=pg_catalog.set_config/3 a:=v local about_session"},
        {"SELECT set_config('a'::text, 'v'::varchar, 't'::boolean)",
         "select f=set_config/3 c=text,pg_catalog.bool,pg_catalog.varchar a:=v local "
         "about_session"},
        {"SELECT set_config('a', NULL, false)", "select f=set_config/3 a:=DEFAULT about_session"},
        {"SELECT set_config('a', 'v', false), set_config('b', 'w', true), f(1)",
         "select f=f/1,set_config/3 a:=v b:=w local"},
        {"SELECT set_config('a', $1, false)",
         "select f=set_config/3 a:=$1 $1 opaque_setting bound_settings_suffice about_session"},
        {"SELECT set_config('a', $2::text, true), set_config('b', 'w', false)",
         "select f=set_config/3 c=text b:=w a:=$2 local $2 opaque_setting bound_settings_suffice "
         "about_session"},
        {"SELECT pg_advisory_unlock_all()", "select f=pg_advisory_unlock_all/0 about_session"},
        {"SELECT pg_advisory_unlock_all(), 1", "select f=pg_advisory_unlock_all/0"},
        {"SELECT pg_advisory_unlock_all() FROM t", "select r=t f=pg_advisory_unlock_all/0"},
        {"SELECT set_config('a', $1, false), set_config('b', f(1), false)",
         "select f=f/1,set_config/3 a:=$1 $1 opaque_setting"},
        {"SELECT set_config('a', $1::varchar(3), false)",
         "select f=set_config/3 c=pg_catalog.varchar $1 opaque_setting"},
        {"SELECT set_config($1, 'v', false)", "select f=set_config/3 $1 opaque_setting"},
        {"SELECT set_config('', 'v', false)", "select f=set_config/3 opaque_setting"},
        {"SELECT set_config('a', 'v', $1)", "select f=set_config/3 $1 opaque_setting"},
        {"SELECT set_config('a', 'v' || 'w', false)", "select f=set_config/3 opaque_setting"},
        {"SELECT set_config('a', 'v', false) WHERE f(1)",
         "select f=f/1,set_config/3 opaque_setting"},
        {"SELECT set_config('a', x, false) FROM t", "select r=t f=set_config/3 opaque_setting"},
        {"SELECT set_config('a', 'v', false) FROM t", "select r=t f=set_config/3 opaque_setting"},
        {"SELECT set_config('a', 'v', false) LIMIT 0",
         "select f=set_config/3 limit=#2 opaque_setting"},
        {"SELECT CASE WHEN f(1) THEN set_config('a', 'v', false) END",
         "select f=f/1,set_config/3 opaque_setting"},
        {"SELECT COALESCE('x', set_config('a', 'v', false))",
         "select f=set_config/3 opaque_setting"},
        {"SELECT (SELECT set_config('a', 'v', false))", "select f=set_config/3 opaque_setting"},
        {"SELECT set_config('a', 'v', false) UNION SELECT 'x'",
         "select f=set_config/3 opaque_setting"},
        {"SELECT * FROM set_config('a', 'v', false)", "select f=set_config/3 opaque_setting"},
        {"INSERT INTO t VALUES (set_config('a', 'v', false))",
         "insert w=t f=set_config/3 values=1 opaque_setting"},
        {"SELECT s.set_config('a', 'v', false)", "select f=s.set_config/3"},
    };
    check_rows(rows);
}

TEST_CASE("analyze: current_setting()") {
    static constexpr said rows[] = {
        {"SELECT current_setting('App.Tenant_Id')", "select f=current_setting/1 cur=app.tenant_id"},
        {"SELECT 1 FROM a WHERE t = current_setting('app.t'::text, true)::uuid",
         "select r=a f=current_setting/2 c=text,uuid cur=app.t"},
        {"SELECT pg_catalog.current_setting('x')", "select f=pg_catalog.current_setting/1 cur=x"},
        {"SELECT current_setting($1)", "select f=current_setting/1 $1 opaque_setting"},
        {"SELECT current_setting('a' || 'b')", "select f=current_setting/1 opaque_setting"},
        {"SELECT current_setting(x) FROM a", "select r=a f=current_setting/1 opaque_setting"},
        {"SELECT s.current_setting(x)", "select f=s.current_setting/1"},
    };
    check_rows(rows);
}

}  // namespace pgsidecar::policy
