// One text for PostgreSQL 12 to 18, so nothing newer than 12 is named. search_path is empty:
// operators and pg_catalog names need no prefix, everything else is printed qualified by the
// server, and that is what makes the texts of views, policies and functions resolvable without the
// session's path. Object ids from 16384 on are the user's, extensions included
// (FirstNormalObjectId).
#include "policy/catalog_queries.h"

#include <array>
#include <span>

#include "policy/catalog.h"

namespace pgsidecar::policy {
namespace {

// A setting that the control connection itself has otherwise (by its role or its client) says
// nothing about the server: leave it out rather than lie, and take every reload of the
// configuration for a change of it. What ALTER DATABASE or ALTER ROLE ALL sets reaches every user
// by itself. The settings are many: but for those that are asked for by name their sum will do, in
// two halves of 64 bits.
constexpr std::string_view server_sql = R"sql(
WITH seen AS (
  SELECT s.name, s.context, s.reset_val,
         s.source = 'client' OR EXISTS (
           SELECT 1 FROM pg_db_role_setting d
             JOIN pg_roles r ON r.oid = d.setrole AND r.rolname = session_user,
                  unnest(d.setconfig) c
            WHERE lower(split_part(c, '=', 1)) = lower(s.name)) AS own
    FROM pg_settings s WHERE s.name NOT IN ('application_name', 'client_encoding'))
SELECT name, reset_val FROM seen
 WHERE NOT own AND name IN ('search_path', 'default_transaction_isolation', 'row_security',
                            'session_replication_role', 'standard_conforming_strings')
UNION ALL SELECT 'server_version_num', current_setting('server_version_num')
UNION ALL SELECT ' started', extract(epoch FROM pg_postmaster_start_time())::text
UNION ALL SELECT ' settings', concat(sum(hashtextextended(concat(name, '=', reset_val), 0)), ' ',
                                     sum(hashtextextended(concat(name, '=', reset_val), 1)))
            FROM seen WHERE context = 'user' AND NOT own
UNION ALL SELECT ' configured', extract(epoch FROM pg_conf_load_time())::text
           WHERE EXISTS (SELECT 1 FROM seen WHERE context = 'user' AND own)
ORDER BY 1)sql";

constexpr std::string_view roles_sql = R"sql(
SELECT r.rolname, r.rolsuper::text,
       concat_ws(',', r.rolinherit, r.rolbypassrls, r.rolvaliduntil IS NULL,
                 (SELECT string_agg(m.roleid::text, ' ' ORDER BY m.roleid)
                    FROM pg_auth_members m WHERE m.member = r.oid))
  FROM pg_roles r ORDER BY r.oid)sql";

constexpr std::string_view defaults_sql = R"sql(
SELECT coalesce(r.rolname, ''), (d.setdatabase <> 0)::text,
       lower(split_part(c.entry, '=', 1)), substr(c.entry, strpos(c.entry, '=') + 1)
  FROM pg_db_role_setting d
  CROSS JOIN LATERAL unnest(d.setconfig) AS c(entry)
  LEFT JOIN pg_roles r ON r.oid = d.setrole
 WHERE d.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
   AND (d.setrole = 0 OR r.oid IS NOT NULL)
 ORDER BY 1, 2, 3)sql";

constexpr std::string_view schemas_sql = R"sql(
SELECT n.nspname, pg_get_userbyid(n.nspowner), g.role
  FROM pg_namespace n
  LEFT JOIN LATERAL (SELECT CASE WHEN a.grantee = 0 THEN '' ELSE pg_get_userbyid(a.grantee)::text
                            END AS role
                       FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
                      WHERE a.privilege_type = 'USAGE') g ON true
 WHERE n.nspname !~ '^pg_(toast|temp_|toast_temp_)'
 ORDER BY n.oid, 3)sql";

constexpr std::string_view relations_sql = R"sql(
SELECT c.oid, n.nspname, c.relname, c.relkind, c.relpersistence, c.relrowsecurity::text,
       (r.ev_class IS NOT NULL)::text,
       concat_ws(' ', c.relowner, c.relforcerowsecurity, c.reloptions, c.relacl)
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN (SELECT DISTINCT ev_class FROM pg_rewrite WHERE ev_type <> '1') r ON r.ev_class = c.oid
 WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND c.relpersistence <> 't'
   AND n.nspname <> 'pg_toast'
 ORDER BY c.oid)sql";

