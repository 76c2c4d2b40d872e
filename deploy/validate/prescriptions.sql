-- A workload for `pgsidecar validate` on the data of deploy/data/prescriptions.sql: what a pharmacy's
-- screens ask. README.md beside it says what the comments mean.

-- name: newest page of a tenant
-- weight: 5
-- params: ["pharmacy-01", 100]
-- params: ["pharmacy-07", 100]
-- params: ["pharmacy-42", 25]
SELECT id, patient_id, drug_name, dosage, quantity, status, prescribed_at
  FROM prescriptions
 WHERE tenant_id = $1
 ORDER BY id DESC
 LIMIT $2;

-- name: next page of a tenant
-- weight: 2
-- params: ["pharmacy-07", 15000, 100]
SELECT id, patient_id, drug_name, dosage, quantity, status, prescribed_at
  FROM prescriptions
 WHERE tenant_id = $1 AND id < $2
 ORDER BY id DESC
 LIMIT $3;

-- name: one prescription
-- weight: 5
-- params: [1]
-- params: [4711]
-- params: [20000]
-- params: [999999999]
SELECT * FROM prescriptions WHERE id = $1;

-- name: one prescription, in binary as drivers ask for it
-- params: [4711]
-- format: binary
SELECT * FROM prescriptions WHERE id = $1;

-- name: a patient and what was prescribed
-- weight: 3
-- params: ["pharmacy-01", 50]
-- params: ["pharmacy-02", 51]
SELECT p.family_name, p.given_name, r.prescribed_at, r.drug_name, r.dosage, r.refills, r.notes
  FROM patients AS p
  JOIN prescriptions AS r ON r.tenant_id = p.tenant_id AND r.patient_id = p.id
 WHERE p.tenant_id = $1 AND p.id = $2
 ORDER BY r.prescribed_at DESC, r.id;

-- name: patients by the beginning of their name
-- params: ["pharmacy-12", "Ba%"]
SELECT id, family_name, given_name, born_on
  FROM patients
 WHERE tenant_id = $1 AND family_name LIKE $2
 ORDER BY family_name, given_name, id
 LIMIT 50;

-- name: figures of a tenant
-- params: ["pharmacy-07"]
SELECT status, count(*) AS prescriptions, sum(quantity) AS quantity
  FROM prescriptions
 WHERE tenant_id = $1
 GROUP BY status;

-- name: drugs of a form
SELECT code, name FROM drugs WHERE form = 'tablet' ORDER BY code;
