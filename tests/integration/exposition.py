"""A strict reader of Prometheus' text format: what it does not know it refuses.

    families = parse(text)  # name -> Family; Family.samples: {(name, ((label, value), ...)): number}
"""
import math
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(r"(%s)(?:\{(.*)\})? (\S+)\Z" % NAME)
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(?:,|\Z)')
ENDS = {"histogram": ("_bucket", "_sum", "_count"), "counter": ("",), "gauge": ("",)}


class Family:
    def __init__(self, kind):
        self.kind, self.samples = kind, {}


def labels_of(text):
    at, out = 0, []
    while at < len(text):
        match = LABEL.match(text, at)
        assert match, "labels %r" % text
        out.append((match.group(1),
                    re.sub(r'\\(.)', lambda m: "\n" if m.group(1) == "n" else m.group(1), match.group(2))))
        at = match.end()
    assert len({name for name, _ in out}) == len(out), "a label twice: %r" % text
    return tuple(sorted(out))


def parse(text):
    assert text.endswith("\n"), "the last line has no end"
    families, family, name, helped = {}, None, None, set()
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            name, words = line[7:].split(" ", 1)
            assert name not in helped and words, line
            helped.add(name)
            family = None
        elif line.startswith("# TYPE "):
            typed, kind = line[7:].split(" ")
            assert typed == name and typed not in families and kind in ENDS, line
            family = families[name] = Family(kind)
        else:
            match = SAMPLE.match(line)
            assert match and family, "line %r" % line
            assert match.group(1) in [name + end for end in ENDS[family.kind]], line
            key = (match.group(1), labels_of(match.group(2) or ""))
            assert key not in family.samples, "twice: %r" % line
            family.samples[key] = float(match.group(3))
    for name, family in families.items():
        check(name, family)
    return families


def check(name, family):
    if family.kind == "counter":
        assert name.endswith("_total"), name
        assert all(value >= 0 for value in family.samples.values()), name
    if family.kind != "histogram":
        return
    rows = {}
    for (sample, labels), value in family.samples.items():
        rest = tuple(pair for pair in labels if pair[0] != "le")
        row = rows.setdefault(rest, {"buckets": []})
        if sample.endswith("_bucket"):
            row["buckets"].append((float(dict(labels)["le"]), value))
        else:
            row[sample[len(name):]] = value
    for rest, row in rows.items():
        buckets = row["buckets"]
        assert buckets == sorted(buckets) and buckets[-1][0] == math.inf, (name, rest)
        assert [count for _, count in buckets] == sorted(count for _, count in buckets), (name, rest)
        assert buckets[-1][1] == row["_count"] and row["_sum"] >= 0, (name, rest)


def value(families, name, **labels):
    """The sum over all samples that have these labels."""
    family = families[re.sub(r"_(bucket|sum|count)\Z", "", name) if name not in families else name]
    return sum(number for (sample, its), number in family.samples.items()
               if sample == name and set(labels.items()) <= set(its))
