# What the reports share: figures of a line of JSON, medians of samples, numbers to be read.

function value(json, name,    from) {
    from = index(json, "\"" name "\":")
    if (from == 0) return ""
    return substr(json, from + length(name) + 3) + 0
}

function add(key, v) { samples[key, ++count[key]] = v }

function median(key,    n, i, j, t) {
    n = count[key]
    if (n == 0) return ""
    for (i = 1; i <= n; i++) sorted[i] = samples[key, i]
    for (i = 2; i <= n; i++) {
        t = sorted[i]
        for (j = i - 1; j >= 1 && sorted[j] > t; j--) sorted[j + 1] = sorted[j]
        sorted[j + 1] = t
    }
    return n % 2 ? sorted[(n + 1) / 2] : (sorted[n / 2] + sorted[n / 2 + 1]) / 2
}

function number(v, format) { return v == "" ? "-" : sprintf(format, v) }

function grouped(v,    s, out) {
    if (v == "") return "-"
    s = sprintf("%d", v)
    while (length(s) > 3) {
        out = "," substr(s, length(s) - 2) out
        s = substr(s, 1, length(s) - 3)
    }
    return s out
}

function ratio(a, b) { return a == "" || b == "" || b == 0 ? "-" : sprintf("%.2f", a / b) }

# "1.02 (0.97 - 1.10)": of what the rounds gave, the median, the least and the most.
function spread(key,    i, least, most) {
    if (count[key] == 0) return "-"
    least = most = samples[key, 1]
    for (i = 2; i <= count[key]; i++) {
        if (samples[key, i] < least) least = samples[key, i]
        if (samples[key, i] > most) most = samples[key, i]
    }
    return sprintf("%.2f (%.2f - %.2f)", median(key), least, most)
}
