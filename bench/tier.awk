# results.tsv of tier.sh -> Markdown: medians over the rounds, and ratios of neighbours in time.
# Together with figures.awk. Fields: round, protocol, side, one line of JSON.

function row(protocol, name, label, format,    line, i) {
    line = "| " protocol ", " label
    for (i = 1; i <= 4; i++)
        line = line " | " number(median(sides[i] SUBSEP protocol SUBSEP name), format)
    for (i = 2; i <= 4; i++) line = line " | " spread("ratio" SUBSEP sides[i] SUBSEP protocol SUBSEP name)
    print line " |"
}

BEGIN {
    FS = "\t"
    split("direct memory redis database", sides, " ")
    split("qps p50_us p99_us", names, " ")
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
                for (s = 2; s <= 4; s++)
                    if (last[r, p, "direct", names[i]] > 0)
                        add("ratio" SUBSEP sides[s] SUBSEP p SUBSEP names[i],
                            last[r, p, sides[s], names[i]] / last[r, p, "direct", names[i]])
    print "\n| answers from | the server | memory | redis | database | memory/server | redis/server | database/server |"
    print "|---|---:|---:|---:|---:|---:|---:|---:|"
    split("simple prepared", order, " ")
    for (i = 1; i <= 2; i++) {
        row(order[i], "qps", "q/s", "%d")
        row(order[i], "p50_us", "p50 us", "%d")
        row(order[i], "p99_us", "p99 us", "%d")
    }
}
