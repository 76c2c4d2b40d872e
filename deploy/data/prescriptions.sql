-- Generated prescription data: psql -v rows=1000000 -f prescriptions.sql
--
-- 50 tenants (pharmacy-01 .. pharmacy-50), one patient to ten prescriptions, 500 drugs. The same
-- rows at every run: all that looks random is a hash of the id. No real person is in here.
\set ON_ERROR_STOP on
\if :{?rows}
\else
\set rows 1000000
\endif

BEGIN;

CREATE TABLE drugs (
    code text PRIMARY KEY,
    name text NOT NULL,
    form text NOT NULL
);

CREATE TABLE patients (
    id bigint NOT NULL,
    tenant_id varchar(100) NOT NULL,
    family_name text NOT NULL,
    given_name text NOT NULL,
    born_on date NOT NULL
);

CREATE TABLE prescriptions (
    id bigint NOT NULL,
    tenant_id varchar(100) NOT NULL,
    patient_id bigint NOT NULL,
    prescriber_id integer NOT NULL,
    drug_code text NOT NULL,
    drug_name text NOT NULL,
    dosage text NOT NULL,
    quantity integer NOT NULL,
    refills smallint NOT NULL,
    status text NOT NULL,
    prescribed_at timestamptz NOT NULL,
    expires_on date NOT NULL,
    notes text
);

INSERT INTO drugs
SELECT 'D' || lpad(i::text, 5, '0'),
       (ARRAY['Amoxicillin', 'Atorvastatin', 'Levothyroxine', 'Lisinopril', 'Metformin', 'Amlodipine',
              'Metoprolol', 'Omeprazole', 'Losartan', 'Simvastatin'])[1 + i % 10]
           || ' ' || 5 * (1 + i / 10) || ' mg',
       (ARRAY['tablet', 'capsule', 'solution', 'cream'])[1 + i % 4]
FROM generate_series(0, 499) AS i;

INSERT INTO patients
SELECT i,
       'pharmacy-' || lpad((1 + i % 50)::text, 2, '0'),
       (ARRAY['Adams', 'Baker', 'Clarke', 'Davies', 'Evans', 'Foster', 'Green', 'Hughes'])[1 + (hashint8(i) & 7)],
       (ARRAY['Alex', 'Billie', 'Charlie', 'Dana', 'Eli', 'Frankie', 'Gray', 'Harper'])[1 + (hashint8(i) >> 3 & 7)],
       date '1930-01-01' + (hashint8(i) & 32767)
FROM generate_series(1, greatest(:rows / 10, 50)) AS i;

-- Prescription i belongs to a patient of its own tenant: patient p is in tenant 1 + p % 50.
INSERT INTO prescriptions
SELECT i,
       'pharmacy-' || lpad((1 + h % 50)::text, 2, '0'),
       50 * (h / 64 % greatest(:rows / 500 - 1, 1)) + 50 * (h % 50 = 0)::int + h % 50,
       1 + h / 8 % 2000,
       d.code,
       d.name,
       (ARRAY['once daily', 'twice daily', 'three times daily', 'every 6 hours', 'as needed'])[1 + h % 5],
       7 * (1 + h / 16 % 12),
       h / 32 % 6,
       (ARRAY['active', 'active', 'active', 'dispensed', 'expired', 'cancelled'])[1 + h % 6],
       timestamptz '2026-01-01 00:00+00' - (:rows - i) * interval '47 seconds',
       date '2026-01-01' + (h % 365),
       CASE WHEN h % 4 = 0 THEN 'Take with food. Review after ' || 1 + h % 12 || ' weeks.' END
FROM generate_series(1, :rows) AS i
CROSS JOIN LATERAL (SELECT hashint8(i) & 2147483647 AS h) AS hashed
JOIN drugs AS d ON d.code = 'D' || lpad((h / 128 % 500)::text, 5, '0');

ALTER TABLE patients ADD PRIMARY KEY (id);
ALTER TABLE prescriptions ADD PRIMARY KEY (id);
CREATE INDEX patients_tenant ON patients (tenant_id, family_name);
CREATE INDEX prescriptions_tenant_newest ON prescriptions (tenant_id, id DESC);
CREATE INDEX prescriptions_tenant_patient ON prescriptions (tenant_id, patient_id, prescribed_at DESC);

COMMIT;

VACUUM ANALYZE drugs, patients, prescriptions;
