#include "config/load.h"

#include <utility>

#include "config/files.h"
#include "config/loader.h"

namespace pgsidecar::config {
namespace {

// One YAML file and what it includes.
void read_layer(loader& load, const std::string& path, file_memory& memory) {
    const file_text& yaml = read_file(path, memory);
    if (!yaml.why.empty()) {
        load.report({path}, {}, yaml.why);
        return load.unreadable();
    }
    const auto include = load.read(yaml.text, path);
    if (!include) return;
    const std::string other = path_beside(path, include->path);
    const file_text& json = read_file(other, memory);
    if (json.why.empty()) return load.read_appsettings(json.text, other);
    load.report(include->where, std::string{include_key}, show(other) + ' ' + json.why);
    load.unreadable();
}

}  // namespace

std::string to_string(const problem& p) {
    std::string out = p.file;
    if (p.file == override_name || p.file == later_override_name) {
        if (!p.key.empty()) out.append(" ").append(p.key);
        return out.append(": ").append(p.reason);
    }
    if (p.line > 0) out.append(":").append(std::to_string(p.line));
    if (!p.key.empty()) out.append(": ").append(p.key);
    return out.append(out.empty() ? "" : ": ").append(p.reason);
}

load_result load_text(std::string_view yaml, const std::string& file_name,
                      std::span<const std::string> overrides) {
    loader load{file_name};
    if (const auto include = load.read(yaml, file_name)) {
        load.report(include->where, std::string{include_key}, "has no file that it stands in");
    }
    for (const std::string& text : overrides) load.read_override(text);
    return load.finish();
}

load_result load_file(const std::string& path, std::span<const std::string> overrides,
                      const environment& where) {
    file_memory memory;
    return config::load({path, {overrides.begin(), overrides.end()}, where}, memory);
}

load_result load(const sources& from, file_memory& memory) {
    loader load{from.path};
    const overlay_file& overlay = find_overlay(from.path, from.where, memory);
    const place variable{from.where.variable};
    if (!overlay.why.empty()) load.report(variable, {}, overlay.why);
    if (!overlay.note.empty()) load.note(variable, {}, overlay.note);
    read_layer(load, from.path, memory);
    if (!overlay.path.empty()) read_layer(load, overlay.path, memory);
    for (const std::string& text : from.overrides) load.read_override(text);
    for (const std::string& text : from.later_overrides)
        load.read_override(text, later_override_name);
    return load.finish();
}

}  // namespace pgsidecar::config
