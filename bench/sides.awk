# results.tsv of servers.sh's take_turns -> a table: medians over the rounds, and ratios of neighbours in
# time. Together with figures.awk. Fields: round, protocol, side, one line of JSON. Wants variables:
# `sides`, the first of which the others are held against, `names` of the figures, and the `heading`.

BEGIN {
    FS = "\t"
    most = split(sides, side, " ")
    figures = split(names, figure, " ")
    label["qps"] = "q/s"; form["qps"] = "%d"
    label["p50_us"] = "p50 us"; form["p50_us"] = "%d"
    label["p99_us"] = "p99 us"; form["p99_us"] = "%d"
    label["server_cpu_us"] = "CPU us per query"; form["server_cpu_us"] = "%.2f"
}

function row(protocol, name,    line, i) {
    line = "| " protocol ", " label[name]
    for (i = 1; i <= most; i++)
        line = line " | " number(median(side[i] SUBSEP protocol SUBSEP name), form[name])
    for (i = 2; i <= most; i++) line = line " | " spread("ratio" SUBSEP side[i] SUBSEP protocol SUBSEP name)
    print line " |"
}

{
    for (i = 1; i <= figures; i++) {
        add($3 SUBSEP $2 SUBSEP figure[i], value($4, figure[i]))
        last[$1, $2, $3, figure[i]] = value($4, figure[i])
    }
    rounds[$1]
    protocols[$2]
}

END {
    for (r in rounds)
        for (p in protocols)
            for (i = 1; i <= figures; i++)
                for (s = 2; s <= most; s++)
                    if (last[r, p, side[1], figure[i]] > 0)
                        add("ratio" SUBSEP side[s] SUBSEP p SUBSEP figure[i],
                            last[r, p, side[s], figure[i]] / last[r, p, side[1], figure[i]])
    line = "\n| " heading
    rule = "|---|"
    for (i = 2; i <= most; i++) line = line " | " side[i] "/" side[1]
    for (i = 2; i <= 2 * most; i++) rule = rule "---:|"
    print line " |"
    print rule
    split("simple prepared", order, " ")
    for (p = 1; p <= 2; p++)
        for (i = 1; i <= figures; i++) row(order[p], figure[i])
}
