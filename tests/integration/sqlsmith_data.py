"""What the sqlsmith run works on: a schema like the application's, small, with one of everything that may
stand in the way of a cache. All data is generated; nothing is from a clock or a random source, so two
databases made of it are the same.

Columns may be NULL and checks are few, so that many of the random writes succeed. Nothing here takes a
sequence's value: what fails or is asked twice must leave no trace.
"""

TABLES = ("tenants", "clinics", "patients", "doctors", "medications", "prescriptions", "dispensings",
          "interactions", "allergies", "stock", "letters", "imports", "audit", "readings",
          "readings_lab")

# As the superuser, before anything is copied.
SCHEMA = r"""
CREATE ROLE smith LOGIN;
CREATE TYPE tier AS ENUM ('basic', 'premium', 'trial');
CREATE TYPE state AS ENUM ('draft', 'active', 'expired', 'cancelled');
CREATE TYPE address AS (street text, zip int);
CREATE DOMAIN dose AS numeric(12, 3);
CREATE TABLE tenants (id int PRIMARY KEY, name text UNIQUE, level tier, since date, quota numeric(12, 2),
  active bool);
CREATE TABLE clinics (id int PRIMARY KEY, tenant_id int, name varchar(80), seat address,
  open_hours int4range, at point);
CREATE TABLE patients (id int PRIMARY KEY, tenant_id int, name text, born date, weight float8,
  contact jsonb, tags text[], key uuid, seen timestamptz);
CREATE TABLE doctors (id int PRIMARY KEY, tenant_id int, name text, grade "char", seal bytea,
  host inet, skills int[]);
CREATE TABLE medications (id int PRIMARY KEY, code char(7) UNIQUE, name text, strength dose,
  price numeric(10, 2), words tsvector);
CREATE TABLE prescriptions (id bigint, tenant_id int, patient_id int, doctor_id int, medication_id int,
  issued timestamptz, valid interval, amount numeric, status state, note text, data jsonb)
  PARTITION BY RANGE (id);
CREATE TABLE prescriptions_old PARTITION OF prescriptions FOR VALUES FROM (MINVALUE) TO (60);
CREATE TABLE prescriptions_new PARTITION OF prescriptions FOR VALUES FROM (60) TO (200);
CREATE TABLE prescriptions_rest PARTITION OF prescriptions DEFAULT;
CREATE INDEX ON prescriptions (id);
CREATE TABLE dispensings (id int PRIMARY KEY, medication_id int REFERENCES medications ON DELETE CASCADE
  ON UPDATE CASCADE, at timestamp, amount smallint, price money);
CREATE TABLE interactions (one int REFERENCES medications ON DELETE SET NULL, two int, severity smallint,
  text text, UNIQUE (one, two));
CREATE TABLE allergies (patient_id int REFERENCES patients ON DELETE CASCADE, substance text,
  since date, severe bool);
CREATE TABLE stock (clinic_id int, medication_id int, pieces int, checked timetz,
  PRIMARY KEY (clinic_id, medication_id));
CREATE TABLE letters (id int PRIMARY KEY, tenant_id int, body text, sent timestamptz);
ALTER TABLE letters ENABLE ROW LEVEL SECURITY;
CREATE POLICY of_tenant ON letters
  USING (tenant_id::text = coalesce(nullif(current_setting('app.tenant_id', true), ''), '1'));
CREATE TABLE imports (id int, line text, bits bit(8), raw json);
CREATE TABLE audit (what text, kind text, number bigint);
CREATE TABLE readings (patient_id int, value float4, unit text);
CREATE TABLE readings_lab (lab text, low numrange) INHERITS (readings);
CREATE VIEW active_prescriptions AS SELECT p.id, p.tenant_id, p.amount, p.note, m.name AS medication, m.price
  FROM prescriptions p JOIN medications m ON m.id = p.medication_id WHERE p.status = 'active';
CREATE VIEW patient_overview AS SELECT p.id, p.name, p.tenant_id, count(r.id) AS prescriptions,
  max(r.issued) AS latest FROM patients p LEFT JOIN prescriptions r ON r.patient_id = p.id GROUP BY p.id;
CREATE VIEW open_stock AS SELECT clinic_id, medication_id, pieces FROM stock WHERE pieces > 0;
CREATE MATERIALIZED VIEW per_tenant AS SELECT tenant_id, status, count(*) AS n, sum(amount) AS total
  FROM prescriptions GROUP BY tenant_id, status WITH NO DATA;
CREATE FUNCTION with_tax(numeric) RETURNS numeric IMMUTABLE LANGUAGE sql AS $$ SELECT $1 * 1.19 $$;
CREATE FUNCTION label(int, text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
  $$ BEGIN RETURN coalesce($2, '') || '/' || coalesce($1, 0); END $$;
CREATE FUNCTION tenant_name(int) RETURNS text STABLE LANGUAGE sql AS
  $$ SELECT name FROM tenants WHERE id = $1 $$;
CREATE FUNCTION take_note(text) RETURNS int VOLATILE LANGUAGE plpgsql AS
  $$ BEGIN UPDATE imports SET line = left($1, 20) WHERE id = 1; RETURN 1; END $$;
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN
    IF (SELECT count(*) FROM audit) < 200 THEN INSERT INTO audit VALUES (TG_TABLE_NAME, TG_OP, 0);
    ELSE UPDATE audit SET number = number + 1 WHERE what = TG_TABLE_NAME AND kind = TG_OP; END IF;
    RETURN NULL; END $$;
CREATE TRIGGER noted AFTER INSERT OR UPDATE OR DELETE ON doctors
  FOR EACH STATEMENT EXECUTE FUNCTION noted();
CREATE TRIGGER noted AFTER INSERT OR UPDATE OR DELETE ON clinics
  FOR EACH STATEMENT EXECUTE FUNCTION noted();
CREATE RULE copied AS ON INSERT TO imports DO ALSO UPDATE readings SET unit = 'imported' WHERE patient_id < 3;
GRANT ALL ON ALL TABLES IN SCHEMA public TO smith;
ALTER MATERIALIZED VIEW per_tenant OWNER TO smith;
"""