constexpr std::string_view inheritance_sql = R"sql(
SELECT i.inhrelid, i.inhparent FROM pg_inherits i
  JOIN pg_class c ON c.oid = i.inhparent AND c.relkind IN ('r', 'p', 'f')
 ORDER BY 1, 2)sql";

constexpr std::string_view views_sql = R"sql(
SELECT c.oid, pg_get_viewdef(c.oid) FROM pg_class c
 WHERE c.relkind IN ('v', 'm') AND c.oid >= 16384 AND c.relpersistence <> 't'
 ORDER BY 1)sql";

constexpr std::string_view foreign_keys_sql = R"sql(
SELECT confrelid, conrelid, confdeltype, confupdtype FROM pg_constraint
 WHERE contype = 'f' ORDER BY 1, 2, oid)sql";

// Not tgisinternal: PostgreSQL 13 and 14 set it on a partition's copy of its parent's trigger.
constexpr std::string_view triggers_sql = R"sql(
SELECT t.tgrelid, t.tgfoid, t.tgtype, w.refobjid
  FROM pg_trigger t
  JOIN pg_proc p ON p.oid = t.tgfoid
  LEFT JOIN pg_depend w ON w.classid = 'pg_trigger'::regclass AND w.objid = t.oid
                       AND w.refclassid = 'pg_proc'::regclass AND w.refobjid <> t.tgfoid
 WHERE t.tgenabled <> 'D' AND p.pronamespace <> 'pg_catalog'::regnamespace
 ORDER BY t.oid, 4)sql";

constexpr std::string_view policies_sql = R"sql(
SELECT p.polrelid, p.polcmd, pg_get_expr(p.polqual, p.polrelid),
       pg_get_expr(p.polwithcheck, p.polrelid), concat(p.polpermissive, p.polroles)
  FROM pg_policy p ORDER BY p.oid)sql";

// pg_proc calls every aggregate immutable; its own functions say what it is.
constexpr std::string_view functions_sql = R"sql(
SELECT p.oid, n.nspname, p.proname,
       CASE WHEN p.prokind = 'a' THEN a.worst ELSE p.provolatile::text END,
       p.prokind, l.lanname, p.prosecdef::text, pg_get_userbyid(p.proowner),
       (SELECT substr(c, 13) FROM unnest(p.proconfig) c WHERE c LIKE 'search\_path=%'),
       (rt.oid IS NOT NULL)::text,
       CASE WHEN p.prokind NOT IN ('f', 'p') THEN NULL
            WHEN array_to_string(p.proconfig, ',') ~ '(^|,)(role|session_authorization)='
            THEN NULL
            WHEN l.lanname = 'sql' AND p.prosrc <> '' THEN p.prosrc
            WHEN l.lanname IN ('sql', 'plpgsql') THEN pg_get_functiondef(p.oid) END,
       CASE WHEN l.lanname = 'c' THEN p.probin END,
       a.parts, pg_get_expr(p.proargdefaults, 0),
       concat_ws(' ', p.proacl, p.proconfig, p.prorettype, p.proargtypes)
  FROM pg_proc p
  JOIN pg_namespace n ON n.oid = p.pronamespace
  JOIN pg_language l ON l.oid = p.prolang
  LEFT JOIN pg_type rt ON p.pronargs - p.pronargdefaults <= 1 AND p.pronargs >= 1
                      AND p.prokind = 'f' AND rt.oid = p.proargtypes[0]
                      AND (rt.typtype IN ('c', 'p') OR rt.typcategory = 'C')
  LEFT JOIN LATERAL (
       SELECT CASE max(CASE q.provolatile WHEN 'v' THEN 2 WHEN 's' THEN 1 ELSE 0 END)
                   WHEN 2 THEN 'v' WHEN 1 THEN 's' ELSE 'i' END AS worst,
              string_agg(q.oid::text, ',' ORDER BY q.oid) FILTER (WHERE q.oid >= 16384) AS parts
         FROM pg_aggregate g
         JOIN pg_proc q ON q.oid IN (g.aggtransfn, g.aggfinalfn, g.aggcombinefn, g.aggserialfn,
                                     g.aggdeserialfn, g.aggmtransfn, g.aggminvtransfn, g.aggmfinalfn)
        WHERE g.aggfnoid = p.oid) a ON p.prokind = 'a'
 WHERE p.pronamespace <> 'pg_catalog'::regnamespace
 ORDER BY p.oid)sql";

