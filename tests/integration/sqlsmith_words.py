"""Statements of sqlsmith as text: the same seed, version and schema give the same statements.

`steady` ones hold immutable functions only, and what leaves an answer open is taken out of them: samples,
limits, and which row a scalar subquery takes. So the data alone says what the answer is, and the cache
may keep it. Half of them lose their last condition, which is seldom true. `wild` ones are as sqlsmith
made them, over catalogs too, with all functions there are; only their samples are made repeatable.
"""
import re
import subprocess

WORDS_FROM = {"steady": ("words", ["--exclude-catalog"], "-c search_path=words,pg_catalog,public"),
              "wild": ("postgres", [], "-c search_path=public")}
SAMPLE = re.compile(r'tablesample \w+ \([\d.]+\)')
SCALAR = re.compile(r'\(select ("?\w+"?) from ([\w."]+) limit 1 offset (\d+)\)')
LIMIT = re.compile(r'\blimit \d+(?!\d| offset)')
LAST_WHERE = re.compile(r'\nwhere .*\Z', re.S)  # sqlsmith indents what is not the outermost
# A function of ours that writes; the rest of what writes is known by its first word.
WRITES = re.compile(r'^\s*(insert|update|delete|merge)\b|\btake_note\(', re.I)
RANDOM = re.compile(r'\b(random|gen_random_uuid|setseed|clock_timestamp|timeofday)\(')
# What the server counts while it works: a write that keeps it can be rehearsed and yet write another one.
COUNTED = re.compile(r'\b(pg_stat|rel(tuples|pages|allvisible|frozenxid|minmxid)\b|dat(frozenxid|minmxid)\b)')


class Statement:
    def __init__(self, sql, kind):
        self.sql, self.kind = sql, kind
        self.writes, self.random = bool(WRITES.search(sql)), bool(RANDOM.search(sql))
        self.counted = bool(COUNTED.search(sql))
        self.tables = set(re.findall(r'public\.(\w+)', sql))


# Without TLS: the order of its words follows from where things lie in its memory.
def command(port, database, seed, count, *more, options=""):
    target = "host=127.0.0.1 port=%d user=smith dbname=%s sslmode=disable " \
        "options='%s'" % (port, database, options)
    return ["sqlsmith", "--target=" + target, "--seed=%d" % seed, "--max-queries=%d" % count, *more]


def generate(port, kind, seed, count):
    database, more, options = WORDS_FROM[kind]
    made = subprocess.run(command(port, database, seed, count, "--dry-run", *more, options=options),
                          capture_output=True, text=True, errors="replace", check=True).stdout
    texts = [text.strip() for text in re.split(r";[ \t]*\n", made)]
    return [Statement(steady(text) if kind == "steady" else repeatable(text), kind)
            for text in texts if text and "words." not in text]


def repeatable(text):
    return SAMPLE.sub(lambda sample: sample.group() + " repeatable (1)", text)


def steady(text):
    text = SCALAR.sub(r"(select \1 from \2 order by \1::text limit 1 offset \3)", SAMPLE.sub("", text))
    text = LIMIT.sub("", text)
    return LAST_WHERE.sub("", text) if len(text) % 2 and not WRITES.search(text) else text
