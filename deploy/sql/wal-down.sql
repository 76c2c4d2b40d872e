-- Removes what wal-up.sql made, and nothing else: event triggers, the publication, functions, and the
-- schema pgsidecar if it was made there and is empty now. What notify-up.sql needs as well stays until
-- notify-down.sql. `pgsidecar migrate down` runs this text before notify-down.sql and down.sql; by
-- hand it is
--
--     psql -1 -v ON_ERROR_STOP=1 -d DATABASE -f wal-down.sql
--
-- A replication slot is no part of the database and stays: who made it drops it.
--
-- A setting, given before it in the same session:
--     pgsidecar.schema    where up.sql made its tables; the default is the first of search_path
DO $migrate$
DECLARE
    caller_path  text := pg_catalog.current_setting('search_path');
    target       text := pg_catalog.current_schema();
    applied      boolean := false;
    made_schema  boolean := false;
    notify_left  boolean := false;
    owner        oid;
    object       record;
    publications text[];
    report       jsonb := '[]';
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    IF current_setting('lock_timeout') = '0' THEN
        PERFORM set_config('lock_timeout', '30s', true);
    END IF;
    PERFORM pg_advisory_xact_lock(31638942778680675);
    target := coalesce(nullif(current_setting('pgsidecar.schema', true), ''), target);
    SELECT c.relowner INTO owner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = target AND c.relname = 'pgsidecar_migrations' AND c.relkind IN ('r', 'p');
    IF FOUND THEN
        IF NOT pg_has_role(owner, 'USAGE') THEN
            RAISE EXCEPTION USING ERRCODE = '42501',
                MESSAGE = format('role "%s" needs to own table %I.pgsidecar_migrations of database "%s"',
                                 current_user, target, current_database());
        END IF;
        EXECUTE format($sql$
            SELECT coalesce(bool_or(version = 4), false), coalesce(bool_or(version = 3), false),
                   coalesce(bool_or(version = 4 AND 'schema pgsidecar' = ANY (made)), false)
              FROM %I.pgsidecar_migrations$sql$, target) INTO applied, notify_left, made_schema;
    END IF;
    IF applied THEN
        EXECUTE format($sql$
            SELECT array_agg(substr(o, length('publication ') + 1)) FROM %I.pgsidecar_migrations m,
                   unnest(m.made) AS o WHERE m.version = 4 AND o LIKE 'publication %%'$sql$, target)
            INTO publications;
        BEGIN
            -- Event triggers first: nobody need be told of what follows.
            FOR object IN
                SELECT e.evtname FROM pg_event_trigger e JOIN pg_proc p ON p.oid = e.evtfoid
                  JOIN pg_namespace n ON n.oid = p.pronamespace
                 WHERE e.evtname IN ('pgsidecar_wal_ddl_command_start', 'pgsidecar_wal_ddl_command_end',
                                     'pgsidecar_wal_sql_drop')
                   AND n.nspname = 'pgsidecar' AND p.proname IN ('wal_before', 'wal_ddl') ORDER BY e.evtname
            LOOP
                EXECUTE format('DROP EVENT TRIGGER %I', object.evtname);
                report := report || jsonb_build_object('outcome', 'removed', 'object',
                                                       'event trigger ' || object.evtname);
            END LOOP;
            -- What somebody has put in the place of ours does not bear our mark.
            FOR object IN
                SELECT p.pubname, coalesce(obj_description(p.oid, 'pg_publication'), '')
                                  = 'Made by pgsidecar migrate.' AS ours
                  FROM pg_publication p WHERE p.pubname = ANY (publications) ORDER BY p.pubname
            LOOP
                IF object.ours THEN
                    EXECUTE format('DROP PUBLICATION %I', object.pubname);
                END IF;
                report := report || jsonb_build_object('object', 'publication ' || object.pubname,
                    'outcome', CASE WHEN object.ours THEN 'removed' ELSE 'kept' END);
            END LOOP;
            FOR object IN
                SELECT p.proname, p.oid::regprocedure AS signature
                  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                 WHERE n.nspname = 'pgsidecar'
                   AND p.oid IN (to_regprocedure('pgsidecar.wal_ddl()'),
                                 to_regprocedure('pgsidecar.wal_before()'),
                                 to_regprocedure('pgsidecar.wal_repair()'),
                                 to_regprocedure('pgsidecar.wal_tables(text[], text)'),
                                 to_regprocedure('pgsidecar.wal_settings()'),
                                 to_regprocedure('pgsidecar.ddl_message(text, text)'),
                                 to_regprocedure('pgsidecar.watched_tables(text[])'))
                   AND NOT (notify_left AND p.proname IN ('ddl_message', 'watched_tables'))
                 ORDER BY p.proname
            LOOP
                EXECUTE format('DROP FUNCTION %s', object.signature);
                report := report || jsonb_build_object('outcome', 'removed', 'object',
                                                       'function pgsidecar.' || object.proname);
            END LOOP;
            IF made_schema AND NOT notify_left
               AND EXISTS (SELECT FROM pg_namespace WHERE nspname = 'pgsidecar') THEN
                BEGIN
                    DROP SCHEMA pgsidecar;
                    report := report || '{"outcome": "removed", "object": "schema pgsidecar"}'::jsonb;
                EXCEPTION WHEN dependent_objects_still_exist THEN
                    report := report || '{"outcome": "kept", "object": "schema pgsidecar"}'::jsonb;
                END;
            END IF;
            EXECUTE format('DELETE FROM %I.pgsidecar_migrations WHERE version = 4', target);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE EXCEPTION USING ERRCODE = '42501',
                MESSAGE = format('role "%s" needs to be a superuser, or the owner: %s in database "%s"',
                                 current_user, SQLERRM, current_database());
        END;
    END IF;
    PERFORM set_config('pgsidecar.report', report::text, false);
    PERFORM set_config('search_path', caller_path, true);
END
$migrate$;

-- kept: others have put something into it, or something else in its place.
SELECT outcome, object
  FROM pg_catalog.jsonb_to_recordset(pg_catalog.current_setting('pgsidecar.report')::pg_catalog.jsonb)
       AS report(outcome pg_catalog.text, object pg_catalog.text);