# Both databases are brought back to this now and then: random DELETEs leave little.
FILL = r"""
TRUNCATE tenants, clinics, patients, doctors, medications, prescriptions, dispensings, interactions,
  allergies, stock, letters, imports, audit, readings, readings_lab;
INSERT INTO tenants SELECT i, 'tenant ' || i, (ARRAY['basic', 'premium', 'trial'])[1 + i % 3]::tier,
  date '2020-01-31' + i * 40, i * 1000.5, i % 4 <> 0 FROM generate_series(1, 8) i;
INSERT INTO clinics SELECT i, i % 8, 'clinic ' || i, ROW('street ' || i, 10000 + i)::address,
  int4range(7, 12 + i % 8), point(i, i / 2.0) FROM generate_series(1, 10) i;
INSERT INTO patients SELECT i, i % 8, CASE WHEN i % 11 = 0 THEN NULL ELSE 'patient ' || i END,
  date '1940-02-28' + i * 600, i * 2.5, jsonb_build_object('phone', i * 7, 'mail', ARRAY['a', 'b']),
  ARRAY['x' || i % 5, NULL, 'y'], md5(i::text)::uuid, timestamptz '2024-03-30 23:30+01' + i *
  interval '5 hours' FROM generate_series(1, 40) i;
INSERT INTO doctors SELECT i, i % 8, 'doctor ' || i, chr(64 + i)::"char", decode(md5(i::text), 'hex'),
  ('10.0.0.' || i)::inet, ARRAY[i, i * 2] FROM generate_series(1, 8) i;
INSERT INTO medications SELECT i, 'M' || lpad(i::text, 6, '0'), 'medication ' || i, i * 0.125, i * 3.3,
  to_tsvector('simple', 'tablet ' || i % 4) FROM generate_series(1, 20) i;
INSERT INTO prescriptions SELECT i, i % 8, 1 + i % 40, 1 + i % 8, 1 + i % 20, timestamptz
  '2024-01-01 08:00+00' + i * interval '31 hours', i * interval '1 day 2 hours', i * 1.5,
  (ARRAY['draft', 'active', 'expired', 'cancelled'])[1 + i % 4]::state,
  CASE WHEN i % 7 = 0 THEN NULL ELSE 'note ' || i END, jsonb_build_object('n', i, 'ok', i % 2 = 0)
  FROM generate_series(1, 120) i;
INSERT INTO dispensings SELECT i, 1 + i % 20, timestamp '2024-02-29 12:00' + i * interval '1 hour',
  i, i * 2 FROM generate_series(1, 40) i;
INSERT INTO interactions SELECT 1 + i % 20, 1 + i / 2, i % 5, 'text ' || i FROM generate_series(1, 20) i;
INSERT INTO allergies SELECT 1 + i, 'substance ' || i % 6, date '2000-01-01' + i, i % 2 = 0
  FROM generate_series(1, 20) i;
INSERT INTO stock SELECT 1 + i / 5, 1 + i % 5, i * 3 - 20, timetz '08:00+01' + i * interval '10 minutes'
  FROM generate_series(0, 39) i;
INSERT INTO letters SELECT i, i % 8, 'dear ' || i, timestamptz '2024-05-05 05:05+00' + i * interval '1 day'
  FROM generate_series(1, 24) i;
INSERT INTO readings SELECT 1 + i % 40, i / 3.0, 'mg' FROM generate_series(1, 20) i;
INSERT INTO readings_lab SELECT 1 + i % 40, i / 7.0, 'ml', 'lab ' || i % 3, numrange(i, i + 10)
  FROM generate_series(1, 20) i;
INSERT INTO imports SELECT i, 'line ' || i, (i % 256)::bit(8), '{"a": 1}' FROM generate_series(1, 20) i;
REFRESH MATERIALIZED VIEW per_tenant;
"""

