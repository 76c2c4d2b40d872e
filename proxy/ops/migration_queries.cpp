#include "proxy/ops/migration_queries.h"

namespace pgsidecar::ops::migration_queries {

const std::string_view relations = R"sql(
SELECT c.relname, c.relkind, obj_description(c.oid, 'pg_class'),
       has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE')
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = $1
   AND c.relname IN ('prescription_query_cache', 'idx_prescription_cache_tenant_expiration',
                     'prescription_query_metrics', 'pgsidecar_migrations'))sql";

const std::string_view columns = R"sql(
SELECT c.relname, a.attname,
       format_type(a.atttypid, a.atttypmod)
       || CASE WHEN a.attnotnull THEN ', not null' ELSE '' END
       || CASE WHEN a.attgenerated <> '' THEN ', generated'
               WHEN a.atthasdef OR a.attidentity <> '' THEN ', default' ELSE '' END
       || CASE WHEN a.attnum = ANY (i.indkey) THEN ', primary key' ELSE '' END
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
 WHERE n.nspname = $1
   AND c.relname IN ('prescription_query_cache', 'prescription_query_metrics',
                     'pgsidecar_migrations')
 ORDER BY c.relname, a.attnum)sql";

const std::string_view index = R"sql(
SELECT t.relname,
       (SELECT string_agg(pg_get_indexdef(i.indexrelid, k, true), ', ' ORDER BY k)
          FROM generate_series(1, i.indnatts) AS k),
       i.indisvalid AND NOT i.indisunique AND i.indpred IS NULL
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_index i ON i.indexrelid = c.oid JOIN pg_class t ON t.oid = i.indrelid
 WHERE n.nspname = $1 AND c.relname = 'idx_prescription_cache_tenant_expiration')sql";

const std::string_view outside = R"sql(
SELECT 'schema pgsidecar',
       CASE WHEN has_schema_privilege(oid, 'USAGE') THEN '' ELSE 'is closed to this role (USAGE)' END
  FROM pg_namespace WHERE nspname = 'pgsidecar'
UNION ALL
SELECT 'function pgsidecar.' || p.proname,
       CASE WHEN (r.rolsuper OR r.rolname = current_user)
                 AND oidvectortypes(p.proargtypes)
                     = CASE p.proname WHEN 'watched_tables' THEN 'text[]'
                                      WHEN 'ddl_message' THEN 'text, text'
                                      WHEN 'wal_tables' THEN 'text[], text' ELSE '' END THEN ''
            ELSE 'is another function, or belongs to somebody else' END
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles r ON r.oid = p.proowner
 WHERE n.nspname = 'pgsidecar'
   AND p.proname IN ('watched_tables', 'ddl_message', 'notify_write', 'notify_ddl', 'wal_settings',
                     'wal_tables', 'wal_repair', 'wal_before', 'wal_ddl')
UNION ALL
SELECT 'event trigger ' || e.evtname,
       CASE WHEN n.nspname <> 'pgsidecar' OR e.evtevent <> o.event OR p.proname <> o.calls
            THEN 'is another trigger'
            WHEN e.evtenabled <> 'A' THEN 'is not enabled for all' ELSE '' END
  FROM pg_event_trigger e JOIN pg_proc p ON p.oid = e.evtfoid
  JOIN pg_namespace n ON n.oid = p.pronamespace
  JOIN (VALUES ('pgsidecar_', 'ddl_command_end', 'notify_ddl'),
               ('pgsidecar_', 'sql_drop', 'notify_ddl'),
               ('pgsidecar_wal_', 'ddl_command_start', 'wal_before'),
               ('pgsidecar_wal_', 'ddl_command_end', 'wal_ddl'),
               ('pgsidecar_wal_', 'sql_drop', 'wal_ddl')) AS o(prefix, event, calls)
    ON e.evtname = o.prefix || o.event
UNION ALL
SELECT * FROM (
    SELECT 'publication ' || p.pubname,
           CASE WHEN obj_description(p.oid, 'pg_publication')
                     IS DISTINCT FROM 'Made by pgsidecar migrate.' THEN 'is another publication'
                WHEN NOT (p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate)
                     OR (to_jsonb(p) ->> 'pubviaroot')::boolean THEN 'does not publish every write'
                ELSE '' END
      FROM pg_publication p
     WHERE p.pubname = 'pgsidecar'
        OR obj_description(p.oid, 'pg_publication') = 'Made by pgsidecar migrate.'
     ORDER BY obj_description(p.oid, 'pg_publication') = 'Made by pgsidecar migrate.' DESC NULLS LAST
     LIMIT 1) AS publication
 WHERE $1::text IS NOT NULL)sql";

const std::string_view watched = R"sql(
SELECT w.schema_name, w.table_name, t.tgenabled
  FROM pgsidecar.watched_tables($1::text[]) w
  LEFT JOIN pg_trigger t ON t.tgrelid = w.relation AND t.tgname = 'pgsidecar_notify'
                        AND t.tgfoid = to_regprocedure('pgsidecar.notify_write()')
 ORDER BY 1, 2)sql";

const std::string_view published = R"sql(
SELECT t.relation::regclass, t.state, t.reason
  FROM pgsidecar.wal_settings() s, pgsidecar.wal_tables($1::text[], s.publication) t)sql";

std::string records(std::string_view schema) {
    return "SELECT m.version, m.name, to_char(m.applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD "
           "HH24:MI:SS \"UTC\"'), m.applied_by, o.name, o.name = ANY (m.made) FROM " +
           quoted_identifier(schema) + "." + std::string{versions_table} +
           " m LEFT JOIN LATERAL unnest(m.made || m.found) AS o(name) ON true ORDER BY m.version";
}

}  // namespace pgsidecar::ops::migration_queries
