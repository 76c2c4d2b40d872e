-- Has the server tell of writes that do not pass through pgsidecar by its write-ahead log: a
-- publication of the watched tables, and event triggers that put a logical message for each
-- definition into the log. `pgsidecar migrate up --wal` runs this text after up.sql; by hand it is
--
--     psql -1 -v ON_ERROR_STOP=1 -d DATABASE -c "SET pgsidecar.tables = '{public.prescription*}'" \
--          -f up.sql -f wal-up.sql
--
-- It is one statement: all of it happens or nothing. Run it again after rules have changed: it brings
-- the publication in step. The event triggers do so, too, within the transaction of the definition
-- that makes it necessary. They need a superuser, and the server needs wal_level = logical.
--
-- Settings, given before it in the same session:
--     pgsidecar.tables       an array of patterns schema.table with * and ?, as the rules of the
--                            configuration have them; without a dot in schema public; * is every table
--     pgsidecar.publication  the name of the publication; the default is pgsidecar
--     pgsidecar.schema       where up.sql made its tables; the default is the first of search_path
--
-- Published are insert, update, delete and truncate of these tables, of the rows no more than the
-- columns of the replica identity where the server is able to (from PostgreSQL 15 on; not for
-- partitions, REPLICA IDENTITY FULL, nor before PostgreSQL 18 a generated column in the key).
-- A table without replica identity is left out, for with it the server would refuse everybody's UPDATE
-- and DELETE; so are unlogged tables, whose writes are not in the log. The logical message has the
-- prefix pgsidecar, is sent with its transaction, and is the JSON that notify-up.sql tells of.
DO $migrate$
DECLARE
    caller_path   text := pg_catalog.current_setting('search_path');
    target        text := pg_catalog.current_schema();
    patterns      text[];
    pub_name      text;
    options       text;
    made          text[] := '{}';
    found_there   text[] := '{}';
    made_before   text[];
    wrong         record;
    entry         record;
    event         text;
    calls         text;
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
    pub_name := coalesce(nullif(current_setting('pgsidecar.publication', true), ''), 'pgsidecar')::name::text;
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

    -- The schema, the publication, and functions that nobody else may have had a hand in: they run
    -- for everybody.
    schema_there := EXISTS (SELECT FROM pg_namespace WHERE nspname = 'pgsidecar');
    SELECT p.oid, obj_description(p.oid, 'pg_publication') AS mark, pg_has_role(p.pubowner, 'USAGE') AS owned
      INTO entry FROM pg_publication p WHERE p.pubname = pub_name;
    IF entry.oid IS NOT NULL AND entry.mark IS DISTINCT FROM 'Made by pgsidecar migrate.' THEN
        RAISE EXCEPTION USING ERRCODE = '55000',
            MESSAGE = format('publication "%s" of database "%s" is there and is not pgsidecar''s', pub_name,
                             current_database()),
            HINT = 'Rename it, or by hand SET pgsidecar.publication.';
    END IF;
    IF NOT (schema_there AND entry.oid IS NOT NULL)
       AND NOT has_database_privilege(current_database(), 'CREATE') THEN
        RAISE EXCEPTION USING ERRCODE = '42501',
            MESSAGE = format('role "%s" needs CREATE on database "%s", for schema pgsidecar and the '
                             'publication', current_user, current_database());
    END IF;
    IF NOT entry.owned THEN
        RAISE EXCEPTION USING ERRCODE = '42501',
            MESSAGE = format('role "%s" needs to own publication "%s" of database "%s"', current_user,
                             pub_name, current_database());
    END IF;
    SELECT p.oid::regprocedure AS signature INTO wrong
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace JOIN pg_roles r ON r.oid = p.proowner
     WHERE n.nspname = 'pgsidecar'
       AND p.proname IN ('watched_tables', 'ddl_message', 'wal_settings', 'wal_tables', 'wal_repair',
                         'wal_before', 'wal_ddl')
       AND NOT (r.rolsuper OR r.rolname = current_user);
    IF FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '55000',
            MESSAGE = format('function %s is there and belongs neither to a superuser nor to role "%s"',
                             wrong.signature, current_user);
    END IF;
    -- What notify-up.sql has made is recorded as made here, too: the last of the two takes it away.
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
    IF to_regprocedure('pgsidecar.wal_settings()') IS NOT NULL THEN
        PERFORM FROM pgsidecar.wal_settings() s JOIN pg_publication p ON p.pubname = s.publication
          WHERE s.publication <> pub_name
            AND obj_description(p.oid, 'pg_publication') = 'Made by pgsidecar migrate.';
        IF FOUND THEN
            RAISE EXCEPTION USING ERRCODE = '55000',
                MESSAGE = format('database "%s" has pgsidecar''s publication by another name already',
                                 current_database()),
                HINT = 'Run wal-down.sql first.';
        END IF;
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

    EXECUTE format('CREATE OR REPLACE FUNCTION pgsidecar.wal_settings('
                   'OUT publication text, OUT patterns text[]) LANGUAGE sql IMMUTABLE '
                   'SET search_path = pg_catalog, pg_temp AS %L',
                   format('SELECT %L::text, %L::text[]', pub_name, patterns));

    -- What the publication must name and what it does name: a row for each table, with the columns to
    -- publish (NULL: all of them). A partitioned table stands for all its partitions, also those to
    -- come; one that cannot be published is enough to leave it out. No lock is taken, for somebody may
    -- be changing these tables.
    CREATE OR REPLACE FUNCTION pgsidecar.wal_tables(patterns text[], publication text)
        RETURNS TABLE (relation oid, columns text, state text, reason text)
        LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $body$
        WITH RECURSIVE server AS (
            SELECT current_setting('server_version_num')::integer AS version
        ), unit AS (
            SELECT c.oid FROM server, pgsidecar.watched_tables(patterns) w
              JOIN pg_class c ON c.oid = w.relation
             WHERE CASE WHEN version < 130000 THEN c.relkind = 'r' ELSE NOT c.relispartition END
        ), tree AS (
            SELECT oid AS unit, oid AS member FROM unit
            UNION SELECT t.unit, i.inhrelid FROM tree t JOIN pg_class p ON p.oid = t.member
              JOIN pg_inherits i ON i.inhparent = t.member WHERE p.relkind = 'p'
        ), judged AS (
            SELECT t.unit, t.member, key.indexrelid,
                   CASE WHEN c.relkind <> 'r' THEN 'is a foreign table'
                        WHEN c.relpersistence <> 'p' THEN 'is unlogged'
                        WHEN c.relreplident = 'n' THEN 'has REPLICA IDENTITY NOTHING'
                        WHEN c.relreplident = 'f' OR key.indexrelid IS NOT NULL THEN NULL
                        WHEN c.relreplident = 'i' THEN 'has lost the index of its REPLICA IDENTITY'
                        WHEN EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
                        THEN 'has a primary key that is deferrable' ELSE 'has no primary key' END AS reason
              FROM tree t JOIN pg_class c ON c.oid = t.member
              LEFT JOIN pg_index key ON key.indrelid = c.oid AND key.indisvalid AND key.indisunique
                                    AND key.indimmediate AND key.indpred IS NULL
                                    AND (c.relreplident = 'd' AND key.indisprimary
                                         OR c.relreplident = 'i' AND key.indisreplident)
             WHERE c.relkind <> 'p'
        ), refused AS (
            SELECT DISTINCT ON (unit) unit, CASE WHEN member = unit THEN reason
                   ELSE format('has partition %s that %s', member::regclass, reason) END AS reason
              FROM judged WHERE judged.reason IS NOT NULL ORDER BY unit, member
        ), listed AS (  -- a list may name generated columns from PostgreSQL 18 on
            SELECT j.unit, array_agg(a.attnum ORDER BY a.attnum) AS numbers,
                   string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS names
              FROM server, judged j JOIN pg_index i ON i.indexrelid = j.indexrelid
              JOIN pg_attribute a ON a.attrelid = j.member
                                 AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
             WHERE j.member = j.unit AND version >= 150000
             GROUP BY j.unit, version HAVING version >= 180000 OR bool_and(a.attgenerated = '')
        ), named AS (
            SELECT r.prrelid, to_jsonb(r) AS entry
              FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid
             WHERE p.pubname = wal_tables.publication
        )
        SELECT coalesce(u.oid, n.prrelid), l.names,
               CASE WHEN n.prrelid IS NULL AND r.unit IS NOT NULL THEN 'left out'
                    WHEN n.prrelid IS NULL THEN 'missing'
                    WHEN u.oid IS NULL OR r.unit IS NOT NULL THEN 'not wanted'
                    WHEN coalesce(n.entry -> 'prattrs', 'null') <> coalesce(to_jsonb(l.numbers), 'null')
                         OR n.entry ->> 'prqual' IS NOT NULL THEN 'other columns'
                    ELSE 'in step' END,
               CASE WHEN u.oid IS NULL THEN 'is not watched' ELSE r.reason END
          FROM unit u LEFT JOIN refused r ON r.unit = u.oid LEFT JOIN listed l ON l.unit = u.oid
          FULL JOIN named n ON n.prrelid = u.oid
         ORDER BY 1
        $body$;

    -- Brings the publication in step and tells what it changed. Only what differs is touched, so that
    -- nobody waits for tables that are none of his business.
    CREATE OR REPLACE FUNCTION pgsidecar.wal_repair() RETURNS TABLE (outcome text, object text)
        LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $body$
    DECLARE
        given  record;
        entry  record;
        drops  text[] := '{}';
        adds   text[] := '{}';
    BEGIN
        SELECT s.publication, s.patterns INTO given
          FROM pgsidecar.wal_settings() s JOIN pg_publication p ON p.pubname = s.publication
         WHERE obj_description(p.oid, 'pg_publication') = 'Made by pgsidecar migrate.';
        IF NOT FOUND THEN
            RETURN;
        END IF;
        FOR entry IN
            SELECT t.relation::regclass::text AS name, coalesce(' (' || t.columns || ')', '') AS columns,
                   t.state
              FROM pgsidecar.wal_tables(given.patterns, given.publication) t
             WHERE t.state NOT IN ('in step', 'left out') ORDER BY t.relation
        LOOP
            IF entry.state <> 'missing' THEN
                drops := drops || ('ONLY ' || entry.name);
            END IF;
            IF entry.state <> 'not wanted' THEN
                adds := adds || ('ONLY ' || entry.name || entry.columns);
            END IF;
            outcome := CASE entry.state WHEN 'missing' THEN 'made' WHEN 'not wanted' THEN 'removed'
                                        ELSE 'changed' END;
            object := format('table %s%s of publication %s', entry.name,
                             CASE WHEN entry.state <> 'not wanted' THEN entry.columns END, given.publication);
            RETURN NEXT;
        END LOOP;
        IF cardinality(drops) > 0 THEN
            EXECUTE format('ALTER PUBLICATION %I DROP TABLE %s', given.publication,
                           array_to_string(drops, ', '));
        END IF;
        IF cardinality(adds) > 0 THEN
            EXECUTE format('ALTER PUBLICATION %I ADD TABLE %s', given.publication,
                           array_to_string(adds, ', '));
        END IF;
    END
    $body$;
    REVOKE ALL ON FUNCTION pgsidecar.wal_repair() FROM PUBLIC;

    -- The server refuses to drop a column that a publication lists, to change its type, and to make a
    -- published table unlogged. Such a table leaves the publication before, and pgsidecar.wal_ddl
    -- takes it back: the log shows neither, for this is one transaction. Which table it is, the text
    -- alone tells, and only roughly; one too many does no harm.
    CREATE OR REPLACE FUNCTION pgsidecar.wal_before() RETURNS event_trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    DECLARE
        context  text;
        source   text;
        unsure   boolean;
        tables   text;
        given    text;
    BEGIN
        -- The statement itself if a function or a DO block executes it, else what the client has sent.
        GET DIAGNOSTICS context = PG_CONTEXT;
        source := lower(CASE WHEN strpos(context, E'\nSQL statement "') > 0 THEN context
                             ELSE current_query() END);
        unsure := context LIKE '%SQL function "%' OR source LIKE '%u&"%'
                  OR source !~ 'alter\s+(foreign\s+)?table\M';
        IF NOT unsure AND source !~ 'drop|type|unlogged' THEN
            RETURN;
        END IF;
        WITH RECURSIVE part AS (
            SELECT ' ' || piece || ' ' AS piece
              FROM regexp_split_to_table(source, 'alter\s+(foreign\s+)?table\M')
                   WITH ORDINALITY AS p(piece, nr)
             WHERE (nr > 1 OR piece ~ '\malter\M')  -- what a comment parts from its TABLE
               AND piece ~ 'drop|type|unlogged'
        ), named AS (
            SELECT r.prrelid, p.pubname, to_jsonb(r) ->> 'prattrs' IS NOT NULL AS has_list
              FROM pgsidecar.wal_settings() s JOIN pg_publication p ON p.pubname = s.publication
              JOIN pg_publication_rel r ON r.prpubid = p.oid
             WHERE obj_description(p.oid, 'pg_publication') = 'Made by pgsidecar migrate.'
        ), family AS (  -- what is done to a parent is done to its heirs
            SELECT prrelid AS heir, prrelid AS relation FROM named
            UNION SELECT f.heir, i.inhparent FROM family f JOIN pg_inherits i ON i.inhrelid = f.relation
        ), meant AS (
            SELECT DISTINCT f.heir FROM family f JOIN pg_class c ON c.oid = f.relation,
                   lower(replace(c.relname, '"', '""')) AS t(name)
             WHERE CASE WHEN TG_TAG = 'ALTER TYPE' THEN c.reloftype <> 0 ELSE unsure OR EXISTS (
                       SELECT FROM part WHERE CASE WHEN t.name ~ '^[a-z0-9_]+$'
                           THEN piece ~ ('[^a-z0-9_$]' || t.name || '[^a-z0-9_$]')
                           ELSE strpos(piece, t.name) > 0 END) END
        )
        SELECT string_agg('ONLY ' || n.prrelid::regclass, ', ' ORDER BY n.prrelid), min(n.pubname::text)
          INTO tables, given FROM meant JOIN named n ON n.prrelid = meant.heir
         WHERE n.has_list OR unsure OR source LIKE '%unlogged%';
        IF tables IS NOT NULL THEN
            EXECUTE format('ALTER PUBLICATION %I DROP TABLE %s', given, tables);
        END IF;
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE WARNING 'pgsidecar: %', SQLERRM;
    END
    $body$;

    -- Tells of the definition, and brings the publication in step with it. With the rights of its
    -- owner: a table's owner may define what he likes, and need not own the publication.
    CREATE OR REPLACE FUNCTION pgsidecar.wal_ddl() RETURNS event_trigger
        LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $body$
    DECLARE
        message  text := pgsidecar.ddl_message(TG_EVENT, TG_TAG);
    BEGIN
        IF message IS NOT NULL THEN
            PERFORM pg_logical_emit_message(true, 'pgsidecar', message);
        END IF;
        -- What pgsidecar.wal_before took out comes back in any case. Otherwise nothing is to be done
        -- for what changes no table, and for ALTER PUBLICATION, which is what a repair itself does.
        IF message IS NULL AND TG_TAG NOT IN ('ALTER TABLE', 'ALTER TYPE', 'ALTER FOREIGN TABLE')
           OR TG_TAG ~ '^(GRANT|REVOKE|COMMENT|SECURITY LABEL|REFRESH MATERIALIZED VIEW)$'
           OR TG_TAG ~ ('^(CREATE|ALTER) (FUNCTION|PROCEDURE|ROUTINE|AGGREGATE|VIEW|MATERIALIZED VIEW|POLICY'
                        '|TRIGGER|SEQUENCE|DEFAULT PRIVILEGES)$')
           OR TG_TAG ~ ' PUBLICATION$' THEN
            RETURN;
        END IF;
        BEGIN
            PERFORM pgsidecar.wal_repair();
        EXCEPTION WHEN insufficient_privilege THEN  -- this function's owner is no superuser any more
            RAISE WARNING 'pgsidecar: %', SQLERRM;
        END;
    END
    $body$;
    made := made || ARRAY['function pgsidecar.watched_tables', 'function pgsidecar.ddl_message',
                          'function pgsidecar.wal_settings', 'function pgsidecar.wal_tables',
                          'function pgsidecar.wal_repair', 'function pgsidecar.wal_before',
                          'function pgsidecar.wal_ddl'];

    FOR entry IN
        SELECT w.schema_name, w.table_name FROM pgsidecar.watched_tables(patterns) w
          JOIN pg_class c ON c.oid = w.relation WHERE NOT pg_has_role(c.relowner, 'USAGE') LIMIT 1
    LOOP
        RAISE EXCEPTION USING ERRCODE = '42501',
            MESSAGE = format('role "%s" needs to own table %I.%I of database "%s", to publish it',
                             current_user, entry.schema_name, entry.table_name, current_database());
    END LOOP;
    -- By way of the root, a TRUNCATE of a partition would not be published at all.
    options := 'publish = ''insert, update, delete, truncate'''
               || CASE WHEN current_setting('server_version_num')::integer >= 130000
                       THEN ', publish_via_partition_root = false' ELSE '' END;
    SELECT p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate
           AND NOT coalesce((to_jsonb(p) ->> 'pubviaroot')::boolean, false) AS whole
      INTO entry FROM pg_publication p WHERE p.pubname = pub_name;
    IF NOT FOUND THEN
        EXECUTE format('CREATE PUBLICATION %I WITH (%s)', pub_name, options);
        EXECUTE format('COMMENT ON PUBLICATION %I IS %L', pub_name, 'Made by pgsidecar migrate.');
    ELSIF NOT entry.whole THEN
        EXECUTE format('ALTER PUBLICATION %I SET (%s)', pub_name, options);
        report := report || jsonb_build_object('outcome', 'changed', 'object', 'publication ' || pub_name);
    END IF;
    made := made || ('publication ' || pub_name);
    SELECT report || coalesce(jsonb_agg(to_jsonb(r)), '[]') INTO report FROM pgsidecar.wal_repair() r;
    SELECT report || coalesce(jsonb_agg(jsonb_build_object('outcome', 'left out', 'object',
               format('table %s: it %s', t.relation::regclass, t.reason)) ORDER BY t.relation), '[]')
      INTO report FROM pgsidecar.wal_tables(patterns, pub_name) t WHERE t.state = 'left out';

    FOREACH event IN ARRAY ARRAY['ddl_command_start', 'ddl_command_end', 'sql_drop'] LOOP
        calls := CASE event WHEN 'ddl_command_start' THEN 'wal_before' ELSE 'wal_ddl' END;
        SELECT e.evtfoid = to_regprocedure('pgsidecar.' || calls || '()') AND e.evtevent = event AS ours,
               e.evtenabled
          INTO wrong FROM pg_event_trigger e WHERE e.evtname = 'pgsidecar_wal_' || event;
        IF NOT wrong.ours THEN
            RAISE EXCEPTION USING ERRCODE = '55000',
                MESSAGE = format('event trigger pgsidecar_wal_%s is there and is not pgsidecar''s', event);
        END IF;
        BEGIN
            IF wrong.ours IS NULL THEN
                EXECUTE format('CREATE EVENT TRIGGER pgsidecar_wal_%s ON %s %s '
                               'EXECUTE FUNCTION pgsidecar.%s()', event, event,
                               CASE event WHEN 'ddl_command_start' THEN 'WHEN TAG IN '
                               '(''ALTER TABLE'', ''ALTER TYPE'', ''ALTER FOREIGN TABLE'')' END, calls);
            END IF;
            IF wrong.evtenabled IS DISTINCT FROM 'A' THEN
                EXECUTE format('ALTER EVENT TRIGGER pgsidecar_wal_%s ENABLE ALWAYS', event);
            END IF;
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE EXCEPTION USING ERRCODE = '42501',
                MESSAGE = format('role "%s" needs to be a superuser, for event trigger pgsidecar_wal_%s of '
                                 'database "%s"', current_user, event, current_database());
        END;
        made := made || format('event trigger pgsidecar_wal_%s', event);
    END LOOP;

    SELECT coalesce(jsonb_agg(jsonb_build_object('object', o, 'outcome',
               CASE WHEN o = ANY (made_before) THEN 'there' WHEN o = ANY (made) THEN 'made'
                    ELSE 'found' END)), '[]') || report
      INTO report FROM unnest(made || found_there) AS o;
    SELECT report || coalesce(jsonb_agg(jsonb_build_object('outcome', 'note', 'object',
               format('%s is %s: it needs %s, and a restart of the server', s.name, s.setting, n.needed))
               ORDER BY s.name DESC), '[]') INTO report
      FROM (VALUES ('wal_level', 'logical'), ('max_replication_slots', 'at least 1'),
                   ('max_wal_senders', 'at least 1')) AS n(name, needed) JOIN pg_settings s USING (name)
     WHERE CASE n.needed WHEN 'logical' THEN s.setting <> 'logical' ELSE s.setting = '0' END;
    EXECUTE format($sql$
        INSERT INTO %I.pgsidecar_migrations AS m (version, name, applied_at, applied_by, made, found)
        VALUES (4, 'wal', now(), current_user, $1, $2)
        ON CONFLICT (version) DO UPDATE
           SET applied_at = excluded.applied_at, applied_by = excluded.applied_by,
               made = ARRAY(SELECT DISTINCT unnest(m.made || excluded.made))$sql$, target)
        USING made, found_there;
    PERFORM set_config('pgsidecar.report', report::text, false);
    PERFORM set_config('search_path', caller_path, true);
END
$migrate$;

-- made: by this run; there: by an earlier one; found: not by pgsidecar; changed, removed: to bring the
-- publication in step; left out: cannot be published; note: what else is to be done.
SELECT outcome, object
  FROM pg_catalog.jsonb_to_recordset(pg_catalog.current_setting('pgsidecar.report')::pg_catalog.jsonb)
       AS report(outcome pg_catalog.text, object pg_catalog.text);
