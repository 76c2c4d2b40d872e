#include "proxy/ops/validation.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace pgsidecar::ops {
namespace {

using std::to_string;

std::string statements(std::uint64_t n) {
    return to_string(n).append(n == 1 ? " statement" : " statements");
}

std::string percent(double value) {
    std::array<char, 32> out{};
    const auto end =
        std::to_chars(out.data(), out.data() + out.size(), value, std::chars_format::fixed, 0);
    return std::string{out.data(), end.ptr}.append(" %");
}

template <class Which>
std::uint64_t count_of(const validation& run, Which which) {
    return static_cast<std::uint64_t>(std::ranges::count_if(run.tallies, which));
}

void judge_answers(const validation& run, const validation_limits& limits, verdict& out) {
    const auto all = run.all();
    if (all.different > 0)
        out.reasons.push_back(
            to_string(all.different) + " of " + to_string(all.pairs) +
            " answers of green are not blue's, of " +
            statements(count_of(run, [](const auto& t) { return t.different > 0; })));
    if (all.failed > 0)
        out.reasons.push_back(
            statements(count_of(run, [](const auto& t) { return t.failed > 0; })) +
            " failed on blue, which proves nothing about green");
    if (const auto unstable = run.unstable_statements(); unstable > limits.max_unstable)
        out.reasons.push_back("the answers of " + statements(unstable) +
                              " changed on blue itself; --max-unstable allows " +
                              to_string(limits.max_unstable));
    if (all.pairs == 0) out.reasons.emplace_back("nothing was compared");
}

void judge_times(const validation& run, const validation_limits& limits, verdict& out) {
    const auto all = run.all();
    timings green = all.green_first;
    green.merge(all.green);
    const auto p95 = green.quantile(0.95);
    if (limits.target.count() > 0 && p95 > limits.target)
        out.reasons.push_back("p95 through green is " + in_ms(p95) + " ms, the target is " +
                              to_string(limits.target.count()) + " ms");
    for (const auto& [name, part] : {std::pair{"p50", 0.5}, std::pair{"p95", 0.95}}) {
        const auto slow = slowdown_percent(all, part);
        const bool counts = all.green.quantile(part) > all.blue.quantile(part) + slowdown_grace;
        if (counts && slow > limits.max_slowdown_percent)
            out.reasons.push_back(std::string{name} + " through green is " + percent(slow) +
                                  " above blue's; --max-slowdown allows " +
                                  percent(limits.max_slowdown_percent));
    }
}

}  // namespace

void statement_tally::merge(const statement_tally& other) {
    blue.merge(other.blue);
    green_first.merge(other.green_first);
    green.merge(other.green);
    pairs += other.pairs;
    different += other.different;
    failed += other.failed;
    unstable += other.unstable;
    rows = std::max(rows, other.rows);
    bytes = std::max(bytes, other.bytes);
    if (!first) first = other.first;
    if (sqlstate.empty()) sqlstate = other.sqlstate;
}

statement_tally validation::all() const {
    statement_tally out;
    for (const auto& tally : tallies) out.merge(tally);
    out.first.reset();
    out.sqlstate.clear();
    return out;
}

std::size_t validation::unstable_statements() const noexcept {
    return static_cast<std::size_t>(
        std::ranges::count_if(tallies, [](const auto& t) { return t.unstable > 0; }));
}

double slowdown_percent(const statement_tally& tally, double quantile) noexcept {
    const auto blue = tally.blue.quantile(quantile).count();
    const auto green = tally.green.quantile(quantile).count();
    if (blue == 0 || tally.green.count() == 0) return 0;
    return 100.0 * static_cast<double>(green - blue) / static_cast<double>(blue);
}

std::string in_ms(timings::duration d) {
    auto thousandths = to_string(d.count() % 1000);
    thousandths.insert(0, 3 - thousandths.size(), '0');
    return to_string(d.count() / 1000) + "." + thousandths;
}

verdict judge(const validation& run, const validation_limits& limits) {
    verdict out;
    if (run.interrupted) out.reasons.emplace_back("interrupted: this is what was done until then");
    out.reasons.insert(out.reasons.end(), run.broken.begin(), run.broken.end());
    judge_answers(run, limits, out);
    judge_times(run, limits, out);
    out.passed = out.reasons.empty();
    return out;
}

}  // namespace pgsidecar::ops
