// Clock reads in disguise: 'today' as a literal, and casts of text that may say it.
#include <doctest/doctest.h>

#include "tests/policy/analyze_say.h"

namespace pgsidecar::policy {

TEST_CASE("mentions_clock_word: what the server's date input takes for now or today") {
    static constexpr struct {
        std::string_view text;
        bool want;
    } rows[] = {
        {"now", true},
        {"NOW", true},
        {" today ", true},
        {"Tomorrow", true},
        {"yesterday", true},
        {"today 12:00", true},
        {"today12:00", true},  // the server: today at noon
        {"12:00today", true},
        {"_today", true},  // punctuation is skipped
        {"today_", true},
        {"(now)", true},
        {"[today,tomorrow)", true},
        {"{today}", true},
        {"now+02", true},
        {"the end is now.", true},
        {"\xc3\xa9today", true},  // an error there: caution costs nothing
        {"", false},
        {"n", false},
        {"know", false},
        {"nowhere", false},
        {"snow", false},
        {"xtoday", false},
        {"todays", false},
        {"tomorrows", false},
        {"yesterdays", false},
        {"2024-01-01", false},
        {"infinity", false},
        {"epoch", false},
        {"no w", false},
        {"to-day", false},
        {"tnow", false},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        CHECK(mentions_clock_word(row.text) == row.want);
    }
    CHECK(mentions_clock_word(std::string(5000, 'x') + " now"));
    CHECK_FALSE(mentions_clock_word(std::string(5000, 'n')));
    CHECK(mentions_clock_word(std::string_view{"a\0now", 5}));
}

TEST_CASE("analyze: 'today' in a literal (trap)") {
    static constexpr said rows[] = {
        {"SELECT 'now'", "select clock_literal"},
        {"SELECT 'today'::date", "select c=date clock_literal"},
        {"SELECT date 'TOMORROW'", "select c=date clock_literal"},
        {"SELECT 1 FROM a WHERE d > 'yesterday'", "select r=a clock_literal"},
        {"SELECT 1 FROM a WHERE d IN ('2020-01-01', 'today')", "select r=a clock_literal"},
        {"SELECT f('x', 'now')", "select f=f/2 clock_literal"},
        {"SELECT $$now$$, 1", "select clock_literal"},
        {"SELECT E'\\x6eow'", "select clock_literal"},
        {"SELECT U&'\\006eow'", "select clock_literal"},
        {"SELECT 'to'\n'day'", "select clock_literal"},
        {"SELECT 1 FROM (VALUES ('now')) v", "select clock_literal"},
        {"SELECT \"now\", \"today\" FROM a", "select r=a"},
        {"SELECT 'know', 'nowhere' -- now", "select"},
        {"SELECT now FROM now", "select r=now"},
        {"INSERT INTO t VALUES ('now')", "insert w=t values=1 clock_literal"},
    };
    check_rows(rows);
}

TEST_CASE("analyze: casts to dates of what the statement shows") {
    static constexpr said rows[] = {
        {"SELECT '2024-01-01'::date, $1::timestamptz, NULL::time",
         "select c=date,timestamptz,pg_catalog.time $1"},
        {"SELECT CAST($1 AS timestamp with time zone)", "select c=pg_catalog.timestamptz $1"},
        {"SELECT timestamp '2024-01-01', CAST('x' AS timestamp(3))",
         "select c=pg_catalog.timestamp"},
        {"SELECT $1::date[], ARRAY['2024-01-01', $2]::date[]", "select c=date $2"},
        {"SELECT COALESCE($1, '2024-01-01')::date", "select c=date $1"},
        {"SELECT interval '1 day', x::interval", "select c=pg_catalog.interval"},
        {"SELECT '12:00'::timetz", "select c=timetz clock_function"},
        {"SELECT x::time with time zone", "select c=pg_catalog.timetz dt=x clock_function"},
    };
    check_rows(rows);
}

TEST_CASE("analyze: a column that is cast to a date is named (trap: text column holding 'today')") {
    static constexpr said rows[] = {
        {"SELECT d::date FROM a", "select r=a c=date dt=d"},
        {"SELECT a.d::date, \"D\"::timestamp FROM a",
         "select r=a c=date,pg_catalog.timestamp dt=D,d"},
        {"SELECT d::date[], e::daterange FROM a", "select r=a c=date,daterange dt=d,e"},
        {"SELECT date(d), timestamptz(e) FROM a",
         "select r=a f=date/1,timestamptz/1 c=date,timestamptz dt=d,e"},
        {"SELECT d::pg_catalog.date FROM a", "select r=a c=pg_catalog.date dt=d"},
        {"SELECT (d + interval '1 day')::date FROM a",
         "select r=a c=date,pg_catalog.interval dt=d"},
        {"SELECT max(d)::date, COALESCE(e, $1)::date FROM a",
         "select r=a f=max/1 c=date dt=d,e $1"},
        {"SELECT d::date::timestamp FROM a", "select r=a c=date,pg_catalog.timestamp dt=d"},
        {"SELECT d::s.date FROM a", "select r=a c=s.date"},
        {"SELECT 1 FROM (SELECT d FROM a) s WHERE s.d::date = $1", "select r=a c=date dt=d $1"},
        {"SELECT x.d::date FROM (SELECT a.d AS d FROM a) x", "select r=a c=date dt=d"},
    };
    check_rows(rows);
}

TEST_CASE("analyze: casts of calls that never give text") {
    static constexpr said rows[] = {
        {"SELECT date_trunc('day', d)::date FROM a", "select r=a f=date_trunc/2 c=date"},
        {"SELECT (d AT TIME ZONE 'UTC')::date FROM a", "select r=a f=pg_catalog.timezone/2 c=date"},
        {"SELECT now()::date", "select f=now/0 c=date"},
        {"SELECT (now() - interval '1 day')::date", "select f=now/0 c=date,pg_catalog.interval"},
        {"SELECT CURRENT_TIMESTAMP::date", "select c=date clock_function"},
        {"SELECT to_timestamp(x)::date, make_date(1, 2, 3)::timestamp FROM a",
         "select r=a f=make_date/3,to_timestamp/1 c=date,pg_catalog.timestamp"},
    };
    check_rows(rows);
}

TEST_CASE("analyze: casts to dates of what may be any text") {
    static constexpr said rows[] = {
        {"SELECT ('to' || 'day')::date", "select c=date unproven"},
        {"SELECT concat('to', $1)::date", "select f=concat/2 c=date $1 unproven"},
        {"SELECT d::text::date FROM a", "select r=a c=date,text unproven"},
        {"SELECT lower(d)::date FROM a", "select r=a f=lower/1 c=date unproven"},
        {"SELECT date(lower(d)) FROM a", "select r=a f=date/1,lower/1 c=date unproven"},
        {"SELECT (SELECT d FROM a)::date", "select r=a c=date unproven"},
        {"SELECT (j ->> 'd')::timestamptz FROM a", "select r=a c=timestamptz unproven"},
        {"SELECT (r).d::date FROM a", "select r=a c=date unproven"},
        {"SELECT s.date_trunc(d)::date FROM a", "select r=a f=s.date_trunc/1 c=date unproven"},
        {"SELECT CASE WHEN x THEN d END::date FROM a", "select r=a c=date unproven"},
        {"SELECT COALESCE(d, lower(e))::date FROM a", "select r=a f=lower/1 c=date dt=d unproven"},
        {"SELECT (d OPERATOR(s.+) 1)::date FROM a", "select r=a c=date unproven"},
        {"SELECT ARRAY[lower(d)]::date[] FROM a", "select r=a f=lower/1 c=date unproven"},
        {"SELECT lower(d)::daterange FROM a", "select r=a f=lower/1 c=daterange unproven"},
    };
    check_rows(rows);
}

TEST_CASE("analyze: a column's name may be another's by then") {
    static constexpr said rows[] = {
        {"SELECT s.d::date FROM (SELECT 'to' || x AS d FROM a) s",
         "select r=a c=date dt=d unproven"},
        {"SELECT s.d::date FROM (SELECT lower(x) FROM a) s",
         "select r=a f=lower/1 c=date dt=d unproven"},
        {"SELECT s.d::date FROM (SELECT x AS d FROM a) s", "select r=a c=date dt=d unproven"},
        {"SELECT d::date FROM a AS s (d)", "select r=a c=date dt=d unproven"},
        {"SELECT d::date FROM (VALUES ('x')) v (d)", "select c=date dt=d unproven"},
        {"SELECT d::date FROM (SELECT 1) v (d)", "select c=date dt=d unproven"},
        {"SELECT d::date FROM f() d", "select f=f/0 c=date dt=d unproven"},
        {"SELECT d::date FROM (a JOIN b ON true) AS j (d)", "select r=a,b c=date dt=d unproven"},
        {"WITH c (d) AS (SELECT x FROM a) SELECT d::date FROM c",
         "select r=a c=date dt=d unproven"},
        {"WITH c AS (SELECT lower(x) AS d FROM a) SELECT d::date FROM c",
         "select r=a f=lower/1 c=date dt=d unproven"},
        {"SELECT d::date FROM (SELECT 1 AS q UNION SELECT lower(x) AS d FROM a) s",
         "select r=a f=lower/1 c=date dt=d unproven"},
        {"SELECT d::date, (SELECT lower(x) AS d FROM b) FROM a",
         "select r=a,b f=lower/1 c=date dt=d"},
        {"SELECT d::date AS d, lower(x) AS e FROM a", "select r=a f=lower/1 c=date dt=d"},
        {"SELECT * FROM jsonb_to_recordset($1) AS x (d date)",
         "select f=jsonb_to_recordset/1 c=date $1 unproven"},
        {"SELECT * FROM XMLTABLE('/x' PASSING y COLUMNS d timestamp PATH 'd')",
         "select c=pg_catalog.timestamp unproven"},
    };
    check_rows(rows);
}

}  // namespace pgsidecar::policy
