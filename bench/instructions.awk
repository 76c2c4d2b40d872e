# The table of instructions.sh: part, protocol and count, separated by tabs.

BEGIN { FS = "\t" }
{
    if (!($1 in seen)) { seen[$1] = 1; parts[++n] = $1 }
    instructions[$1, $2] = $3
}
END {
    print "| | simple | extended | prepared |"
    print "|---|---:|---:|---:|"
    for (i = 1; i <= n; i++)
        printf "| %s | %s | %s | %s |\n", parts[i], cell(parts[i], "simple"), cell(parts[i], "extended"),
            cell(parts[i], "prepared")
}

function cell(part, protocol) {
    return (part, protocol) in instructions ? grouped(instructions[part, protocol]) : "-"
}
