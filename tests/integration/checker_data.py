"""What the checker reads and writes: a schema, questions with what their answers mean, and changes with
what they do. Every change writes a number that nobody else writes and lets nothing shrink, so the order
of concurrent writers does not matter. Placeholders are $1, $2; a simple query has literals instead.
"""
import collections

TABLES, IDS, TOTAL = 6, 6, 12000
SLOW = ["slow%d" % i for i in range(6)]  # seldom written, the last two by commits that are cut off

SCHEMA = ["CREATE TABLE reg%d (id int PRIMARY KEY, v bigint NOT NULL DEFAULT 0)" % t
          for t in range(TABLES)] + [
    "INSERT INTO reg%d SELECT i FROM generate_series(1, %d) i" % (t, IDS) for t in range(TABLES)] + [
    "CREATE FUNCTION bump%d(int, bigint) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN "
    "UPDATE reg%d SET v = greatest(v, $2) WHERE id = $1; RETURN $2; END $$" % (t, t)
    for t in range(TABLES)] + [
    "CREATE TABLE %s (id int PRIMARY KEY, v bigint); INSERT INTO %s VALUES (1, 0), (2, 0)" % (name, name)
    for name in SLOW] + ["""
CREATE VIEW reg_view AS SELECT id, v FROM reg0;
CREATE TABLE log (n serial PRIMARY KEY, id int, v bigint);
INSERT INTO log (id, v) SELECT i, 0 FROM generate_series(1, 6) i; CREATE INDEX ON log (id, v);
CREATE TABLE part (id int, side int, v bigint DEFAULT 0, PRIMARY KEY (id, side)) PARTITION BY LIST (side);
CREATE TABLE part_a PARTITION OF part FOR VALUES IN (1);
CREATE TABLE part_b PARTITION OF part FOR VALUES IN (2);
INSERT INTO part SELECT i, 1 + i % 2 FROM generate_series(1, 6) i;
CREATE TABLE pair_a (id int PRIMARY KEY, v bigint); CREATE TABLE pair_b (id int PRIMARY KEY, v bigint);
INSERT INTO pair_a SELECT i, 0 FROM generate_series(1, 6) i; INSERT INTO pair_b SELECT * FROM pair_a;
CREATE TABLE trig_src (id int PRIMARY KEY, v bigint); INSERT INTO trig_src SELECT * FROM pair_a;
CREATE TABLE trig_dst (id int PRIMARY KEY, v bigint); INSERT INTO trig_dst SELECT * FROM pair_a;
CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  UPDATE trig_dst SET v = NEW.v WHERE id = NEW.id; RETURN NULL; END $$;
CREATE TRIGGER follow AFTER UPDATE ON trig_src FOR EACH ROW EXECUTE FUNCTION follow();
CREATE TABLE casc_p (grp int, n bigint, PRIMARY KEY (grp, n)); INSERT INTO casc_p SELECT * FROM pair_a;
CREATE TABLE casc_c (grp int PRIMARY KEY, n bigint,
  FOREIGN KEY (grp, n) REFERENCES casc_p ON UPDATE CASCADE); INSERT INTO casc_c SELECT * FROM pair_a;
CREATE TABLE checking (id int PRIMARY KEY, amount bigint, v bigint);
CREATE TABLE savings (id int PRIMARY KEY, amount bigint, v bigint);
INSERT INTO checking SELECT i, 1000, 0 FROM generate_series(1, 6) i; INSERT INTO savings TABLE checking;
CREATE TABLE head (l int PRIMARY KEY, n bigint); INSERT INTO head SELECT i, 0 FROM generate_series(1, 4) i;
CREATE TABLE item (l int, n bigint, token bigint, PRIMARY KEY (l, n));
CREATE TABLE bag0 (v bigint PRIMARY KEY); CREATE TABLE bag1 (v bigint PRIMARY KEY);
CREATE TABLE owner (id int PRIMARY KEY); INSERT INTO owner VALUES (1), (2), (3);
CREATE TABLE owned (v bigint PRIMARY KEY, owner int REFERENCES owner ON DELETE CASCADE);
CREATE INDEX ON owned (owner);
CREATE TABLE shape (id int PRIMARY KEY, x0 bigint DEFAULT 0); INSERT INTO shape VALUES (1);
"""]
# Between two rounds, when nobody works.
RESET = ["DELETE FROM item", "UPDATE head SET n = 0", "DELETE FROM bag0", "DELETE FROM bag1", "DELETE FROM owned"]

