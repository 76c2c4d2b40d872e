-- Makes the tables of pgsidecar. `pgsidecar migrate up` runs this text; by hand it is
--
--     psql -1 -v ON_ERROR_STOP=1 -d DATABASE -f up.sql
--
-- It only adds, may be run again at any time, and is one statement: all of it happens or nothing.
-- What is there already stays as it is and is recorded as found; what is made here is recorded in
-- pgsidecar_migrations, and down.sql removes nothing else. A table that is there with other columns
-- is an error, and then nothing is changed.
--
-- A setting, given before it in the same session (psql -c "SET pgsidecar.schema = 'x'" -f up.sql):
--     pgsidecar.schema    where the tables are made; the default is the first schema of search_path
DO $migrate$
DECLARE
    caller_path     text := pg_catalog.current_setting('search_path');
    target          text := pg_catalog.current_schema();
    target_path     text;
    place           oid;
    there           text[];
    cache_there     boolean;
    index_there     boolean;
    metrics_there   boolean;
    versions_there  boolean;
    wrong           record;
    step            record;
    report          jsonb := '[]';
BEGIN
    -- Every name below means the server's own, whatever stands in the schemas of this database.
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    -- Waiting for somebody's lock for long would hold up those who want the table after us.
    IF current_setting('lock_timeout') = '0' THEN
        PERFORM set_config('lock_timeout', '30s', true);
    END IF;
    -- One migration of this database at a time; the number is "pgsidec" in ASCII.
    PERFORM pg_advisory_xact_lock(31638942778680675);

    target := coalesce(nullif(current_setting('pgsidecar.schema', true), ''), target);
    IF target IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '3F000',
            MESSAGE = format('no schema of search_path exists in database "%s"', current_database()),
            HINT = 'Name the schema: --schema, or by hand SET pgsidecar.schema.';
    END IF;
    SELECT n.oid INTO place FROM pg_namespace n WHERE n.nspname = target;
    IF place IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '3F000',
            MESSAGE = format('schema "%s" does not exist in database "%s"', target, current_database());
    END IF;
    target_path := format('%I, pg_temp', target);

    SELECT coalesce(array_agg(c.relname::text), '{}') INTO there FROM pg_class c
     WHERE c.relnamespace = place
       AND c.relname IN ('prescription_query_cache', 'idx_prescription_cache_tenant_expiration',
                         'prescription_query_metrics', 'pgsidecar_migrations');
    cache_there := 'prescription_query_cache' = ANY (there);
    index_there := 'idx_prescription_cache_tenant_expiration' = ANY (there);
    metrics_there := 'prescription_query_metrics' = ANY (there);
    versions_there := 'pgsidecar_migrations' = ANY (there);

    -- What this role may not do, said before anything is tried, and in words that name the right.
    IF cardinality(there) < 4 AND NOT (has_schema_privilege(place, 'CREATE')
                                       AND has_schema_privilege(place, 'USAGE')) THEN
        RAISE EXCEPTION USING ERRCODE = '42501',
            MESSAGE = format('role "%s" needs %s on schema %I of database "%s"', current_user,
                             CASE WHEN has_schema_privilege(place, 'USAGE') THEN 'CREATE'
                                  WHEN has_schema_privilege(place, 'CREATE') THEN 'USAGE'
                                  ELSE 'CREATE and USAGE' END,
                             target, current_database());
    END IF;
    IF cache_there AND NOT index_there THEN
        PERFORM FROM pg_class c WHERE c.relnamespace = place AND c.relname = 'prescription_query_cache'
                                  AND NOT pg_has_role(c.relowner, 'USAGE');
        IF FOUND THEN
            RAISE EXCEPTION USING ERRCODE = '42501',
                MESSAGE = format('role "%s" needs to own table %I.prescription_query_cache of database '
                                 '"%s", to make its index', current_user, target, current_database());
        END IF;
    END IF;
    IF versions_there THEN
        PERFORM FROM pg_class c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE']) AS needed(right_to)
          WHERE c.relnamespace = place AND c.relname = 'pgsidecar_migrations'
            AND NOT has_table_privilege(c.oid, right_to);
        IF FOUND THEN
            RAISE EXCEPTION USING ERRCODE = '42501',
                MESSAGE = format('role "%s" needs SELECT, INSERT and UPDATE on table '
                                 '%I.pgsidecar_migrations of database "%s"', current_user, target,
                                 current_database());
        END IF;
    END IF;

    -- A comment marks what was made here, for another of the same name may take its place later.
    PERFORM set_config('search_path', target_path, true);
    IF NOT cache_there THEN
        CREATE TABLE IF NOT EXISTS prescription_query_cache (
            cache_key VARCHAR(255) PRIMARY KEY,
            tenant_id VARCHAR(100) NOT NULL,
            cached_result JSONB NOT NULL,
            expiration_time TIMESTAMP NOT NULL,
            created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
        COMMENT ON TABLE prescription_query_cache IS 'Made by pgsidecar migrate.';
    END IF;
    IF NOT metrics_there THEN
        CREATE TABLE IF NOT EXISTS prescription_query_metrics (
            id SERIAL PRIMARY KEY,
            tenant_id VARCHAR(100) NOT NULL,
            query_type VARCHAR(50) NOT NULL,
            execution_time_ms DECIMAL(10,2) NOT NULL,
            record_count INTEGER NOT NULL,
            timestamp TIMESTAMP DEFAULT CURRENT_TIMESTAMP);
        COMMENT ON TABLE prescription_query_metrics IS 'Made by pgsidecar migrate.';
    END IF;
    IF NOT versions_there THEN
        CREATE TABLE IF NOT EXISTS pgsidecar_migrations (
            version INTEGER PRIMARY KEY,
            name TEXT NOT NULL,
            applied_at TIMESTAMPTZ NOT NULL,
            applied_by TEXT NOT NULL,
            made TEXT[] NOT NULL,
            found TEXT[] NOT NULL);
        COMMENT ON TABLE pgsidecar_migrations IS
            'What pgsidecar migrate has applied: what it made, and what it found there already.';
    END IF;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

    SELECT c.relname, c.relkind INTO wrong FROM pg_class c
     WHERE c.relnamespace = place AND c.relkind NOT IN ('r', 'p')
       AND c.relname IN ('prescription_query_cache', 'prescription_query_metrics', 'pgsidecar_migrations');
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '42809',
            MESSAGE = format('%I.%I is there and is no table', target, wrong.relname);
    END IF;

    -- The columns that each table must have, no more and no less. `pgsidecar migrate status` reads
    -- this very list: table, column, and what the column is.
    WITH want AS (
        SELECT split[1] AS of_table, split[2] AS of_column, split[3] AS shape, nr
          FROM regexp_split_to_table(replace($columns$
            prescription_query_cache    cache_key          character varying(255), not null, primary key
            prescription_query_cache    tenant_id          character varying(100), not null
            prescription_query_cache    cached_result      jsonb, not null
            prescription_query_cache    expiration_time    timestamp without time zone, not null
            prescription_query_cache    created_at         timestamp without time zone, default
            prescription_query_metrics  id                 integer, not null, default, primary key
            prescription_query_metrics  tenant_id          character varying(100), not null
            prescription_query_metrics  query_type         character varying(50), not null
            prescription_query_metrics  execution_time_ms  numeric(10,2), not null
            prescription_query_metrics  record_count       integer, not null
            prescription_query_metrics  timestamp          timestamp without time zone, default
            pgsidecar_migrations        version            integer, not null, primary key
            pgsidecar_migrations        name               text, not null
            pgsidecar_migrations        applied_at         timestamp with time zone, not null
            pgsidecar_migrations        applied_by         text, not null
            pgsidecar_migrations        made               text[], not null
            pgsidecar_migrations        found              text[], not null
            $columns$, chr(13), ''), chr(10)) WITH ORDINALITY AS list(line, nr),
               regexp_match(line, '^ *([^ ]+) +([^ ]+) +(.+)$') AS split
         WHERE split IS NOT NULL
    ), have AS (
        SELECT c.relname::text AS of_table, a.attname::text AS of_column, a.attnum,
               format_type(a.atttypid, a.atttypmod)
               || CASE WHEN a.attnotnull THEN ', not null' ELSE '' END
               || CASE WHEN a.attgenerated <> '' THEN ', generated'
                       WHEN a.atthasdef OR a.attidentity <> '' THEN ', default' ELSE '' END
               || CASE WHEN a.attnum = ANY (i.indkey) THEN ', primary key' ELSE '' END AS shape
          FROM pg_class c
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
          LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
         WHERE c.relnamespace = place AND c.relname IN (SELECT of_table FROM want)
    )
    SELECT of_table, of_column, have.shape AS seen, want.shape AS expected INTO wrong
      FROM want FULL JOIN have USING (of_table, of_column)
     WHERE want.shape IS DISTINCT FROM have.shape
     ORDER BY min(nr) OVER (PARTITION BY of_table), nr NULLS LAST, attnum LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '55000',
            MESSAGE = format('table %I.%I is there with other columns: column "%s" is %s, expected is %s',
                             target, wrong.of_table, wrong.of_column, coalesce(wrong.seen, 'missing'),
                             coalesce(wrong.expected, 'no such column')),
            HINT = 'Rename that table, or make the tables in another schema: --schema, or by hand '
                   'SET pgsidecar.schema.';
    END IF;

    PERFORM set_config('search_path', target_path, true);
    IF NOT index_there THEN
        CREATE INDEX IF NOT EXISTS idx_prescription_cache_tenant_expiration
            ON prescription_query_cache(tenant_id, expiration_time);
        COMMENT ON INDEX idx_prescription_cache_tenant_expiration IS 'Made by pgsidecar migrate.';
    END IF;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    PERFORM FROM pg_class c LEFT JOIN pg_index i ON i.indexrelid = c.oid
      LEFT JOIN pg_class t ON t.oid = i.indrelid
      WHERE c.relnamespace = place AND c.relname = 'idx_prescription_cache_tenant_expiration'
        AND t.relname = 'prescription_query_cache' AND i.indisvalid AND NOT i.indisunique
        AND i.indpred IS NULL AND i.indnatts = 2
        AND pg_get_indexdef(c.oid, 1, true) = 'tenant_id'
        AND pg_get_indexdef(c.oid, 2, true) = 'expiration_time';
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '55000',
            MESSAGE = format('%I.idx_prescription_cache_tenant_expiration is there and is not the index of '
                             'table prescription_query_cache on (tenant_id, expiration_time)', target);
    END IF;

    -- The record. What was made once stays made; what was found and is gone may be made later.
    FOR step IN
        SELECT o.version, o.step_name,
               coalesce(array_agg(o.kind || ' ' || o.relation ORDER BY o.kind DESC)
                        FILTER (WHERE NOT o.relation = ANY (there)), '{}') AS made_now,
               coalesce(array_agg(o.kind || ' ' || o.relation ORDER BY o.kind DESC)
                        FILTER (WHERE o.relation = ANY (there)), '{}') AS found_now
          FROM (VALUES (1, 'query_cache', 'table', 'prescription_query_cache'),
                       (1, 'query_cache', 'index', 'idx_prescription_cache_tenant_expiration'),
                       (2, 'query_metrics', 'table', 'prescription_query_metrics'))
               AS o(version, step_name, kind, relation)
         GROUP BY o.version, o.step_name ORDER BY o.version
    LOOP
        EXECUTE format($sql$
            INSERT INTO %I.pgsidecar_migrations AS m (version, name, applied_at, applied_by, made, found)
            VALUES ($1, $2, now(), current_user, $3, $4)
            ON CONFLICT (version) DO UPDATE
               SET applied_at = excluded.applied_at, applied_by = excluded.applied_by,
                   made = ARRAY(SELECT DISTINCT unnest(m.made || excluded.made)),
                   found = ARRAY(SELECT unnest(m.found) EXCEPT SELECT unnest(excluded.made))
             WHERE cardinality(excluded.made) > 0$sql$, target)
            USING step.version, step.step_name, step.made_now, step.found_now;
        EXECUTE format($sql$
            SELECT $1 || coalesce(jsonb_agg(jsonb_build_object('object', o, 'outcome',
                       CASE WHEN o = ANY ($3) THEN 'made' WHEN o = ANY (m.made) THEN 'there'
                            ELSE 'found' END) ORDER BY o DESC), '[]')
              FROM %I.pgsidecar_migrations m, unnest($3 || $4) AS o WHERE m.version = $2$sql$, target)
            INTO report USING report, step.version, step.made_now, step.found_now;
    END LOOP;
    PERFORM set_config('pgsidecar.report', report::text, false);
    PERFORM set_config('search_path', caller_path, true);
END
$migrate$;

-- made: by this run; there: by an earlier one; found: not by pgsidecar, and left as it is.
SELECT outcome, object
  FROM pg_catalog.jsonb_to_recordset(pg_catalog.current_setting('pgsidecar.report')::pg_catalog.jsonb)
       AS report(outcome pg_catalog.text, object pg_catalog.text);