constexpr std::string_view builtin_functions_sql = R"sql(
SELECT proname,
       CASE max(CASE provolatile WHEN 'v' THEN 2 WHEN 's' THEN 1 ELSE 0 END)
            WHEN 2 THEN 'v' WHEN 1 THEN 's' ELSE 'i' END
  FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace
 GROUP BY proname ORDER BY proname)sql";

constexpr std::string_view operators_sql = R"sql(
SELECT n.nspname, o.oprname, p.provolatile, p.oid
  FROM pg_operator o
  JOIN pg_namespace n ON n.oid = o.oprnamespace
  JOIN pg_proc p ON p.oid = o.oprcode
 WHERE o.oprnamespace <> 'pg_catalog'::regnamespace
 ORDER BY o.oid)sql";

constexpr std::string_view builtin_operators_sql = R"sql(
SELECT o.oprname,
       CASE max(CASE p.provolatile WHEN 'v' THEN 2 WHEN 's' THEN 1 ELSE 0 END)
            WHEN 2 THEN 'v' WHEN 1 THEN 's' ELSE 'i' END
  FROM pg_operator o JOIN pg_proc p ON p.oid = o.oprcode
 WHERE o.oprnamespace = 'pg_catalog'::regnamespace
 GROUP BY o.oprname ORDER BY 1)sql";

// enum_in, domain_in, range_in and record_in are stable in pg_proc because they stand for any type.
// An enum changes by DDL alone. A domain is as good as its base type, a range as its subtype; over
// anything that reads the clock or the search_path, and for composite types, assume the worst.
constexpr std::string_view types_sql = R"sql(
WITH RECURSIVE domain(id, base) AS (
  SELECT oid, oid FROM pg_type WHERE typtype = 'd' AND oid >= 16384
  UNION
  SELECT d.id, t.typbasetype FROM domain d JOIN pg_type t ON t.oid = d.base
   WHERE t.typtype = 'd' AND t.typbasetype <> 0)
SELECT n.nspname, t.typname, t.typtype,
       CASE greatest(max(CASE q.provolatile WHEN 'v' THEN 2 WHEN 's' THEN 1 ELSE 0 END),
                     max(CASE WHEN t.typtype = 'e' THEN 0
                              WHEN t.typtype = 'd' AND b.oid IS NULL THEN 0
                              WHEN t.typtype IN ('r', 'm') AND s.rngtypid IS NOT NULL THEN 0
                              WHEN t.typtype IN ('d', 'r', 'm', 'c') THEN 2
                              WHEN i.provolatile = 'v' THEN 2 WHEN i.provolatile = 's' THEN 1
                              ELSE 0 END))
            WHEN 2 THEN 'v' WHEN 1 THEN 's' ELSE 'i' END,
       string_agg(DISTINCT q.oid::text, ',') FILTER (WHERE q.provolatile <> 'i' AND q.oid >= 16384)
  FROM pg_type t
  JOIN pg_namespace n ON n.oid = t.typnamespace
  LEFT JOIN pg_proc i ON i.oid = t.typinput
  LEFT JOIN pg_type b ON b.oid = t.typbasetype
                     AND (b.oid >= 16384 OR b.typcategory IN ('D', 'A', 'R', 'C')
                          OR b.typname LIKE 'reg%')
  LEFT JOIN pg_range s ON s.rngtypid = t.oid
                      AND s.rngsubtype IN (20, 21, 23, 25, 700, 701, 1700, 2950)
  LEFT JOIN (SELECT casttarget AS type, castfunc AS function FROM pg_cast WHERE oid >= 16384
             UNION ALL
             SELECT d.id, p.refobjid
               FROM domain d JOIN pg_constraint k ON k.contypid = d.base
               JOIN pg_depend p ON p.classid = 'pg_constraint'::regclass AND p.objid = k.oid
                               AND p.refclassid = 'pg_proc'::regclass) c ON c.type = t.oid
  LEFT JOIN pg_proc q ON q.oid = c.function
 WHERE (t.oid >= 16384 OR c.type IS NOT NULL) AND t.typcategory <> 'A'
   AND (t.typrelid = 0 OR EXISTS (SELECT 1 FROM pg_class k
                                   WHERE k.oid = t.typrelid AND k.relkind = 'c'))
 GROUP BY n.nspname, t.typname, t.typtype, t.oid
 ORDER BY t.oid)sql";

