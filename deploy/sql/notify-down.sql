-- Removes what notify-up.sql made, and nothing else: triggers, event triggers, functions, and the
-- schema pgsidecar if it was made there and is empty now. What wal-up.sql needs as well stays until
-- wal-down.sql. `pgsidecar migrate down` runs this text
-- before down.sql; by hand it is
--
--     psql -1 -v ON_ERROR_STOP=1 -d DATABASE -f notify-down.sql
--
-- A setting, given before it in the same session:
--     pgsidecar.schema    where up.sql made its tables; the default is the first of search_path
DO $migrate$
DECLARE
    caller_path  text := pg_catalog.current_setting('search_path');
    target       text := pg_catalog.current_schema();
    applied      boolean := false;
    made_schema  boolean := false;
    wal_applied  boolean := false;
    owner        oid;
    object       record;
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
            SELECT coalesce(bool_or(version = 3), false), coalesce(bool_or(version = 4), false),
                   coalesce(bool_or(version = 3 AND 'schema pgsidecar' = ANY (made)), false)
              FROM %I.pgsidecar_migrations$sql$, target) INTO applied, wal_applied, made_schema;
    END IF;
    IF applied THEN
        BEGIN
            -- Event triggers first: nobody need be told of what follows.
            FOR object IN
                SELECT e.evtname FROM pg_event_trigger e JOIN pg_proc p ON p.oid = e.evtfoid
                  JOIN pg_namespace n ON n.oid = p.pronamespace
                 WHERE e.evtname IN ('pgsidecar_ddl_command_end', 'pgsidecar_sql_drop')
                   AND n.nspname = 'pgsidecar' AND p.proname = 'notify_ddl' ORDER BY e.evtname
            LOOP
                EXECUTE format('DROP EVENT TRIGGER %I', object.evtname);
                report := report || jsonb_build_object('outcome', 'removed', 'object',
                                                       'event trigger ' || object.evtname);
            END LOOP;
            FOR object IN
                SELECT s.nspname, c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
                  JOIN pg_namespace s ON s.oid = c.relnamespace JOIN pg_proc p ON p.oid = t.tgfoid
                  JOIN pg_namespace n ON n.oid = p.pronamespace
                 WHERE t.tgname = 'pgsidecar_notify' AND n.nspname = 'pgsidecar'
                   AND p.proname = 'notify_write' ORDER BY c.oid
            LOOP
                EXECUTE format('DROP TRIGGER pgsidecar_notify ON %I.%I', object.nspname, object.relname);
                report := report || jsonb_build_object('outcome', 'removed', 'object',
                    format('trigger pgsidecar_notify on %I.%I', object.nspname, object.relname));
            END LOOP;
            FOR object IN
                SELECT p.proname, p.oid::regprocedure AS signature
                  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
                 WHERE n.nspname = 'pgsidecar'
                   AND p.oid IN (to_regprocedure('pgsidecar.notify_ddl()'),
                                 to_regprocedure('pgsidecar.notify_write()'),
                                 to_regprocedure('pgsidecar.ddl_message(text, text)'),
                                 to_regprocedure('pgsidecar.watched_tables(text[])'))
                   AND NOT (wal_applied AND p.proname IN ('ddl_message', 'watched_tables'))
                 ORDER BY p.proname
            LOOP
                EXECUTE format('DROP FUNCTION %s', object.signature);
                report := report || jsonb_build_object('outcome', 'removed', 'object',
                                                       'function pgsidecar.' || object.proname);
            END LOOP;
            IF made_schema AND NOT wal_applied
               AND EXISTS (SELECT FROM pg_namespace WHERE nspname = 'pgsidecar') THEN
                BEGIN
                    DROP SCHEMA pgsidecar;
                    report := report || '{"outcome": "removed", "object": "schema pgsidecar"}'::jsonb;
                EXCEPTION WHEN dependent_objects_still_exist THEN
                    report := report || '{"outcome": "kept", "object": "schema pgsidecar"}'::jsonb;
                END;
            END IF;
            EXECUTE format('DELETE FROM %I.pgsidecar_migrations WHERE version = 3', target);
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

-- kept: others have put something into it.
SELECT outcome, object
  FROM pg_catalog.jsonb_to_recordset(pg_catalog.current_setting('pgsidecar.report')::pg_catalog.jsonb)
       AS report(outcome pg_catalog.text, object pg_catalog.text);
