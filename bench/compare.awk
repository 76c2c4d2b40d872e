# The table of compare: two files as instructions.sh writes them, before and after.

BEGIN {
    FS = "\t"
    print "| | before | after | after/before | |"
    print "|---|---:|---:|---:|---|"
}
FILENAME == ARGV[1] { before[$1, $2] = $3; next }
{
    old = before[$1, $2]
    moved = old == "" ? "new" : $3 > 1.02 * old ? "more" : $3 < 0.98 * old ? "fewer" : ""
    printf "| %s, %s | %s | %s | %s | %s |\n", $1, $2, old == "" ? "-" : grouped(old), grouped($3),
        ratio($3, old), moved
}
