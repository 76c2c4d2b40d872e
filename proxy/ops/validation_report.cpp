#include "proxy/ops/validation_report.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <utility>

#include "protocol/ascii.h"

namespace pgsidecar::ops {
namespace {

using protocol::printable;
using std::to_string;

constexpr std::size_t most_lines = 20;  // of each list in the readable report
constexpr std::size_t most_text = 60;   // characters of a statement there
constexpr std::array quantiles{std::pair{"p50_ms", 0.5}, std::pair{"p95_ms", 0.95},
                               std::pair{"p99_ms", 0.99}};

std::string padded(std::string text, std::size_t width) {
    if (text.size() < width) text.insert(0, width - text.size(), ' ');
    return text;
}

std::string fixed(double value, int digits) {
    std::array<char, 64> out{};
    const auto end =
        std::to_chars(out.data(), out.data() + out.size(), value, std::chars_format::fixed, digits);
    return {out.data(), end.ptr};
}

std::string shortened(const std::string& text) {
    auto out = printable(text);
    if (out.size() <= most_text) return out;
    std::size_t end = most_text;  // not in the middle of a character
    while (end > 0 && (static_cast<unsigned char>(out[end]) & 0xc0U) == 0x80U) --end;
    return out.substr(0, end).append("...");
}

// How a statement is called where there is a line for it.
std::string title(const workload_statement& s) {
    std::string out = s.line > 0 ? "line " + to_string(s.line) + ": " : std::string{};
    return out + shortened(s.name.empty() ? s.normalized : s.name);
}

std::string times_line(std::string_view label, const timings& t) {
    std::string out = "  ";
    out.append(label).append(18 - std::min<std::size_t>(label.size(), 17), ' ');
    out += padded(to_string(t.count()), 9);
    for (const auto& [name, part] : quantiles)
        out += padded(t.count() > 0 ? in_ms(t.quantile(part)) : "-", 11);
    return out + "\n";
}

// Which statements a list is about, those that matter most first.
template <class Which, class Rank>
std::vector<std::size_t> chosen(const validation& run, Which which, Rank rank) {
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < run.tallies.size(); ++i)
        if (which(run.tallies[i])) out.push_back(i);
    std::ranges::stable_sort(
        out, [&](auto a, auto b) { return rank(run.tallies[a]) > rank(run.tallies[b]); });
    return out;
}

template <class Line>
std::string list_of(const validation& run, std::string_view heading,
                    const std::vector<std::size_t>& which, Line line) {
    if (which.empty()) return {};
    std::string out = "\n";
    out.append(heading).append("\n");
    for (std::size_t i = 0; i < std::min(which.size(), most_lines); ++i)
        out += "  " + line(run.statements[which[i]], run.tallies[which[i]]) + "\n";
    if (which.size() > most_lines)
        out += "  and " + to_string(which.size() - most_lines) + " more\n";
    return out;
}

std::string difference_line(const workload_statement& s, const statement_tally& t) {
    std::string out = title(s) + "\n      ";
    if (t.first) {
        out += t.first->what.words;
        if (t.first->parameters > 0) out += " (params line " + to_string(t.first->parameters) + ")";
    }
    out += "; " + to_string(t.different) + " of " + to_string(t.pairs) + " answers";
    const bool limited = t.first && t.first->what.words.find("green: fails with SQLSTATE 55P03") !=
                                        std::string::npos;
    if (limited) out += "\n      55P03 is a tenant's limit: see tenants in config/SETTINGS.md";
    return out;
}

std::string head(const validation& run, const verdict& result) {
    const auto all = run.all();
    std::string out = "pgsidecar validate: ";
    out += result.passed ? "PASS\n" : run.interrupted ? "FAIL, interrupted\n" : "FAIL\n";
    for (const auto& reason : result.reasons) out += "  - " + reason + "\n";
    const auto line = [&out](const char* label, const side& s) {
        out += std::string{"  "} + label + s.address + " " + printable(s.database) + " as " +
               printable(s.user) + "\n";
    };
    line("blue   ", run.blue);
    line("green  ", run.green);
    out += "  " + to_string(run.statements.size()) + " statements, " + to_string(all.pairs) +
           " pairs of answers, " + to_string(all.different) + " different, " +
           to_string(run.unstable_statements()) + " unstable, " + to_string(run.skipped.size()) +
           " skipped; " + to_string(run.clients) + (run.clients == 1 ? " client, " : " clients, ") +
           fixed(static_cast<double>(run.took.count()) / 1000, 1) + " s, seed " +
           to_string(run.seed) + "\n";
    return out;
}

std::string times_table(const validation& run, const validation_limits& limits) {
    const auto all = run.all();
    std::string out = "\n  ms                  answers        p50        p95        p99\n";
    out += times_line("blue", all.blue) + times_line("green, first", all.green_first) +
           times_line("green, again", all.green);
    out += "  target             p95 " +
           (limits.target.count() > 0 ? to_string(limits.target.count()) + " ms" : "none");
    if (all.green.count() > 0)
        out += "; green is " + fixed(slowdown_percent(all, 0.5), 0) + " % (p50) and " +
               fixed(slowdown_percent(all, 0.95), 0) + " % (p95) above blue";
    out += "\n  cache              ";
    if (!run.cache)
        out += "not known: the console was not reached";
    else if (run.cache->calls == 0)
        out += "the console counted no statement";
    else
        out += fixed(100 * static_cast<double>(run.cache->hits) /
                         static_cast<double>(run.cache->calls),
                     1) +
               " % of " + to_string(run.cache->calls) + " statements were hits (all clients)";
    return out + "\n";
}

}  // namespace