# plain: only as a simple query. data: of a COPY.
Statement = collections.namedtuple("Statement", "sql params plain data", defaults=((), False, None))
# reads(rows, number) gives [(key, value)].
Question = collections.namedtuple("Question", "about sql numbers reads")


def literal(sql, params):
    for i, value in enumerate(params):
        sql = sql.replace("$%d" % (i + 1), str(value))
    return sql


def one_number(name):
    """No row, or two: no snapshot has that."""
    return lambda rows, i: [(("register", name, i), int(rows[0][0]) if len(rows) == 1 else None)]


def numbers_of(name):
    return lambda rows, _: [(("register", name, int(i)), int(v)) for i, v in rows]


def pair_of(name):
    return lambda rows, i: [(("pair", name, i), tuple(map(int, rows[0])) if len(rows) == 1 else (0, -1))]


def bag_of(name):
    return lambda rows, i: [(("bag", name, i), frozenset(int(row[0]) for row in rows))]


def _questions():
    few = list(range(1, IDS + 1))
    for t in range(TABLES):
        name = "reg%d" % t
        yield Question(name, "SELECT v FROM %s WHERE id = $1" % name, few, one_number(name))
        # Its snapshot is some ms old when the answer arrives.
        yield Question(name, "SELECT v, (SELECT count(*) FROM generate_series(1, 20000)) FROM %s WHERE id = $1"
                       % name, few[:2], one_number(name))
        yield Question(name, "SELECT id, v FROM %s ORDER BY id" % name, (), numbers_of(name))
    for name in SLOW:
        yield Question(name, "SELECT v FROM %s WHERE id = $1" % name, [1, 2], one_number(name))
        yield Question(name, "SELECT id, v FROM %s ORDER BY id" % name, (), numbers_of(name))
    yield Question("reg0", "SELECT v FROM reg_view WHERE id = $1", few, one_number("reg0"))
    yield Question("log", "SELECT max(v) FROM log WHERE id = $1", few, one_number("log"))
    yield Question("part", "SELECT v FROM part WHERE id = $1", few, one_number("part"))
    yield Question("part", "SELECT v FROM part_a WHERE id = $1 UNION ALL SELECT v FROM part_b WHERE id = $1",
                   few, one_number("part"))
    for name, sql in (("pair", "SELECT a.v, b.v FROM pair_a a JOIN pair_b b USING (id) WHERE id = $1"),
                      ("trig", "SELECT a.v, b.v FROM trig_src a JOIN trig_dst b USING (id) WHERE id = $1"),
                      ("casc", "SELECT p.n, c.n FROM casc_p p FULL JOIN casc_c c USING (grp, n) "
                               "WHERE coalesce(p.grp, c.grp) = $1")):
        yield Question(name, sql, few, pair_of(name))
    yield Question("bank", "SELECT (SELECT sum(amount) FROM checking) + (SELECT sum(amount) FROM savings), "
                   "greatest((SELECT max(v) FROM checking), (SELECT max(v) FROM savings))", (),
                   lambda rows, _: [(("bank", "bank", 0), (int(rows[0][0]) - TOTAL, int(rows[0][1])))])
    lists = list(range(1, 5))
    yield Question("list", "SELECT n, token FROM item WHERE l = $1 ORDER BY n", lists, lambda rows, i: [
        (("list", "item", i), tuple((int(n), int(token)) for n, token in rows))])
    yield Question("list", "SELECT h.n, (SELECT count(*) FROM item i WHERE i.l = h.l) FROM head h WHERE l = $1",
                   lists, lambda rows, i: [(("head", "item", i), (int(rows[0][0]), int(rows[0][1])))])
    for name in ("bag0", "bag1"):
        yield Question(name, "SELECT v FROM %s" % name, (), bag_of(name))
    yield Question("owned", "SELECT v FROM owned WHERE owner = $1", [1, 2, 3], bag_of("owned"))
    yield Question("shape", "SELECT * FROM shape WHERE id = 1", (),
                   lambda rows, i: [(("register", "shape", i), int(rows[0][-1]) if rows else None)])


QUESTIONS = list(_questions())
BY_SUBJECT = {s: [q for q in QUESTIONS if q.about == s] for s in sorted({q.about for q in QUESTIONS})}
SUBJECTS = [s for s in BY_SUBJECT if s != "shape" and s not in SLOW]


