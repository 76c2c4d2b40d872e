#include "proxy/ops/deployment.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "config/tree.h"
#include "config/values.h"

namespace pgsidecar::ops {
namespace {

constexpr std::array<std::string_view, 6> phases{"none",      "starting", "ready",
                                                 "switching", "draining", "done"};
constexpr const char* heading =
    "# Of `pgsidecar deploy`; `pgsidecar deploy status` explains it. Removing it forgets a "
    "deployment,\n"
    "# and ends no process.\n";

std::string line(std::string_view key, std::string_view text) {
    return std::string{key} + ": " + config::write_text(text) + "\n";
}
std::string line(std::string_view key, unsigned number) {
    return std::string{key} + ": " + std::to_string(number) + "\n";
}
std::string mark_text(const process_mark& m) {
    return m.id == 0 ? std::string{} : std::to_string(m.id) + " " + m.started;
}

template <class Number>
bool read_number(std::string_view text, Number& out) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc{} && end == text.data() + text.size();
}

bool read_mark(std::string_view text, process_mark& out) {
    if (text.empty()) return true;
    const auto blank = text.find(' ');
    if (blank == std::string_view::npos) return false;
    out.started = text.substr(blank + 1);
    return read_number(text.substr(0, blank), out.id);
}

bool read_phase(std::string_view text, deploy_phase& out) {
    const auto* const at = std::ranges::find(phases, text);
    if (at == phases.end()) return false;
    out = static_cast<deploy_phase>(at - phases.begin());
    return true;
}

// False: the value is none of this key. Keys of later versions are passed over.
bool take(const std::string& key, const config::node& value, deployment& out) {
    const std::string& text = value.text;
    if (key == "overrides") {
        for (const auto& item : value.items) out.overrides.push_back(item.text);
        return true;
    }
    if (key == "phase") return read_phase(text, out.phase);
    if (key == "generation") return read_number(text, out.generation);
    if (key == "green_port") return read_number(text, out.green_port);
    if (key == "green_http_port") return read_number(text, out.green_http_port);
    for (const auto& [name, mark] :
         {std::pair{"green", &out.green}, {"blue", &out.blue}, {"serving", &out.serving}})
        if (key == name) return read_mark(text, *mark);
    for (const auto& [name, to] : {std::pair{"config", &out.config},
                                   {"program", &out.program},
                                   {"fingerprint", &out.fingerprint},
                                   {"validated", &out.validated}})
        if (key == name) *to = text;
    return true;
}

std::string quoted(std::string_view text) {
    std::string out = "'";
    for (const char c : text) out += c == '\'' ? std::string{"'\\''"} : std::string{c};
    return out + "'";
}

std::string process(const char* what, const process_mark& m, std::string_view state) {
    if (m.id == 0) return {};
    return std::string{what} + "process " + std::to_string(m.id) + ", " + std::string{state} + "\n";
}

std::string next_step(const deployment& d, const deploy_facts& now) {
    switch (d.phase) {
        case deploy_phase::none:
            return "deploy green: start the new one beside the one that serves";
        case deploy_phase::starting:
            return "deploy green again: it was not seen to answer yet";
        case deploy_phase::ready:
            if (now.changed) return "deploy green again: what was tried out has changed since";
            if (!now.green_runs) return "deploy green again: the one that was tried out is gone";
            return passed(d) ? "deploy switch" : "deploy switch --workload FILE (or --no-validate)";
        case deploy_phase::switching:
            return "deploy switch again: it was interrupted";
        case deploy_phase::draining:
            return now.blue_runs ? "nothing: blue ends when its last client has gone"
                                 : "nothing: blue has ended";
        case deploy_phase::done:
            break;
    }
    return "nothing: the switch is done";
}

}  // namespace

std::string_view to_string(deploy_phase phase) noexcept {
    return phases[static_cast<std::size_t>(phase)];
}

bool passed(const deployment& d) noexcept { return d.validated.starts_with("PASS"); }

std::string write_deployment(const deployment& d) {
    std::string out = heading;
    out += line("phase", to_string(d.phase)) + line("generation", d.generation);
    out += line("config", d.config) + "overrides:";
    if (d.overrides.empty()) out += " []";
    out += "\n";
    for (const auto& one : d.overrides) out += "  - " + config::write_text(one) + "\n";
    out += line("program", d.program) + line("fingerprint", d.fingerprint);
    out += line("green_port", unsigned{d.green_port});
    out += line("green_http_port", unsigned{d.green_http_port});
    out += line("green", mark_text(d.green)) + line("blue", mark_text(d.blue));
    out += line("serving", mark_text(d.serving));
    return out + line("validated", d.validated);
}

deployment_read read_deployment(std::string_view text) {
    const auto tree = config::read_tree(text);
    if (!tree.problems.empty())
        return {std::nullopt, "line " + std::to_string(tree.problems.front().line) + ": " +
                                  tree.problems.front().reason};
    deployment out;
    for (std::size_t i = 0; i < tree.root.keys.size(); ++i) {
        const auto& key = tree.root.keys[i];
        if (!take(key.text, tree.root.items[i], out))
            return {std::nullopt,
                    "line " + std::to_string(key.line) + ": " + key.text + " is not valid"};
    }
    return {std::move(out), {}};
}

std::string start_command(std::string_view command, const deployment& d) {
    std::string out;
    const std::array<std::pair<std::string_view, std::string>, 3> values{
        {{"{generation}", std::to_string(d.generation)},
         {"{config}", quoted(d.config)},
         {"{program}", quoted(d.program)}}};
    while (!command.empty()) {
        const auto* const at = std::ranges::find_if(
            values, [&](const auto& v) { return command.starts_with(v.first); });
        out += at == values.end() ? std::string{command.front()} : at->second;
        command.remove_prefix(at == values.end() ? 1 : at->first.size());
    }
    return out;
}

std::string describe(const deployment& d, const deploy_facts& now) {
    std::string out = "place       " + now.place + ", clients connect to " + now.address + "\n";
    out += "serving     " +
           (now.serving == 0 ? std::string{"nobody"} : "process " + std::to_string(now.serving)) +
           "\n";
    out += "phase       " + std::string{to_string(d.phase)} + ", generation " +
           std::to_string(d.generation) + "\n";
    if (d.phase == deploy_phase::none) return out + "next        " + next_step(d, now) + "\n";
    out += "green       " + d.program + " run -c " + d.config + "\n";
    const bool tried = d.phase == deploy_phase::starting || d.phase == deploy_phase::ready;
    if (tried) {
        const std::string where = "on port " + std::to_string(d.green_port);
        out += process("            ", d.green,
                       !now.green_runs     ? "ended"
                       : now.green_answers ? "answers " + where
                                           : "does not answer " + where);
    }
    out += "validated   " + (d.validated.empty() ? std::string{"not yet"} : d.validated) + "\n";
    out += process("blue        ", d.blue,
                   !now.blue_runs                      ? "ended"
                   : d.phase == deploy_phase::draining ? "serves the clients that it has"
                                                       : "runs");
    if (now.pending) out += "rollback    was begun and perhaps not ended: run it again\n";
    return out + "next        " + next_step(d, now) + "\n";
}

}  // namespace pgsidecar::ops