// A cast WITH INOUT has no function of its own: it is the target's input, which for dates, reg*
// types and the like is not immutable.
// Casts that PostgreSQL applies unasked, in expressions (i) or when it assigns to a column (a).
constexpr std::string_view implicit_casts_sql = R"sql(
SELECT count(*) FILTER (WHERE c.castcontext = 'i'),
       string_agg(f.oid::text, ',' ORDER BY f.oid) FILTER (WHERE f.oid >= 16384)
  FROM pg_cast c
  JOIN pg_type t ON t.oid = c.casttarget
  LEFT JOIN pg_proc f ON f.oid = c.castfunc
  LEFT JOIN pg_proc i ON c.castmethod = 'i' AND t.typtype <> 'e' AND i.oid = t.typinput
 WHERE c.oid >= 16384 AND c.castcontext IN ('i', 'a')
   AND (f.provolatile <> 'i' OR i.provolatile <> 'i'))sql";

constexpr std::string_view datetime_columns_sql = R"sql(
SELECT x.attname, string_agg(x.attrelid::text, ',' ORDER BY x.attrelid) FILTER (WHERE x.datetime),
       string_agg(x.attrelid::text, ',' ORDER BY x.attrelid) FILTER (WHERE NOT x.datetime)
  FROM (SELECT a.attname, a.attrelid,
               coalesce(nullif(t.typbasetype, 0), t.oid) IN (1082, 1083, 1114, 1184, 1266)
                   AS datetime
          FROM pg_attribute a
          JOIN pg_class c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
          JOIN pg_type t ON t.oid = a.atttypid
         WHERE a.attnum > 0 AND a.attrelid >= 16384 AND c.relpersistence <> 't') x
 GROUP BY x.attname HAVING bool_or(x.datetime)
 ORDER BY x.attname)sql";

constexpr std::string_view volatile_columns_sql = R"sql(
SELECT DISTINCT a.attrelid
  FROM pg_attribute a
  JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_type e ON e.oid = coalesce(nullif(t.typelem, 0), nullif(t.typbasetype, 0))
  JOIN pg_proc p ON p.oid IN (t.typinput, e.typinput) AND p.oid >= 16384 AND p.provolatile <> 'i'
 WHERE a.attnum > 0 AND a.attrelid >= 16384
 ORDER BY 1)sql";

// Defaults, CHECK constraints and policies depend on the functions they call.
constexpr std::string_view write_functions_sql = R"sql(
WITH RECURSIVE domain(id, base) AS (
  SELECT oid, oid FROM pg_type WHERE typtype = 'd' AND oid >= 16384
  UNION
  SELECT d.id, t.typbasetype FROM domain d JOIN pg_type t ON t.oid = d.base
   WHERE t.typtype = 'd' AND t.typbasetype <> 0)
SELECT x.relation, x.function FROM (
  SELECT d.adrelid AS relation, p.refobjid AS function
    FROM pg_depend p JOIN pg_attrdef d ON d.oid = p.objid
   WHERE p.refclassid = 'pg_proc'::regclass AND p.classid = 'pg_attrdef'::regclass
  UNION
  SELECT c.conrelid, p.refobjid
    FROM pg_depend p JOIN pg_constraint c ON c.oid = p.objid
   WHERE p.refclassid = 'pg_proc'::regclass AND p.classid = 'pg_constraint'::regclass
  UNION
  SELECT a.attrelid, p.refobjid
    FROM pg_attribute a JOIN domain d ON d.id = a.atttypid
    JOIN pg_constraint k ON k.contypid = d.base
    JOIN pg_depend p ON p.classid = 'pg_constraint'::regclass AND p.objid = k.oid
                    AND p.refclassid = 'pg_proc'::regclass
  UNION
  SELECT c.polrelid, p.refobjid
    FROM pg_depend p JOIN pg_policy c ON c.oid = p.objid
   WHERE p.refclassid = 'pg_proc'::regclass AND p.classid = 'pg_policy'::regclass) x
 WHERE x.relation <> 0 AND x.function >= 16384
 ORDER BY 1, 2)sql";

// Only the fingerprint needs these, so the server adds them up and sends one row.
constexpr std::string_view definitions_sql = R"sql(
SELECT (SELECT coalesce(sum(hashtext(concat_ws(' ', a.attrelid, a.attnum, a.attname, a.atttypid,
                                               a.atttypmod, a.attcollation, a.attacl))::bigint), 0)
          FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
         WHERE a.attnum > 0 AND a.attrelid >= 16384 AND c.relpersistence <> 't'
           AND c.relkind IN ('r', 'p', 'v', 'm', 'f'))::text,
       (SELECT coalesce(sum(hashtext(concat_ws(' ', e.oid, e.enumtypid, e.enumlabel,
                                               e.enumsortorder))::bigint), 0)
          FROM pg_enum e)::text)sql";