# A copy of the database from which sqlsmith takes its words, for statements that a cache may keep: it sees
# pg_proc through a view, and operators of types that are nearly always an error are not there.
ODD = """(typtype IN ('p', 'm') OR typname IN ('polygon', 'point', 'path', 'circle', 'line', 'box', 'lseg',
  'json', 'xml', 'aclitem', '_aclitem', 'jsonpath', 'pg_snapshot', 'txid_snapshot'))"""
WORDS = """
CREATE SCHEMA words; GRANT USAGE ON SCHEMA words TO smith;
CREATE VIEW words.pg_proc AS SELECT * FROM pg_catalog.pg_proc p
  WHERE (provolatile = 'i' OR pronamespace = 'public'::regnamespace)
  AND NOT EXISTS (SELECT FROM pg_type WHERE (oid = prorettype OR oid = ANY (proargtypes::oid[])) AND %s);
GRANT SELECT ON words.pg_proc TO smith;
SET allow_system_table_mods = on;
DELETE FROM pg_operator WHERE oprcode IN (SELECT oid FROM pg_proc WHERE provolatile <> 'i') OR
  EXISTS (SELECT FROM pg_type t WHERE t.oid IN (oprleft, oprright, oprresult) AND %s);
""" % (ODD, ODD)

# What one session could do to another, or keep to itself.
REVOKED = """
DO $$ DECLARE f regprocedure; BEGIN
  FOR f IN SELECT oid FROM pg_proc WHERE proname IN ('pg_terminate_backend', 'pg_cancel_backend')
    OR proname ~ '^pg_(try_)?advisory_(lock|unlock)' LOOP
    EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', f);
  END LOOP; END $$
"""

# Writes that are sure to find a row, between those that sqlsmith makes up.
PLAIN = """
UPDATE tenants SET quota = quota + 1, name = name || '.' WHERE id = {i}
UPDATE clinics SET name = 'moved', open_hours = int4range({i}, 30) WHERE tenant_id = {i}
UPDATE patients SET weight = weight + 0.5, seen = seen + interval '1 minute' WHERE tenant_id = {i}
DELETE FROM patients WHERE id = {n} RETURNING id, name
UPDATE doctors SET skills = skills || {n} WHERE id = {i} RETURNING skills
UPDATE medications SET price = price + 1 WHERE id = {n}
DELETE FROM medications WHERE id = {n}
UPDATE prescriptions SET amount = amount + 1, status = 'active' WHERE tenant_id = {i}
UPDATE prescriptions SET id = 60 + {n} WHERE id = {n}
UPDATE prescriptions_new SET note = 'direct' WHERE doctor_id = {i}
INSERT INTO prescriptions (id, tenant_id, patient_id) VALUES (500 + {n}, {i}, {n}), ({n}, {i}, {i})
DELETE FROM prescriptions_old WHERE id = {n}
UPDATE dispensings SET amount = amount + 1 WHERE id < {n}
UPDATE interactions SET severity = {i} WHERE one = {n}
UPDATE allergies SET severe = NOT severe WHERE patient_id < {n}
UPDATE stock SET pieces = pieces - 1 WHERE clinic_id = {i}
MERGE INTO stock s USING medications m ON s.medication_id = m.id AND clinic_id = {i} WHEN MATCHED THEN UPDATE SET pieces = 0 WHEN NOT MATCHED THEN INSERT VALUES ({i}, m.id, 1)
UPDATE letters SET body = body || '!'
INSERT INTO imports VALUES ({n}, 'new', NULL, NULL)
UPDATE readings SET value = value + 1 WHERE patient_id < {n}
UPDATE readings_lab SET low = numrange({i}, 50)
WITH gone AS (DELETE FROM audit RETURNING what) UPDATE clinics SET at = point({i}, {n}) WHERE EXISTS (SELECT FROM gone)
TRUNCATE audit
SELECT take_note('note {n}')
""".strip().splitlines()

# All that the tables hold, in any order of rows.
DIGEST = " UNION ALL ".join(
    "SELECT '%s', count(*), sum(hashtext(t::text)::bigint) FROM ONLY %s t" % (name, name)
    for name in TABLES if name != "prescriptions") + \
    " UNION ALL SELECT 'prescriptions', count(*), sum(hashtext(t::text)::bigint) FROM prescriptions t ORDER BY 1"
