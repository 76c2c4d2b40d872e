# results.tsv of metrics.sh -> Markdown: medians over the rounds, and ratios of neighbours in time.
# Together with figures.awk. Fields: round, protocol, side, one line of JSON.

function row(protocol, name, label, format,    line, i) {
    line = "| " protocol ", " label
    for (i = 1; i <= 3; i++)
        line = line " | " number(median(sides[i] SUBSEP protocol SUBSEP name), format)
    for (i = 2; i <= 3; i++) line = line " | " spread("ratio" SUBSEP sides[i] SUBSEP protocol SUBSEP name)
    print line " |"
}

BEGIN {
    FS = "\t"
    split("off same other", sides, " ")
    split("qps p99_us server_cpu_us", names, " ")
}

{
    for (i = 1; i <= 3; i++) {
        add($3 SUBSEP $2 SUBSEP names[i], value($4, names[i]))
        last[$1, $2, $3, names[i]] = value($4, names[i])
    }
    rounds[$1]
    protocols[$2]
}

END {
    for (r in rounds)
        for (p in protocols)
            for (i = 1; i <= 3; i++)
                for (s = 2; s <= 3; s++)
                    if (last[r, p, "off", names[i]] > 0)
                        add("ratio" SUBSEP sides[s] SUBSEP p SUBSEP names[i],
                            last[r, p, sides[s], names[i]] / last[r, p, "off", names[i]])
    print "\n| hits | off | on, same core | on, other core | same/off | other/off |"
    print "|---|---:|---:|---:|---:|---:|"
    split("simple prepared", order, " ")
    for (i = 1; i <= 2; i++) {
        row(order[i], "qps", "q/s", "%d")
        row(order[i], "p99_us", "p99 us", "%d")
        row(order[i], "server_cpu_us", "CPU us per query", "%.2f")
    }
}
