#include "tests/policy/live_fixture.h"

#include <algorithm>
#include <exception>
#include <sstream>
#include <stdexcept>

#include "tests/policy/live_server.h"

namespace pgsidecar::policy::testing {
namespace {

constexpr const char* schema = R"sql(
CREATE ROLE app LOGIN;
CREATE ROLE tenant_a LOGIN;
CREATE SCHEMA tenant_a AUTHORIZATION tenant_a;
CREATE SCHEMA shared;
GRANT USAGE ON SCHEMA shared TO PUBLIC;
CREATE SCHEMA hidden;

CREATE TABLE patients (id int PRIMARY KEY, name text, born date, note text, seen timestamptz);
CREATE TABLE tenant_a.patients (LIKE patients);
CREATE TABLE hidden.patients (LIKE patients);
CREATE TABLE shared.patients (LIKE patients);
CREATE TABLE prescriptions (id int PRIMARY KEY, patient int REFERENCES patients ON DELETE CASCADE,
                            drug text, born text, issued timestamptz);
CREATE TABLE refills (id int PRIMARY KEY,
                      prescription int REFERENCES prescriptions ON DELETE SET NULL);
CREATE TABLE refill_notes (id int, refill int REFERENCES refills ON UPDATE CASCADE);
CREATE TABLE plain (id int, v text);
CREATE UNLOGGED TABLE scratch (id int);
CREATE SEQUENCE numbers;

CREATE VIEW open_prescriptions AS SELECT * FROM prescriptions WHERE drug <> '';
CREATE VIEW patient_overview AS
    SELECT p.name, o.drug FROM patients p JOIN open_prescriptions o ON o.patient = p.id;
CREATE VIEW hidden_clock AS SELECT id FROM prescriptions WHERE issued > now() - interval '1 day';
CREATE VIEW hidden_today AS SELECT id FROM patients WHERE born = CURRENT_DATE;
CREATE VIEW hidden_age AS SELECT age(seen) FROM patients;
CREATE VIEW hidden_sample AS SELECT id FROM plain TABLESAMPLE system (10);
CREATE VIEW no_tables AS SELECT 1 AS one;
CREATE VIEW over_catalog AS SELECT relname FROM pg_class;
CREATE MATERIALIZED VIEW drug_counts AS SELECT drug, count(*) FROM prescriptions GROUP BY drug;

CREATE TABLE events (at timestamptz, kind text) PARTITION BY RANGE (at);
CREATE TABLE events_2024 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')
    PARTITION BY LIST (kind);
CREATE TABLE events_2025_a PARTITION OF events_2025 FOR VALUES IN ('a');
CREATE TABLE documents (id int);
CREATE TABLE letters (sender text) INHERITS (documents);
CREATE TABLE faxes () INHERITS (letters);

CREATE TABLE audit_log (at timestamptz DEFAULT now(), what text);
CREATE TABLE counters (name text, value int);
CREATE FUNCTION write_audit() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.audit_log (what) VALUES (TG_TABLE_NAME); RETURN NEW; END $$;
CREATE FUNCTION write_somewhere() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN EXECUTE format('INSERT INTO %I VALUES (1)', TG_ARGV[0]); RETURN NEW; END $$;
CREATE FUNCTION touch_row() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.seen := clock_timestamp(); RETURN NEW; END $$;
CREATE TABLE audited (id int, seen timestamptz);
CREATE TRIGGER audit AFTER INSERT ON audited FOR EACH ROW EXECUTE FUNCTION write_audit();
CREATE TRIGGER touch BEFORE UPDATE ON audited FOR EACH ROW EXECUTE FUNCTION touch_row();
CREATE TABLE dynamic_audited (id int);
CREATE TRIGGER audit AFTER DELETE ON dynamic_audited
    FOR EACH ROW EXECUTE FUNCTION write_somewhere('plain');
CREATE TABLE silent_audited (id int);
CREATE TRIGGER audit AFTER INSERT ON silent_audited FOR EACH ROW EXECUTE FUNCTION write_audit();
ALTER TABLE silent_audited DISABLE TRIGGER audit;

CREATE TABLE ruled (id int);
CREATE RULE redirect AS ON INSERT TO ruled DO ALSO INSERT INTO plain VALUES (NEW.id, '');
CREATE VIEW writable AS SELECT id, v FROM plain WHERE id > 0;
CREATE VIEW instead AS SELECT id FROM plain;
CREATE FUNCTION instead_of() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN UPDATE public.counters SET value = value + 1; RETURN NEW; END $$;
CREATE TRIGGER redirect INSTEAD OF INSERT ON instead
    FOR EACH ROW EXECUTE FUNCTION instead_of();

CREATE FUNCTION next_number() RETURNS int LANGUAGE sql AS
    $$ UPDATE public.counters SET value = value + 1 WHERE name = 'n' RETURNING value $$;
CREATE FUNCTION next_number_atomic() RETURNS int LANGUAGE sql BEGIN ATOMIC
    UPDATE public.counters SET value = value + 1 WHERE name = 'n' RETURNING value; END;
CREATE TABLE numbered (id int DEFAULT next_number(), v text);
CREATE FUNCTION accept(text) RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.audit_log (what) VALUES ($1); RETURN true; END $$;
CREATE TABLE checked (v text CHECK (accept(v)));

CREATE TABLE notes (id int, tenant text, body text);
ALTER TABLE notes ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_tenant ON notes USING (tenant = current_setting('app.tenant_id'));
CREATE TABLE members (role_name text, tenant text);
CREATE TABLE charts (id int, tenant text);
ALTER TABLE charts ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_member ON charts USING
    (EXISTS (SELECT FROM members m WHERE m.tenant = charts.tenant AND m.role_name = CURRENT_USER));
CREATE TABLE undeclared (id int, tenant text);
ALTER TABLE undeclared ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_other ON undeclared USING (tenant = current_setting('app.other'));
CREATE TABLE expiring (id int, until timestamptz);
ALTER TABLE expiring ENABLE ROW LEVEL SECURITY;
CREATE POLICY not_expired ON expiring USING (until > now());
CREATE TABLE write_policy (id int, until timestamptz);
ALTER TABLE write_policy ENABLE ROW LEVEL SECURITY;
CREATE POLICY readable ON write_policy FOR SELECT USING (id > 0);
CREATE POLICY in_time ON write_policy FOR INSERT WITH CHECK (until > now());
CREATE VIEW notes_view AS SELECT * FROM notes;

CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE FUNCTION overloaded(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION overloaded(text) RETURNS float LANGUAGE sql VOLATILE AS 'SELECT random()';
CREATE FUNCTION drug_of(int) RETURNS text LANGUAGE sql STABLE AS
    'SELECT drug FROM public.prescriptions WHERE id = $1';
CREATE FUNCTION drug_by_path(int) RETURNS text LANGUAGE sql STABLE AS
    'SELECT name FROM patients WHERE id = $1';
CREATE FUNCTION drug_fixed_path(int) RETURNS text LANGUAGE sql STABLE SET search_path = shared AS
    'SELECT name FROM patients WHERE id = $1';
CREATE FUNCTION drug_through_fixed_path(int) RETURNS text LANGUAGE sql STABLE
    SET search_path = shared, public AS 'SELECT public.drug_by_path($1)';
CREATE FUNCTION definer_path(int) RETURNS text LANGUAGE sql STABLE SECURITY DEFINER AS
    'SELECT name FROM patients WHERE id = $1';
CREATE FUNCTION stable_clock() RETURNS timestamptz LANGUAGE plpgsql STABLE AS
    $$ BEGIN RETURN now(); END $$;
CREATE FUNCTION stable_dynamic(t text) RETURNS bigint LANGUAGE plpgsql STABLE AS
    $$ DECLARE n bigint; BEGIN EXECUTE 'SELECT count(*) FROM ' || t INTO n; RETURN n; END $$;
CREATE FUNCTION stable_caller() RETURNS int LANGUAGE sql STABLE AS 'SELECT next_number()';
CREATE FUNCTION immutable_reader(int) RETURNS text LANGUAGE sql IMMUTABLE AS
    'SELECT v FROM public.plain WHERE id = $1';
CREATE FUNCTION hidden_default(a int, b timestamptz DEFAULT now()) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE AS 'SELECT b';
CREATE FUNCTION parse_day(text) RETURNS date LANGUAGE sql STABLE AS 'SELECT $1::date';
CREATE FUNCTION bulk_tag(text) RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN UPDATE public.plain SET v = $1; PERFORM next_number(); END $$;
CREATE FUNCTION set_path() RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN PERFORM set_config('search_path', 'shared', false); END $$;
CREATE FUNCTION set_path_and_write() RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN PERFORM set_config('search_path', 'shared', false); DELETE FROM plain; END $$;
CREATE FUNCTION make_table() RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN CREATE TABLE made (id int); END $$;
CREATE MATERIALIZED VIEW numbering AS SELECT next_number() AS n WITH NO DATA;
CREATE FUNCTION quiet() RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN 1; END $$;
CREATE PROCEDURE renumber() LANGUAGE plpgsql AS
    $$ BEGIN UPDATE public.counters SET value = 0; END $$;
CREATE FUNCTION initials(patients) RETURNS text LANGUAGE sql VOLATILE AS
    'SELECT left($1.name, 1) || random()';
CREATE FUNCTION random_step(int, int) RETURNS int LANGUAGE sql VOLATILE AS
    'SELECT $1 + (random() * $2)::int';
CREATE AGGREGATE random_sum(int) (sfunc = random_step, stype = int, initcond = '0');
CREATE FUNCTION near(int, int) RETURNS boolean LANGUAGE sql VOLATILE AS
    'SELECT abs($1 - $2) < random() * 10';
CREATE OPERATOR <~> (leftarg = int, rightarg = int, function = near);
CREATE OPERATOR <=~ (leftarg = int, rightarg = int, function = int4le);
CREATE TYPE mood AS ENUM ('well', 'ill');
CREATE DOMAIN day AS date;
CREATE DOMAIN code AS text CHECK (VALUE <> '');
CREATE TYPE dose AS (amount int, at date);
CREATE FUNCTION code_to_bool(mood) RETURNS boolean LANGUAGE sql VOLATILE AS 'SELECT random() < 0.5';
CREATE CAST (mood AS boolean) WITH FUNCTION code_to_bool(mood);
CREATE EXTENSION "uuid-ossp";
CREATE TABLE with_uuid (id uuid DEFAULT uuid_generate_v4());

INSERT INTO plain VALUES (1, 'a'), (2, 'b');
INSERT INTO patients VALUES (1, 'Ann', '1970-01-01', '', '2024-05-05');
INSERT INTO prescriptions VALUES (1, 1, 'x', '1970-01-01', '2024-05-05');
INSERT INTO refills VALUES (1, 1);
INSERT INTO refill_notes VALUES (1, 1);
INSERT INTO counters VALUES ('n', 1);
INSERT INTO events VALUES ('2024-05-05', 'a'), ('2025-05-05', 'a');
INSERT INTO letters VALUES (1, 's');
INSERT INTO faxes VALUES (2, 's');
INSERT INTO dynamic_audited VALUES (1);
INSERT INTO audited VALUES (1);
DELETE FROM audit_log;
GRANT ALL ON ALL TABLES IN SCHEMA public, shared, tenant_a TO app;
GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO app;
REFRESH MATERIALIZED VIEW drug_counts;

ALTER DATABASE postgres SET search_path = shared, public;
ALTER ROLE app SET search_path = "$user", public;
ALTER ROLE tenant_a IN DATABASE postgres SET timezone = 'UTC';
ALTER ROLE tenant_a SET timezone = 'Europe/Berlin';
ALTER ROLE tenant_a SET default_transaction_isolation = 'serializable';
ALTER ROLE ALL SET statement_timeout = '1min';
)sql";

}  // namespace

const catalog& fixture() {
    static const auto snapshot = [] {
        auto& server = live_server::instance();
        server.run(schema);
        return server.load();
    }();
    return *snapshot;
}

const cache_rules& open_rules() {
    static const cache_rules rules{{{"all", {"*"}, {}, std::chrono::minutes{5}, rule_mode::on}},
                                   {"app.tenant_id"}};
    return rules;
}

std::shared_ptr<const statement_facts> facts_of(const std::string& sql) {
    auto facts = std::make_shared<sql_facts>(analyze(sql));
    if (!facts->parsed || facts->statements.size() != 1) throw std::runtime_error("bad: " + sql);
    const auto* statement = &facts->statements.front();
    return {std::move(facts), statement};
}

read_plan read(const std::string& sql, const session_scope& scope, const cache_rules& rules) {
    return plan_read(*facts_of(sql), fixture(), scope, rules);
}

write_plan write(const std::string& sql, const session_scope& scope) {
    return plan_write(*facts_of(sql), &fixture(), scope);
}

std::optional<std::string> touched(const std::string& sql, bool written) {
    // Locks show what was read, statistics of this transaction what was written; the connection's
    // end undoes it all.
    const std::string locks =
        "SELECT c.oid FROM pg_locks l JOIN pg_class c ON c.oid = l.relation "
        "WHERE l.pid = pg_backend_pid() AND c.oid >= 16384 AND "
        // A sub-partition's constraint is made from its parents', which are not read for that.
        "(c.relkind IN ('r', 'm') OR c.relkind = 'p' AND NOT c.relispartition "
        "AND NOT EXISTS (SELECT FROM pg_locks k JOIN pg_class d ON d.oid = k.relation "
        "WHERE k.pid = l.pid AND d.relispartition))";
    const std::string statistics =
        "SELECT relid FROM pg_stat_xact_user_tables "
        "WHERE n_tup_ins + n_tup_upd + n_tup_del > 0 AND schemaname !~ '^pg_temp'";
    try {
        (void)fixture();
        const auto ids = live_server::instance().run(
            "BEGIN; SET LOCAL app.tenant_id = 'a'; " + sql + "; " + (written ? statistics : locks),
            "postgres", "app");
        std::vector<oid> tables;
        for (const auto& id : ids) tables.push_back(static_cast<oid>(std::stoul(id)));
        return names(tables);
    } catch (const std::exception&) {
        return std::nullopt;
    }
}

bool within(const std::string& part, const std::string& whole) {
    std::istringstream words{part};
    for (std::string word; words >> word;) {
        if ((" " + whole + " ").find(" " + word + " ") == std::string::npos) return false;
    }
    return true;
}

std::string names(const std::vector<oid>& tables) {
    std::vector<std::string> list;
    for (const oid id : tables) {
        const auto* r = fixture().find(id);
        list.push_back(r == nullptr ? "?" : r->schema + "." + r->name);
    }
    std::ranges::sort(list);
    std::string text;
    for (const auto& name : list) text += (text.empty() ? "" : " ") + name;
    return text;
}

}  // namespace pgsidecar::policy::testing
