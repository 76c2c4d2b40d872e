-- Removes what up.sql made, and nothing else. `pgsidecar migrate down` runs this text; by hand it is
--
--     psql -1 -v ON_ERROR_STOP=1 -d DATABASE -f wal-down.sql -f notify-down.sql -f down.sql
--
-- (The others first, where wal-up.sql and notify-up.sql were run.) It is one statement: all of it happens or
-- nothing. What up.sql found there already stays. A table that was made and holds rows is an error
-- unless they may go.
--
-- Settings, given before it in the same session (psql -c "SET pgsidecar.drop_data = on" -f down.sql):
--     pgsidecar.schema       where up.sql made them; the default is the first schema of search_path
--     pgsidecar.drop_data    on: a table that holds rows is removed all the same
DO $migrate$
DECLARE
    caller_path  text := pg_catalog.current_setting('search_path');
    target       text := pg_catalog.current_schema();
    place        oid;
    drop_data    boolean;
    object       record;
    kind         text;
    relation     text;
    entry        record;
    rows_held    bigint;
    full_tables  text[] := '{}';
    left_over    bigint;
    report       jsonb := '[]';
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    IF current_setting('lock_timeout') = '0' THEN
        PERFORM set_config('lock_timeout', '30s', true);
    END IF;
    PERFORM pg_advisory_xact_lock(31638942778680675);
    -- Rows are counted as they are; where a policy would hide some, that is an error.
    PERFORM set_config('row_security', 'off', true);
    target := coalesce(nullif(current_setting('pgsidecar.schema', true), ''), target);
    drop_data := coalesce(nullif(current_setting('pgsidecar.drop_data', true), ''), 'off')::boolean;
    SELECT n.oid INTO place FROM pg_namespace n WHERE n.nspname = target;
    IF place IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '3F000',
            MESSAGE = format('schema "%s" does not exist in database "%s"', target, current_database());
    END IF;

    SELECT c.oid, c.relowner INTO entry FROM pg_class c
     WHERE c.relnamespace = place AND c.relname = 'pgsidecar_migrations' AND c.relkind IN ('r', 'p');
    IF FOUND THEN
        IF NOT pg_has_role(entry.relowner, 'USAGE') THEN
            RAISE EXCEPTION USING ERRCODE = '42501',
                MESSAGE = format('role "%s" needs to own table %I.pgsidecar_migrations of database "%s"',
                                 current_user, target, current_database());
        END IF;
        EXECUTE format('LOCK TABLE %I.pgsidecar_migrations IN ACCESS EXCLUSIVE MODE', target);
        -- Steps backwards, and the index of a found table after the table that may have been made.
        FOR object IN EXECUTE format($sql$
            SELECT m.version, o.name, o.name = ANY (m.made) AS made
              FROM %I.pgsidecar_migrations m, unnest(m.made || m.found) AS o(name)
             WHERE m.version IN (1, 2) ORDER BY m.version DESC, o.name DESC$sql$, target)
        LOOP
            kind := split_part(object.name, ' ', 1);
            relation := split_part(object.name, ' ', 2);
            SELECT c.oid, c.relowner, c.relkind, obj_description(c.oid, 'pg_class') AS mark INTO entry
              FROM pg_class c WHERE c.relnamespace = place AND c.relname = relation;
            CONTINUE WHEN NOT FOUND;  -- with its table, or by somebody before
            -- What somebody has put in the place of ours does not bear our mark.
            IF NOT object.made OR entry.relkind <> (CASE kind WHEN 'table' THEN 'r' ELSE 'i' END)
               OR entry.mark IS DISTINCT FROM 'Made by pgsidecar migrate.' THEN
                report := report || jsonb_build_object('outcome', 'kept', 'object', object.name);
                CONTINUE;
            END IF;
            IF NOT pg_has_role(entry.relowner, 'USAGE') THEN
                RAISE EXCEPTION USING ERRCODE = '42501',
                    MESSAGE = format('role "%s" needs to own %s %I.%I of database "%s"', current_user, kind,
                                     target, relation, current_database());
            END IF;
            IF kind = 'table' THEN
                EXECUTE format('LOCK TABLE %I.%I IN ACCESS EXCLUSIVE MODE', target, relation);
                EXECUTE format('SELECT count(*) FROM %I.%I', target, relation) INTO rows_held;
                IF rows_held > 0 AND NOT drop_data THEN
                    full_tables := full_tables || format('table %I.%I holds %s row%s', target, relation,
                        rows_held, CASE WHEN rows_held > 1 THEN 's' ELSE '' END);
                    CONTINUE;
                END IF;
                EXECUTE format('DROP TABLE %I.%I', target, relation);
            ELSE
                EXECUTE format('DROP INDEX %I.%I', target, relation);
            END IF;
            report := report || jsonb_build_object('outcome', 'removed', 'object', object.name);
        END LOOP;
        IF cardinality(full_tables) > 0 THEN
            RAISE EXCEPTION USING ERRCODE = '55000',
                MESSAGE = array_to_string(full_tables, ', '),
                HINT = 'Save them if they matter. To remove them too: --drop-data, or by hand '
                       'SET pgsidecar.drop_data = on.';
        END IF;
        EXECUTE format('DELETE FROM %I.pgsidecar_migrations WHERE version IN (1, 2)', target);
        EXECUTE format('SELECT count(*) FROM %I.pgsidecar_migrations', target) INTO left_over;
        IF left_over = 0 THEN
            EXECUTE format('DROP TABLE %I.pgsidecar_migrations', target);
        END IF;
    END IF;
    PERFORM set_config('pgsidecar.report', report::text, false);
    PERFORM set_config('search_path', caller_path, true);
END
$migrate$;

-- kept: not made by pgsidecar.
SELECT outcome, object
  FROM pg_catalog.jsonb_to_recordset(pg_catalog.current_setting('pgsidecar.report')::pg_catalog.jsonb)
       AS report(outcome pg_catalog.text, object pg_catalog.text);
