-- Has the server tell of writes that do not pass through pgsidecar: statement triggers and two event
-- triggers that send NOTIFY pgsidecar_invalidation, which the server delivers at commit.
-- `pgsidecar migrate up --notify` runs this text after up.sql; by hand it is
--
--     psql -1 -v ON_ERROR_STOP=1 -d DATABASE -c "SET pgsidecar.tables = '{public.prescription*}'" \
--          -f up.sql -f notify-up.sql
--
-- It only adds and is one statement: all of it happens or nothing. Run it again after new tables or
-- partitions were made. Event triggers need a superuser. A transaction that writes to these tables
-- cannot be prepared (PREPARE TRANSACTION): the server does not allow that together with NOTIFY.
--
-- Settings, given before it in the same session:
--     pgsidecar.tables    an array of patterns schema.table with * and ?, as the rules of the
--                         configuration have them; without a dot in schema public; * is every table
--     pgsidecar.schema    where up.sql made its tables; the default is the first of search_path
--
-- What is sent is JSON, names only, at most 7999 bytes:
--     {"kind" : "insert", "schema" : "public", "table" : "t"}       also update, delete, truncate
--     {"kind" : "ddl", "command" : "ALTER TABLE", "tables" : ["public.t"]}
--     {"kind" : "ddl", "command" : "DROP SCHEMA", "tables" : null}  others as well, or too many
-- A definition may concern more than it names (views, a table's former name): who keeps answers
-- forgets all of this database at "ddl".
DO $migrate$
DECLARE
    caller_path   text := pg_catalog.current_setting('search_path');
    target        text := pg_catalog.current_schema();
    patterns      text[];
    made          text[] := '{}';
    found_there   text[] := '{}';
    made_before   text[];
    wrong         record;
    relation      record;
    event         text;
    schema_there  boolean;
    report        jsonb := '[]';
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    IF current_setting('lock_timeout') = '0' THEN
        PERFORM set_config('lock_timeout', '30s', true);
    END IF;
    PERFORM pg_advisory_xact_lock(31638942778680675);
    target := coalesce(nullif(current_setting('pgsidecar.schema', true), ''), target);
    patterns := coalesce(nullif(current_setting('pgsidecar.tables', true), ''), '{}')::text[];
    PERFORM FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = target AND c.relname = 'pgsidecar_migrations' AND c.relkind IN ('r', 'p');
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '55000',
            MESSAGE = format('there is no table pgsidecar_migrations in schema "%s"', target),
            HINT = 'Run up.sql first.';
    END IF;
    EXECUTE format($sql$
        SELECT coalesce(array_agg(o), '{}') FROM %I.pgsidecar_migrations m, unnest(m.made) AS o
         WHERE m.version IN (3, 4)$sql$, target) INTO made_before;
    IF cardinality(patterns) = 0 THEN
        RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'no rule names a table to watch',
            HINT = 'Set cache.rules, or by hand pgsidecar.tables.';
    END IF;

    -- The schema, and functions that nobody else may have had a hand in: they run for everybody.
    schema_there := EXISTS (SELECT FROM pg_namespace WHERE nspname = 'pgsidecar');
    IF NOT schema_there AND NOT has_database_privilege(current_database(), 'CREATE') THEN
        RAISE EXCEPTION USING ERRCODE = '42501',
            MESSAGE = format('role "%s" needs CREATE on database "%s", for schema pgsidecar', current_user,
                             current_database());
    END IF;
    SELECT p.oid::regprocedure AS signature INTO wrong
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles r ON r.oid = p.proowner
     WHERE n.nspname = 'pgsidecar'
       AND p.proname IN ('watched_tables', 'ddl_message', 'notify_write', 'notify_ddl')
       AND NOT (r.rolsuper OR r.rolname = current_user);
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '55000',
            MESSAGE = format('function %s is there and belongs neither to a superuser nor to role "%s"',
                             wrong.signature, current_user);
    END IF;
    -- What wal-up.sql has made is recorded as made here, too: the last of the two takes it away.
    IF schema_there AND NOT 'schema pgsidecar' = ANY (made_before) THEN
        found_there := found_there || 'schema pgsidecar'::text;
    ELSE
        IF NOT schema_there THEN
            CREATE SCHEMA pgsidecar;
            GRANT USAGE ON SCHEMA pgsidecar TO PUBLIC;
            COMMENT ON SCHEMA pgsidecar IS 'Made by pgsidecar migrate.';
        END IF;
        made := made || 'schema pgsidecar'::text;
    END IF;

    -- Word for word the same in notify-up.sql and in wal-up.sql: from here ...

    -- A write of a partition's parent reaches the partition, and the other way round; so with
    -- inheritance. Each tells of itself only, so all of them are watched. Names are compared byte by
    -- byte, as pgsidecar does.
    CREATE OR REPLACE FUNCTION pgsidecar.watched_tables(patterns text[])
        RETURNS TABLE (relation oid, schema_name text, table_name text)
        LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $body$
        WITH RECURSIVE wanted AS (
            SELECT CASE WHEN pattern = '*' THEN '*' WHEN strpos(pattern, '.') = 0 THEN 'public'
                        ELSE split_part(pattern, '.', 1) END AS in_schema,
                   CASE WHEN strpos(pattern, '.') = 0 THEN pattern
                        ELSE substr(pattern, strpos(pattern, '.') + 1) END AS of_name
              FROM unnest(patterns) AS pattern
        ), glob AS (
            SELECT convert_to(translate(replace(replace(replace(in_schema, E'\\', E'\\\\'), '%', E'\\%'),
                                                '_', E'\\_'), '*?', '%_'), 'UTF8') AS in_schema,
                   convert_to(translate(replace(replace(replace(of_name, E'\\', E'\\\\'), '%', E'\\%'),
                                                '_', E'\\_'), '*?', '%_'), 'UTF8') AS of_name
              FROM wanted
        ), named AS (
            SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
               AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
               AND EXISTS (SELECT FROM glob WHERE convert_to(n.nspname, 'UTF8') LIKE glob.in_schema
                                              AND convert_to(c.relname, 'UTF8') LIKE glob.of_name)
        ), below AS (
            SELECT oid FROM named
            UNION SELECT i.inhrelid FROM pg_inherits i JOIN below ON below.oid = i.inhparent
        ), around AS (
            SELECT oid FROM below
            UNION SELECT i.inhparent FROM pg_inherits i JOIN around ON around.oid = i.inhrelid
        )
        SELECT c.oid, n.nspname::text, c.relname::text
          FROM around JOIN pg_class c ON c.oid = around.oid JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
         ORDER BY c.oid
        $body$;
    -- What is to be told of a definition; NULL: nothing. To be called by an event trigger. Temporary
    -- objects concern nobody but their own session.
    CREATE OR REPLACE FUNCTION pgsidecar.ddl_message(event text, tag text) RETURNS text
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
    DECLARE
        objects    bigint;
        lasting    bigint;
        all_named  boolean;
        tables     json;
        message    text;
    BEGIN
        IF event = 'sql_drop' THEN
            SELECT count(*), count(*) FILTER (WHERE NOT is_temporary),
                   bool_and(object_type = 'table' OR NOT original) FILTER (WHERE NOT is_temporary),
                   json_agg(DISTINCT object_identity) FILTER (WHERE NOT is_temporary
                                                                    AND object_type = 'table')
              INTO objects, lasting, all_named, tables FROM pg_event_trigger_dropped_objects();
        ELSE
            SELECT count(*), count(*) FILTER (WHERE schema_name IS DISTINCT FROM 'pg_temp'),
                   bool_and(object_type = 'table' AND object_identity IS NOT NULL)
                       FILTER (WHERE schema_name IS DISTINCT FROM 'pg_temp'),
                   json_agg(DISTINCT object_identity) FILTER (WHERE schema_name <> 'pg_temp')
              INTO objects, lasting, all_named, tables FROM pg_event_trigger_ddl_commands();
            -- A command that names nothing may have changed anything; of a DROP sql_drop tells.
            IF objects = 0 AND (tag NOT LIKE 'DROP %' OR tag = 'DROP OWNED') THEN
                lasting := 1;
            END IF;
        END IF;
        IF lasting = 0 THEN
            RETURN NULL;
        END IF;
        message := json_build_object('kind', 'ddl', 'command', tag,
                                     'tables', CASE WHEN all_named THEN tables END)::text;
        IF octet_length(message) > 7999 THEN
            message := json_build_object('kind', 'ddl', 'command', tag, 'tables', NULL)::text;
        END IF;
        RETURN message;
    END
    $body$;
    -- ... to here.

    CREATE OR REPLACE FUNCTION pgsidecar.notify_write() RETURNS trigger
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
    BEGIN
        PERFORM pg_notify('pgsidecar_invalidation', json_build_object(
            'kind', lower(TG_OP), 'schema', TG_TABLE_SCHEMA, 'table', TG_TABLE_NAME)::text);
        RETURN NULL;
    END
    $body$;
    -- With the rights of its owner: who defines something may be without USAGE on this schema.
    CREATE OR REPLACE FUNCTION pgsidecar.notify_ddl() RETURNS event_trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    DECLARE
        message  text := pgsidecar.ddl_message(TG_EVENT, TG_TAG);
    BEGIN
        IF message IS NOT NULL THEN
            PERFORM pg_notify('pgsidecar_invalidation', message);
        END IF;
    END
    $body$;
    made := made || ARRAY['function pgsidecar.watched_tables', 'function pgsidecar.ddl_message',
                          'function pgsidecar.notify_write', 'function pgsidecar.notify_ddl'];

    -- The triggers of tables, oldest table first, so that two who do this wait in the same order.
    -- ALWAYS: also where a bulk load says session_replication_role = replica.
    FOR relation IN
        SELECT w.schema_name, w.table_name, c.relowner, t.tgenabled, p.oid AS calls
          FROM pgsidecar.watched_tables(patterns) w JOIN pg_class c ON c.oid = w.relation
          LEFT JOIN pg_trigger t ON t.tgrelid = w.relation AND t.tgname = 'pgsidecar_notify'
          LEFT JOIN pg_proc p ON p.oid = t.tgfoid AND p.oid = 'pgsidecar.notify_write'::regproc
         ORDER BY w.relation
    LOOP
        CONTINUE WHEN relation.calls IS NOT NULL AND relation.tgenabled = 'A';
        IF relation.tgenabled IS NOT NULL AND relation.calls IS NULL THEN
            RAISE EXCEPTION USING ERRCODE = '55000',
                MESSAGE = format('table %I.%I has a trigger pgsidecar_notify that is not pgsidecar''s',
                                 relation.schema_name, relation.table_name);
        END IF;
        IF NOT pg_has_role(relation.relowner, 'USAGE') THEN
            RAISE EXCEPTION USING ERRCODE = '42501',
                MESSAGE = format('role "%s" needs to own table %I.%I of database "%s", to make its trigger',
                                 current_user, relation.schema_name, relation.table_name,
                                 current_database());
        END IF;
        IF relation.tgenabled IS NULL THEN
            EXECUTE format('CREATE TRIGGER pgsidecar_notify AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE '
                           'ON %I.%I FOR EACH STATEMENT EXECUTE FUNCTION pgsidecar.notify_write()',
                           relation.schema_name, relation.table_name);
            report := report || jsonb_build_object('outcome', 'made', 'object',
                format('trigger pgsidecar_notify on %I.%I', relation.schema_name, relation.table_name));
        END IF;
        EXECUTE format('ALTER TABLE ONLY %I.%I ENABLE ALWAYS TRIGGER pgsidecar_notify',
                       relation.schema_name, relation.table_name);
    END LOOP;

    FOREACH event IN ARRAY ARRAY['ddl_command_end', 'sql_drop'] LOOP
        SELECT e.evtfoid = 'pgsidecar.notify_ddl'::regproc AND e.evtevent = event AS ours, e.evtenabled
          INTO wrong FROM pg_event_trigger e WHERE e.evtname = 'pgsidecar_' || event;
        IF NOT wrong.ours THEN
            RAISE EXCEPTION USING ERRCODE = '55000',
                MESSAGE = format('event trigger pgsidecar_%s is there and is not pgsidecar''s', event);
        END IF;
        BEGIN
            IF wrong.ours IS NULL THEN
                EXECUTE format('CREATE EVENT TRIGGER pgsidecar_%s ON %s '
                               'EXECUTE FUNCTION pgsidecar.notify_ddl()', event, event);
            END IF;
            IF wrong.evtenabled IS DISTINCT FROM 'A' THEN
                EXECUTE format('ALTER EVENT TRIGGER pgsidecar_%s ENABLE ALWAYS', event);
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE EXCEPTION USING ERRCODE = '42501',
                MESSAGE = format('role "%s" needs to be a superuser, for event trigger pgsidecar_%s of '
                                 'database "%s"', current_user, event, current_database());
        END;
        made := made || format('event trigger pgsidecar_%s', event);
    END LOOP;

    SELECT coalesce(jsonb_agg(jsonb_build_object('object', o, 'outcome',
               CASE WHEN o = ANY (made_before) THEN 'there' WHEN o = ANY (made) THEN 'made'
                    ELSE 'found' END)), '[]') || report
      INTO report FROM unnest(made || found_there) AS o;
    EXECUTE format($sql$
        INSERT INTO %I.pgsidecar_migrations AS m (version, name, applied_at, applied_by, made, found)
        VALUES (3, 'notify', now(), current_user, $1, $2)
        ON CONFLICT (version) DO UPDATE
           SET applied_at = excluded.applied_at, applied_by = excluded.applied_by,
               made = ARRAY(SELECT DISTINCT unnest(m.made || excluded.made))$sql$, target)
        USING made, found_there;
    PERFORM set_config('pgsidecar.report', report::text, false);
    PERFORM set_config('search_path', caller_path, true);
END
$migrate$;

-- made: by this run; there: by an earlier one; found: not by pgsidecar.
SELECT outcome, object
  FROM pg_catalog.jsonb_to_recordset(pg_catalog.current_setting('pgsidecar.report')::pg_catalog.jsonb)
       AS report(outcome pg_catalog.text, object pg_catalog.text);