std::string text_report(const validation& run, const validation_limits& limits,
                        const verdict& result) {
    const auto green_p95 = [](const statement_tally& t) { return t.green.quantile(0.95); };
    std::string out = head(run, result) + times_table(run, limits);
    out += list_of(run, "Different on green:",
                   chosen(
                       run, [](const auto& t) { return t.different > 0; },
                       [](const auto& t) { return t.different; }),
                   difference_line);
    out +=
        list_of(run, "Failed on blue:",
                chosen(
                    run, [](const auto& t) { return t.failed > 0; },
                    [](const auto& t) { return t.failed; }),
                [](const auto& s, const auto& t) { return title(s) + "  SQLSTATE " + t.sqlstate; });
    out += list_of(run, "Unstable, changed on blue itself (compared as far as that went):",
                   chosen(
                       run, [](const auto& t) { return t.unstable > 0; },
                       [](const auto& t) { return t.unstable; }),
                   [](const auto& s, const auto& t) {
                       return title(s) + "  " + to_string(t.unstable) + " times";
                   });
    std::vector<std::size_t> unordered;
    for (std::size_t i = 0; i < run.tallies.size(); ++i)
        if (!run.statements[i].ordered && run.tallies[i].rows > 1) unordered.push_back(i);
    if (!unordered.empty())
        out += "\n" + to_string(unordered.size()) +
               " statements give rows in no order of their own (no ORDER BY): compared as sets\n";
    out += list_of(run, "Slowest through green (p95, ms):  green       blue",
                   chosen(
                       run, [](const auto& t) { return t.green.count() > 0; }, green_p95),
                   [](const auto& s, const auto& t) {
                       return padded(in_ms(t.green.quantile(0.95)), 37) +
                              padded(in_ms(t.blue.quantile(0.95)), 11) + "  " + title(s);
                   });
    if (!run.skipped.empty()) out += "\nSkipped:\n";
    for (std::size_t i = 0; i < std::min(run.skipped.size(), most_lines); ++i)
        out += "  " + shortened(run.skipped[i].normalized) + "\n      " + run.skipped[i].why + "\n";
    if (run.skipped.size() > most_lines)
        out += "  and " + to_string(run.skipped.size() - most_lines) + " more\n";
    return out;
}

}  // namespace pgsidecar::ops
