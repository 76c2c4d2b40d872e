-- The role of upstream.control_connection, with no more rights than it needs. To be run once, by a
-- superuser, in the database that control_connection names:
--     psql -v ON_ERROR_STOP=1 -d clinic -f control-user.sql -c '\password pgsidecar'
--
-- To read the catalogs, watch for the end of a server process and LISTEN it needs no right that not
-- everybody has. It never reads a row of the application's.
CREATE ROLE pgsidecar LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOINHERIT;

-- cache.invalidation: wal. It reads the write-ahead log, so it may do what a standby may: leave this out
-- where writes all pass through pgsidecar, or where NOTIFY tells of the others.
ALTER ROLE pgsidecar REPLICATION;

-- auth_type other than relay without an auth_file, and SCRAM with TLS on both legs: users' secrets, one at
-- a time and none of a superuser's. In the configuration:
--     auth_query: "SELECT * FROM pgsidecar_auth.secret_of($1)"
CREATE SCHEMA pgsidecar_auth;
CREATE FUNCTION pgsidecar_auth.secret_of(wanted name)
    RETURNS TABLE (usename name, passwd text, seconds_left double precision)
    LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog AS $$
    SELECT u.usename, CASE WHEN u.valuntil < now() THEN NULL ELSE u.passwd END,
           CASE WHEN isfinite(u.valuntil) THEN date_part('epoch', u.valuntil - now()) END
      FROM pg_shadow u WHERE u.usename = wanted AND NOT u.usesuper
$$;
REVOKE ALL ON FUNCTION pgsidecar_auth.secret_of(name) FROM PUBLIC;
GRANT USAGE ON SCHEMA pgsidecar_auth TO pgsidecar;
GRANT EXECUTE ON FUNCTION pgsidecar_auth.secret_of(name) TO pgsidecar;