# -- changes: (statements, [(key, value)]) ----------------------------------------------------------
def change_register(rng, name, n):
    i, form = rng.randint(1, IDS), rng.randrange(8)
    set_v = "UPDATE %s SET v = greatest(v, $1) WHERE id = $2" % name
    if form == 0:
        made = Statement("INSERT INTO %s AS r (id, v) VALUES ($2, $1) ON CONFLICT (id) DO UPDATE "
                         "SET v = greatest(r.v, excluded.v)" % name, (n, i))
    elif form == 1:
        made = Statement("WITH w AS (%s RETURNING v) SELECT v FROM w" % set_v, (n, i))
    elif form == 2:
        made = Statement("MERGE INTO %s r USING (VALUES ($2::int, $1::bigint)) AS s(id, v) ON r.id = s.id "
                         "WHEN MATCHED THEN UPDATE SET v = greatest(r.v, s.v)" % name, (n, i))
    elif form == 3:
        made = Statement("SELECT bump%s($2::int, $1::bigint)" % name[3:], (n, i))
    elif form == 4 and rng.random() < 0.2:
        made = Statement("DO $x$ BEGIN %s; END $x$" % literal(set_v, (n, i)), plain=True)
    elif form == 5:
        made = Statement("EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) " + literal(set_v, (n, i)), plain=True)
    else:
        made = Statement(set_v, (n, i))
    return [made], [(("register", name, i), n)]


def change_log(rng, n):
    i = rng.randint(1, IDS)
    made = Statement("INSERT INTO log (id, v) VALUES ($2, $1)", (n, i))
    if rng.random() < 0.4:
        made = Statement("COPY log (id, v) FROM STDIN", plain=True, data="%d\t%d\n" % (i, n))
    return [made], [(("register", "log", i), n)]


def change_part(rng, n):
    i, move = rng.randint(1, IDS), ", side = 3 - side" if rng.random() < 0.5 else ""
    return [Statement("UPDATE part SET v = greatest(v, $1)%s WHERE id = $2" % move, (n, i))], [
        (("register", "part", i), n)]


def change_pair(rng, n):
    i = rng.randint(1, IDS)
    return [Statement("UPDATE pair_%s SET v = greatest(v, $1) WHERE id = $2" % side, (n, i))
            for side in "ab"], [(("pair", "pair", i), n)]


def change_trig(rng, n):
    i = rng.randint(1, IDS)
    return [Statement("UPDATE trig_src SET v = greatest(v, $1) WHERE id = $2", (n, i))], [
        (("pair", "trig", i), n)]


def change_casc(rng, n):
    i = rng.randint(1, IDS)
    return [Statement("UPDATE casc_p SET n = greatest(n, $1) WHERE grp = $2", (n, i))], [
        (("pair", "casc", i), n)]


def change_bank(rng, n):
    amount = rng.randint(-50, 50)
    return [Statement("UPDATE %s SET amount = amount + $3, v = greatest(v, $1) WHERE id = $2" % table,
                      (n, rng.randint(1, IDS), add))
            for table, add in (("checking", amount), ("savings", -amount))], [(("bank", "bank", 0), n)]


def change_list(rng, n):
    """The counter's row stays locked until the commit, so rows are committed in their order."""
    l = rng.randint(1, 4)
    return [Statement("WITH h AS (UPDATE head SET n = n + 1 WHERE l = $2 RETURNING l, n) "
                      "INSERT INTO item SELECT l, n, $1::bigint FROM h", (n, l))], [(("list", "item", l), n)]


def change_bag(rng, name, n):
    key = ("bag", name, 0)
    if rng.random() < 0.2:
        return [Statement("TRUNCATE " + name)], [(key, ("clear", n))]
    made = Statement("INSERT INTO %s VALUES ($1)" % name, (n,))
    if rng.random() < 0.3:
        made = Statement("COPY %s FROM STDIN" % name, plain=True, data="%d\n" % n)
    return [made], [(key, ("add", n))]


def change_owned(rng, n):
    i = rng.randint(1, 3)
    if rng.random() < 0.2:
        return [Statement("DELETE FROM owner WHERE id = $1", (i,)),
                Statement("INSERT INTO owner VALUES ($1)", (i,))], [(("bag", "owned", i), ("clear", n))]
    return [Statement("INSERT INTO owned VALUES ($1, $2)", (n, i))], [(("bag", "owned", i), ("add", n))]


OTHERS = {"log": change_log, "part": change_part, "pair": change_pair, "trig": change_trig,
          "casc": change_casc, "bank": change_bank, "list": change_list, "owned": change_owned}


def change(rng, subject, n):
    if subject in OTHERS:
        return OTHERS[subject](rng, n)
    return (change_bag if subject.startswith("bag") else change_register)(rng, subject, n)
