# results.tsv of pool.sh -> Markdown: medians over the rounds, and ratios of neighbours in time.
# Together with figures.awk. Fields: round, target, part, protocol, clients, one line of JSON.

function of(target, name, c) { return name SUBSEP target SUBSEP c }

function both(name, c, format) {
    return " | " number(median(of("pgbouncer", name, c)), format) " | " \
        number(median(of("pgsidecar", name, c)), format) " | " spread("ratio " name SUBSEP c)
}

function table(title, first, name, format,    i, any) {
    for (i = 1; i <= cases; i++) {
        if (case_part[i] == "wire" ? first != "wire" : first == "wire") continue
        if (!any++) {
            print "\n| " title " | pgbouncer | pgsidecar | pgsidecar/pgbouncer |"
            print "|---|---:|---:|---:|"
        }
        print "| " case_name[i] both(name, case_of[i], format) " |"
    }
}

function tables(where, first) {
    table("q/s" where, first, "qps", "%d")
    table("p99, us" where, first, "p99_us", "%d")
    table("CPU us per query" where, first, "server_cpu_us", "%.1f")
}

function memory(    t, i, names) {
    if (idle_clients == "") return
    print "\n| bytes per idle client, of " idle_clients " | after log-in | after one query |"
    print "|---|---:|---:|"
    split("pgbouncer pgsidecar", names, " ")
    for (i = 1; i <= 2; i++) {
        t = names[i]
        print "| " t " | " grouped(median("after_login" SUBSEP t)) " | " \
            grouped(median("after_query" SUBSEP t)) " |"
    }
}

# What the other gave a moment before in the same case; the ratio once both are there.
function pair(name, c, v,    a, b) {
    last[$2, name, c, $1] = v
    a = last["pgsidecar", name, c, $1]
    b = last["pgbouncer", name, c, $1]
    if (a != "" && b != "" && b != 0) add("ratio " name SUBSEP c, a / b)
}

BEGIN { FS = "\t" }

$3 == "idle" {
    idle_clients = $5
    if (value($6, "after_login") == "") next
    add("after_login" SUBSEP $2, value($6, "after_login"))
    add("after_query" SUBSEP $2, value($6, "after_query"))
    next
}

{
    protocol = $3 == "wire" ? $4 : $3
    c = $3 " " protocol " " $5
    if (!(c in seen)) {
        seen[c] = 1
        case_of[++cases] = c
        case_part[cases] = $3
        case_name[cases] = protocol (protocol == "prepared" ? "*" : "") ", " $5
        if (protocol == "prepared") any_prepared = 1
    }
    if (value($6, "qps") == "") next
    split("qps p99_us server_cpu_us", names, " ")
    for (i = 1; i <= 3; i++) {
        add(of($2, names[i], c), value($6, names[i]))
        pair(names[i], c, value($6, names[i]))
    }
}

END {
    tables("", "database")
    if (any_prepared) {
        print "\n\\* pgbouncer 1.18 knows no prepared statements in transaction mode: these are " \
            "prepared\nstatements through pgsidecar against extended ones through pgbouncer."
    }
    tables(", before `limit`", "wire")
    memory()
}
