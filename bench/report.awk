# results.tsv -> Markdown: medians over the rounds, and ratios of medians. Together with figures.awk.
# Fields: round, target, protocol, query, connections, pipeline, one line of JSON.

# The table of one query: a row for each target, q/s and CPU for each protocol.
function table(query,    i, p, t, row, any) {
    printf "\n| %s: q/s (CPU us) | simple | extended | prepared |\n|---|---:|---:|---:|\n", query
    for (i = 1; i <= targets; i++) {
        t = target[i]
        row = ""
        any = 0
        for (p = 1; p <= 3; p++) {
            key = t SUBSEP protocol[p] SUBSEP query SUBSEP main_connections SUBSEP 1
            if (count["qps" SUBSEP key] > 0) any = 1
            row = row " | " grouped(median("qps" SUBSEP key)) " (" \
                number(median("server_cpu_us" SUBSEP key), "%.1f") ")"
        }
        if (any) print "| " t row " |"
    }
}

function qps(t, p, q) { return median("qps" SUBSEP t SUBSEP p SUBSEP q SUBSEP main_connections SUBSEP 1) }
function cpu(t, p, q) {
    return median("server_cpu_us" SUBSEP t SUBSEP p SUBSEP q SUBSEP main_connections SUBSEP 1)
}

function line_of_ratios(name, by_cpu,    names, p, q, r, row, any) {
    split(name, names, "/")
    for (q = 1; q <= 2; q++) {
        for (p = 1; p <= 3; p++) {
            r = by_cpu ? ratio(cpu(names[1], protocol[p], queries[q]), cpu(names[2], protocol[p], queries[q])) \
                       : ratio(qps(names[1], protocol[p], queries[q]), qps(names[2], protocol[p], queries[q]))
            if (r != "-") any = 1
            row = row " | " r
        }
    }
    if (any) print "| " name row " |"
}

function ratios(    i) {
    print "\n| q/s of the one over the other | point simple | point extended | point prepared | list simple | list extended | list prepared |"
    print "|---|---:|---:|---:|---:|---:|---:|"
    for (i = 1; i <= pairs; i++) line_of_ratios(pair[i], 0)
    print "\n| CPU per query of the one over the other | point simple | point extended | point prepared | list simple | list extended | list prepared |"
    print "|---|---:|---:|---:|---:|---:|---:|"
    for (i = 1; i <= cpu_pairs; i++) line_of_ratios(cpu_pair[i], 1)
}

# One row for each target that has figures under this number of connections and pipeline depth.
function small_table(title, connections, pipeline, first, first_format, second, second_format,
                     between, after,    i, q, t, key, row, any) {
    for (i = 1; i <= targets; i++) {
        t = target[i]
        row = ""
        any = 0
        for (q = 1; q <= 2; q++) {
            key = t SUBSEP "extended" SUBSEP queries[q] SUBSEP connections SUBSEP pipeline
            if (count[first SUBSEP key] > 0) any = 1
            row = row " | " number(median(first SUBSEP key), first_format) between \
                number(median(second SUBSEP key), second_format) after
        }
        if (!any) continue
        if (title != "") print "\n| " title " | point | list |\n|---|---:|---:|"
        title = ""
        print "| " t row " |"
    }
}

function memory(    i, t, title) {
    title = "session mode, bytes per idle client"
    for (i = 1; i <= targets; i++) {
        t = target[i]
        if (count["after_login" SUBSEP t] == 0) continue
        if (title != "") print "\n| " title " | after log-in | after one query |\n|---|---:|---:|"
        title = ""
        print "| " t " | " grouped(median("after_login" SUBSEP t)) " | " \
            grouped(median("after_query" SUBSEP t)) " |"
    }
}

BEGIN {
    FS = "\t"
    protocol[1] = "simple"; protocol[2] = "extended"; protocol[3] = "prepared"
    queries[1] = "point"; queries[2] = "list"
    pair[++pairs] = "hit/limit"; pair[++pairs] = "hit/direct"; pair[++pairs] = "hit/pgpool-hit"
    pair[++pairs] = "miss/direct"; pair[++pairs] = "pass/direct"
    pair[++pairs] = "pass/pgbouncer-session"; pair[++pairs] = "wire-pass/wire-pgbouncer"
    cpu_pair[++cpu_pairs] = "hit/limit"; cpu_pair[++cpu_pairs] = "pass/pgbouncer-session"
    cpu_pair[++cpu_pairs] = "wire-pass/wire-pgbouncer"
}

!($2 in seen) { seen[$2] = 1; target[++targets] = $2 }

$4 == "idle" {
    if (value($7, "after_login") != "") {
        add("after_login" SUBSEP $2, value($7, "after_login"))
        add("after_query" SUBSEP $2, value($7, "after_query"))
    }
    next
}

value($7, "qps") != "" {
    key = $2 SUBSEP $3 SUBSEP $4 SUBSEP $5 SUBSEP $6
    add("qps" SUBSEP key, value($7, "qps"))
    add("p50_us" SUBSEP key, value($7, "p50_us"))
    add("p99_us" SUBSEP key, value($7, "p99_us"))
    add("server_cpu_us" SUBSEP key, value($7, "server_cpu_us"))
    if ($5 > main_connections) main_connections = $5
}

END {
    table("point")
    table("list")
    ratios()
    small_table("one client, extended: p50 / p99 us", 1, 1, "p50_us", "%.0f", "p99_us", "%.0f", " / ", "")
    small_table("16 requests at once on each connection, extended: q/s (CPU us)", main_connections, 16, \
                "qps", "%d", "server_cpu_us", "%.2f", " (", ")")
    memory()
}