// Of publications that tell of every change of their tables, with 0 for all tables. By the catalogs
// themselves: pg_publication_tables locks what it lists. What a whole schema is in for is not read.
constexpr std::string_view publications_sql = R"sql(
SELECT p.pubname, coalesce(r.prrelid, 0)
  FROM pg_publication p
  LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid AND NOT p.puballtables
 WHERE p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate
   AND to_jsonb(p) ->> 'pubviaroot' IS DISTINCT FROM 'true'
   AND CASE WHEN p.puballtables THEN true ELSE r.prrelid IS NOT NULL END
   AND to_jsonb(r) ->> 'prqual' IS NULL
 ORDER BY 1, 2)sql";

// What is given and taken back between two readings leaves every row as it was, but what was cached
// meanwhile must not outlive it: so it is counted, too. Roles are changed in any database, and
// nothing tells of it. A server process adds its changes to the counters within ten seconds of its
// commit.
constexpr std::string_view role_changes_sql = R"sql(
SELECT coalesce(sum(pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_tuples_updated(c.oid) +
                    pg_stat_get_tuples_deleted(c.oid)), 0)::text
  FROM pg_class c
 WHERE c.relnamespace = 'pg_catalog'::regnamespace
   AND c.relname IN ('pg_auth_members', 'pg_authid', 'pg_db_role_setting', 'pg_parameter_acl'))sql";

// Where temporary objects come and go in the same catalog it is the rows' versions instead.
// TRUNCATE makes a new version, too.
constexpr std::string_view other_changes_sql = R"sql(
SELECT (SELECT coalesce(sum(pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_tuples_updated(c.oid) +
                            pg_stat_get_tuples_deleted(c.oid)), 0)
          FROM pg_class c
         WHERE c.relnamespace = 'pg_catalog'::regnamespace
           AND c.relname IN ('pg_policy', 'pg_proc', 'pg_rewrite', 'pg_trigger'))::text,
       (SELECT coalesce(sum(hashtext(concat_ws(' ', n.oid, n.xmin))::bigint), 0) FROM pg_namespace n
         WHERE n.nspname !~ '^pg_(toast_)?temp_')::text,
       (SELECT coalesce(sum(hashtext(concat_ws(' ', c.oid, c.xmin))::bigint), 0) FROM pg_class c
         WHERE c.relkind IN ('r', 'p', 'v', 'f') AND c.oid >= 16384 AND c.relpersistence <> 't')::text,
       (SELECT coalesce(sum(hashtext(concat_ws(' ', a.attrelid, a.attnum, a.xmin))::bigint), 0)
          FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
         WHERE a.attnum > 0 AND a.attrelid >= 16384 AND c.relpersistence <> 't'
           AND c.relkind IN ('r', 'p', 'v', 'f'))::text)sql";

constexpr auto queries = std::to_array<catalog_query>({
    {"server", server_sql, 2},
    {"roles", roles_sql, 3},
    {"defaults", defaults_sql, 4},
    {"schemas", schemas_sql, 3},
    {"relations", relations_sql, 8},
    {"inheritance", inheritance_sql, 2},
    {"views", views_sql, 2},
    {"foreign_keys", foreign_keys_sql, 4},
    {"triggers", triggers_sql, 4},
    {"policies", policies_sql, 5},
    {"functions", functions_sql, 15},
    {"builtin_functions", builtin_functions_sql, 2},
    {"operators", operators_sql, 4},
    {"builtin_operators", builtin_operators_sql, 2},
    {"types", types_sql, 5},
    {"implicit_casts", implicit_casts_sql, 2},
    {"datetime_columns", datetime_columns_sql, 3},
    {"volatile_columns", volatile_columns_sql, 1},
    {"write_functions", write_functions_sql, 2},
    {"publications", publications_sql, 2},
    {"definitions", definitions_sql, 2},
    {"role_changes", role_changes_sql, 1},
    {"other_changes", other_changes_sql, 4},
});
static_assert(queries.size() == static_cast<std::size_t>(catalog_source::count_));

}  // namespace

std::span<const catalog_query> catalog_queries() noexcept { return queries; }

}  // namespace pgsidecar::policy
