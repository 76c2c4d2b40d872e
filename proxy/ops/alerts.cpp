#include "proxy/ops/alerts.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "protocol/ascii.h"

namespace pgsidecar::ops {
namespace {

using state_of = alert::state;

constexpr double part = 0.95;
constexpr double calm_below = 0.9;  // of the target
// Samples come a little early or late; a window of six of them is to end with the sixth.
constexpr auto slack = std::chrono::seconds{5};

std::string quoted(std::string_view text) {
    constexpr auto digits = "0123456789abcdef";
    std::string out = "\"";
    for (const char c : text) {
        const auto b = static_cast<unsigned char>(c);
        if (b < 0x20 || b == 0x7f)
            out.append("\\u00").append(1, digits[b >> 4U]).append(1, digits[b & 15U]);
        else if (c == '"' || c == '\\')
            out.append(1, '\\').append(1, c);
        else
            out.push_back(c);
    }
    return out.append(1, '"');
}

std::string milliseconds_of(latency::duration d) {
    const auto tenths = (d.count() + 50) / 100;
    return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10);
}

const char* name_of(state_of s) { return s == state_of::fired ? "fired" : "cleared"; }

}  // namespace

void alert_watch::set(const alert_rules& rules) {
    // Windows that were over another target say nothing of this one.
    if (rules.target != rules_.target || rules.min_statements != rules_.min_statements)
        for (auto& [name, state] : states_) state.over = state.silent = 0;
    rules_ = rules;
}

// Nobody looks any more: what stays open would stay so for ever at whoever keeps account.
alert_report alert_watch::end() {
    alert_report out;
    for (auto& [name, state] : std::exchange(states_, {}))
        if (state.told) tell(name, state, state_of::cleared, {}, out);
    at_begin_.clear();
    begun_ = false;
    shorten(out);
    return out;
}

alert_report alert_watch::look(const observations& now) {
    if (rules_.target.count() == 0) return end();
    alert_report out;
    const bool back = begun_ && now.taken < began_;  // the clock was set
    if (!begun_ || back) {
        begin_window(now);
        return out;
    }
    if (now.taken - began_ + slack < rules_.window) return out;
    for (const auto& [name, totals] : now.tenants) {
        // Who made room for others is in it with all that he ever did.
        if (name == other_name) continue;
        auto& state = states_[name];
        state.tier = totals.tier;
        judge(name, state, since_begin(name, totals.statements.all()), now.taken, out);
    }
    for (auto& [name, state] : states_)
        if (!now.tenants.contains(name)) judge(name, state, {}, now.taken, out);
    const auto remembers = [&](const tenant_state& s) {
        return s.alerting || s.over > 0 ||
               (s.ever_told && now.taken - s.told_at < rules_.repeat_interval);
    };
    std::erase_if(states_, [&](const auto& item) { return !remembers(item.second); });
    out.alerting = static_cast<std::size_t>(
        std::ranges::count_if(states_, [](const auto& item) { return item.second.alerting; }));
    shorten(out);
    begin_window(now);
    return out;
}

void alert_watch::begin_window(const observations& now) {
    begun_ = true;
    began_ = now.taken;
    at_begin_.clear();
    for (const auto& [name, totals] : now.tenants)
        if (name != other_name) at_begin_.emplace(name, totals.statements.all());
}

// One that was forgotten and is known again counts from nothing.
latency alert_watch::since_begin(const std::string& tenant, const latency& times) const {
    const auto before = at_begin_.find(tenant);
    if (before == at_begin_.end() || times.count() < before->second.count() ||
        times.total() < before->second.total())
        return times;
    return times.since(before->second);
}

void alert_watch::judge(const std::string& tenant, tenant_state& state, const latency& times,
                        time_point at, alert_report& out) {
    const auto p95 = times.quantile(part);
    const latency::duration target = rules_.target;
    const latency::duration calm{static_cast<latency::duration::rep>(
        std::floor(calm_below * static_cast<double>(target.count())))};
    const bool silent = times.count() < rules_.min_statements;
    state.silent = silent ? state.silent + 1 : 0;
    state.over = !silent && p95 > target ? state.over + 1 : 0;
    if (state.over >= rules_.windows) state.alerting = true;
    if (state.alerting && (silent ? state.silent >= rules_.windows : p95 < calm)) {
        state.alerting = false;
        if (std::exchange(state.told, false)) tell(tenant, state, state_of::cleared, times, out);
        return;
    }
    if (!state.alerting) return;
    const auto repeat = rules_.repeat_interval;
    const bool due = !state.ever_told || at - state.told_at >= repeat;
    if (!due || (state.told && (repeat.count() == 0 || state.over == 0))) return;
    state.told = state.ever_told = true;
    state.told_at = at;
    tell(tenant, state, state_of::fired, times, out);
}

void alert_watch::tell(const std::string& tenant, tenant_state& state, state_of what,
                       const latency& times, alert_report& out) const {
    out.named.push_back({.what = what,
                         .tenant = tenant,
                         .tier = state.tier,
                         .p95 = times.quantile(part),
                         .target = rules_.target,
                         .statements = times.count()});
}

void alert_watch::shorten(alert_report& out) const {
    std::ranges::stable_sort(out.named, [](const alert& a, const alert& b) {
        return a.what != b.what ? a.what < b.what : a.p95 > b.p95;
    });
    std::vector<alert> kept;
    std::size_t fired = 0, cleared = 0;
    for (auto& one : out.named) {
        const bool is_fired = one.what == state_of::fired;
        if ((is_fired ? fired : cleared)++ < rules_.max_tenants)
            kept.push_back(std::move(one));
        else
            ++(is_fired ? out.more_fired : out.more_cleared);
    }
    out.named = std::move(kept);
}

std::string to_line(const alert& a) {
    return std::string{"alert "} + name_of(a.what) + ": tenant=" + protocol::printable(a.tenant) +
           " tier=" + protocol::printable(a.tier) + " p95=" + milliseconds_of(a.p95) +
           "ms target=" + milliseconds_of(a.target) +
           "ms statements=" + std::to_string(a.statements);
}

std::string to_json(const alert& a) {
    return std::string{"{\"state\":\""} + name_of(a.what) + "\",\"tenant\":" + quoted(a.tenant) +
           ",\"tier\":" + quoted(a.tier) + ",\"p95_ms\":" + milliseconds_of(a.p95) +
           ",\"target_ms\":" + milliseconds_of(a.target) +
           ",\"statements\":" + std::to_string(a.statements) + "}";
}

std::string to_json(const alert_report& report) {
    std::string out = "{\"alerts\":[";
    for (const auto& one : report.named)
        out.append(out.back() == '[' ? "" : ",").append(to_json(one));
    return out + "],\"more_fired\":" + std::to_string(report.more_fired) +
           ",\"more_cleared\":" + std::to_string(report.more_cleared) +
           ",\"alerting\":" + std::to_string(report.alerting) + "}";
}

}  // namespace pgsidecar::ops
