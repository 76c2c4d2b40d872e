# results.tsv of dotnet.sh -> tables: medians over the rounds, and ratios of neighbours in time. Together
# with figures.awk. Fields: round, what was asked, how many at a time, target, one line of JSON.

BEGIN {
    FS = "\t"
    targets = split("direct pgbouncer miss hit", target, " ")
    figures = split("qps p50_us p99_us client_cpu_us outside_cpu_us", figure, " ")
    label["qps"] = "Operations a second"; form["qps"] = "%d"
    label["p50_us"] = "p50, us"; form["p50_us"] = "%d"
    label["p99_us"] = "p99, us"; form["p99_us"] = "%d"
    label["client_cpu_us"] = "CPU of the client, us an operation"; form["client_cpu_us"] = "%.1f"
    label["outside_cpu_us"] = "CPU outside of it, us an operation"; form["outside_cpu_us"] = "%.1f"
}
{
    what = $2 ", " $3
    if (!(what in known)) { known[what] = 1; asked[++n] = what }
    for (f = 1; f <= figures; f++) {
        v = value($5, figure[f])
        of[$1, what, $4, figure[f]] = v
        add(figure[f] " " what " " $4, v)
    }
    if ($1 > rounds) rounds = $1
}
END {
    for (f = 1; f <= figures; f++) {
        printf "\n| %s | direct | pgbouncer | miss | hit | hit/direct | miss/pgbouncer |\n", label[figure[f]]
        print "|---|---:|---:|---:|---:|---:|---:|"
        for (i = 1; i <= n; i++) row(figure[f], asked[i])
    }
}

function row(name, what,    t, r) {
    for (r = 1; r <= rounds; r++) {
        pair(name " " what " hit/direct", of[r, what, "hit", name], of[r, what, "direct", name])
        pair(name " " what " miss/pgbouncer", of[r, what, "miss", name], of[r, what, "pgbouncer", name])
    }
    printf "| %s |", what
    for (t = 1; t <= targets; t++) printf " %s |", number(median(name " " what " " target[t]), form[name])
    printf " %s | %s |\n", spread(name " " what " hit/direct"), spread(name " " what " miss/pgbouncer")
}

function pair(key, a, b) { if (a != "" && b > 0) add(key, a / b) }
