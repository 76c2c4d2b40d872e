#include "config/appsettings.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

#include "config/appsettings_keys.h"
#include "config/json_tree.h"
#include "config/schema.h"
#include "config/suggest.h"
#include "config/values.h"
#include "protocol/ascii.h"

namespace pgsidecar::config {
namespace {

constexpr std::size_t max_reports = 101;  // one more than a load reports

enum class part : std::uint8_t { performance, limits, logging };
constexpr std::array<std::pair<std::string_view, part>, 3> parts{
    {{"Performance", part::performance},
     {"PerformanceLimits", part::limits},
     {"Logging", part::logging}}};

// A value that is read. Views into the tree of the JSON.
struct entry {
    part of;
    std::string_view group;  // PerformanceLimits: the tier; Logging: LogLevel
    std::string_view name;
    const node* value;
    int line;

    [[nodiscard]] std::string path() const {
        std::string out{
            std::ranges::find(parts, of, [](const auto& p) { return p.second; })->first};
        if (!group.empty()) out.append(".").append(group);
        return out.append(".").append(name);
    }
    // Who is read later wins.
    [[nodiscard]] int rank() const noexcept {
        if (of == part::logging) return protocol::same_in_any_case(name, "Default") ? 0 : 3;
        return of == part::performance ? 1 : 2;
    }
};

class reader {
  public:
    explicit reader(std::span<const std::string> tiers) : tiers_{tiers} {
        out_.root.kind = node_kind::map;
    }

    appsettings_result run(std::string_view text) {
        tree_result tree = read_json(text);
        out_.problems = std::move(tree.problems);
        if (out_.problems.empty() && tree.root.kind != node_kind::map) {
            problem(1, {}, "the file is no JSON object");
        }
        if (!out_.problems.empty()) return std::move(out_);
        std::vector<std::string_view> path;
        collect(tree.root, path);
        std::ranges::stable_sort(entries_, {}, &entry::rank);
        for (const entry& one : entries_) read(one);
        std::ranges::stable_sort(out_.problems, {}, &text_problem::line);
        std::ranges::stable_sort(out_.notes, {}, &text_problem::line);
        return std::move(out_);
    }

  private:
    void problem(int line, std::string key, std::string reason) {
        if (out_.problems.size() >= max_reports) return;
        out_.problems.push_back({line, 0, std::move(key), std::move(reason)});
    }

    // Finds the entries. `path` leads to `map`.
    void collect(const node& map, std::vector<std::string_view>& path) {
        const std::size_t before = path.size();
        for (std::size_t i = 0; i < map.items.size(); ++i) {
            std::string_view rest = map.keys[i].text;
            for (std::size_t colon = 0; colon != std::string_view::npos;) {
                colon = rest.find(':');
                path.push_back(rest.substr(0, colon));
                if (colon != std::string_view::npos) rest.remove_prefix(colon + 1);
            }
            found(map.items[i], map.keys[i].line, path);
            path.resize(before);
        }
    }

    void found(const node& value, int line, std::vector<std::string_view>& path) {
        const auto its = std::ranges::find_if(
            parts, [&](const auto& p) { return protocol::same_in_any_case(p.first, path[0]); });
        if (its == parts.end()) return;
        const bool logging = its->second == part::logging;
        if (logging && path.size() > 1 && !protocol::same_in_any_case(path[1], "LogLevel")) return;
        const std::size_t depth = its->second == part::performance ? 2 : 3;
        if (path.size() < depth) {
            if (value.kind == node_kind::map) return collect(value, path);
            if (logging || value.kind == node_kind::null) return;
            std::string name{its->first};
            if (path.size() > 1) name.append(".").append(path[1]);
            return problem(line, std::move(name), "takes keys of its own");
        }
        if (logging &&
            (path.size() > depth || (!protocol::same_in_any_case(path[2], "Default") &&
                                     !protocol::same_in_any_case(path[2], "pgsidecar")))) {
            return;  // what other parts of the application log
        }
        const std::string_view group = depth == 3 ? path[1] : std::string_view{};
        // "Performance:A:B" is no key either: the name then goes to the end of the text.
        const char* const end = path.back().data() + path.back().size();
        const char* const begin = path[depth - 1].data();
        const bool one_text = path.size() > depth;
        const std::string_view name =
            one_text ? std::string_view{begin, static_cast<std::size_t>(end - begin)}
                     : path[depth - 1];
        entries_.push_back({its->second, group, name, &value, line});
    }

    void read(const entry& one) {
        if (out_.problems.size() >= max_reports) return;
        if (one.of == part::logging) return take(one, log_level_key(), {});
        const std::span<const json_key> keys =
            one.of == part::performance ? performance_keys() : limit_keys();
        std::string_view tier = "default";
        if (one.of == part::limits) {
            const auto named = tier_of(one.group);
            if (!named) return unknown_tier(one);
            tier = *named;
        }
        const auto key = std::ranges::find_if(
            keys, [&](const json_key& k) { return protocol::same_in_any_case(k.name, one.name); });
        if (key != keys.end()) return take(one, *key, tier);
        std::vector<std::string_view> names;
        for (const json_key& k : keys) names.push_back(k.name);
        std::string reason = "is not a known key";
        const std::string_view nearest = nearest_name(one.name, names);
        if (!nearest.empty()) reason.append("; did you mean ").append(nearest).append("?");
        problem(one.line, one.path(), std::move(reason));
    }

    [[nodiscard]] std::optional<std::string_view> tier_of(std::string_view written) const {
        for (const std::string& tier : tiers_) {
            if (protocol::same_in_any_case(tier, written) ||
                protocol::same_in_any_case(tier + "Tenant", written)) {
                return tier;
            }
        }
        return std::nullopt;
    }

    // Once for each, not for each of its keys.
    void unknown_tier(const entry& one) {
        if (!unknown_.emplace(one.group, one.line).second) return;
        std::vector<std::string> texts{"DefaultTenant", "PremiumTenant"};
        for (const std::string& tier : tiers_) {
            if (tier != "default" && tier != "premium") texts.push_back(tier);
        }
        const std::vector<std::string_view> names{texts.begin(), texts.end()};
        std::string reason = "is no tier that has been named before";
        const std::string_view nearest = nearest_name(one.group, names);
        if (!nearest.empty()) reason.append("; did you mean ").append(nearest).append("?");
        problem(one.line, "PerformanceLimits." + std::string{one.group}, std::move(reason));
    }

    void take(const entry& one, const json_key& key, std::string_view tier) {
        // Of one rank there is one key for a setting: more are the same key in other words.
        const std::string id = std::to_string(one.rank()).append(tier).append(" ").append(key.name);
        const auto [first, fresh] = seen_.emplace(id, one.line);
        if (!fresh) {
            return problem(one.line, one.path(),
                           "is given twice; the first is in line " + std::to_string(first->second));
        }
        if (one.value->kind == node_kind::null) {
            return problem(one.line, one.path(), "has no value");
        }
        if (one.value->kind != node_kind::scalar) {
            return problem(one.line, one.path(), "takes one value");
        }
        std::string written;
        std::string reason = convert(one.value->text, key, written);
        if (!reason.empty()) return problem(one.line, one.path(), std::move(reason));
        if (key.how == as::always) {
            if (written == "false")
                out_.notes.push_back({one.line, 0, one.path(),
                                      "changes nothing: answers are "
                                      "streamed in any case"});
        } else if (key.setting.empty()) {
            out_.notes.push_back({one.line, 0, one.path(), "has no effect in this version"});
        } else if (!written.empty()) {
            put(one, key.setting, tier, written);
        }
    }

    // Empty on success; `out` is how YAML would write it, or empty if there is nothing to set.
    static std::string convert(const std::string& text, const json_key& key, std::string& out) {
        switch (key.how) {
            case as::flag:
            case as::always:
            case as::detailed: {
                const bool on = protocol::same_in_any_case(text, "true");
                if (!on && !protocol::same_in_any_case(text, "false")) {
                    return show(text) + " is neither true nor false";
                }
                if (key.how == as::flag || key.how == as::always) out = on ? "true" : "false";
                if (key.how == as::detailed && on) out = "debug";
                return {};
            }
            case as::word:
                return convert_word(text, key, out);
            case as::level:
                return convert_level(text, out);
            default:
                break;
        }
        std::uint64_t number = 0;
        std::string reason = read_integer(text, range_of(key), number);
        if (reason.empty()) out = std::to_string(number).append(suffix_of(key.how));
        return reason;
    }

    static std::string convert_word(const std::string& text, const json_key& key,
                                    std::string& out) {
        settings any;
        for (const auto& row : setting_rows()) {
            if (row.path != key.setting) continue;
            const auto names = choices(row.at(any));
            for (const std::string_view name : names) {
                if (protocol::same_in_any_case(name, text)) return out = name, std::string{};
            }
            return read_scalar(text, row.at(any), row.range, row.check, row.flag);
        }
        return "has no setting";
    }

    static std::string convert_level(const std::string& text, std::string& out) {
        std::string all;
        for (const auto& [theirs, ours] : dotnet_levels()) {
            if (protocol::same_in_any_case(theirs, text)) return out = ours, std::string{};
            all.append(all.empty() ? "" : ", ").append(theirs);
        }
        return show(text) + " is not one of: " + all;
    }

    // Into the tree, in place of what an entry of a lower rank said.
    void put(const entry& one, std::string_view setting, std::string_view tier, std::string text) {
        node* map = &out_.root;
        std::string_view leaf = setting;
        if (setting.starts_with(of_tier)) {
            map = &tier_map(one, tier);
            leaf.remove_prefix(of_tier.size());
        } else if (const std::size_t dot = setting.find('.'); dot != std::string_view::npos) {
            map = &child(*map, one, setting.substr(0, dot), node_kind::map);
            leaf.remove_prefix(dot + 1);
        }
        node& value = child(*map, one, leaf, node_kind::scalar);
        value.text = std::move(text);
        for (node& key : map->keys) {
            if (key.text == leaf) key.line = one.line, key.alias = one.path();
        }
    }

    static node& child(node& map, const entry& one, std::string_view name, node_kind kind) {
        const auto at = std::ranges::find(map.keys, name, &node::text);
        if (at != map.keys.end()) return map.items[static_cast<std::size_t>(at - map.keys.begin())];
        map.keys.push_back({node_kind::scalar, one.line, 0, std::string{name}, {}, {}, one.path()});
        return map.items.emplace_back(node{kind, one.line, 0, {}, {}, {}});
    }

    node& tier_map(const entry& one, std::string_view tier) {
        node& list = child(child(out_.root, one, "tenants", node_kind::map), one, "tiers",
                           node_kind::sequence);
        for (node& item : list.items) {
            if (item.items.front().text == tier) return item;
        }
        node& fresh = list.items.emplace_back(node{node_kind::map, one.line, 0, {}, {}, {}});
        child(fresh, one, "name", node_kind::scalar).text = tier;
        return fresh;
    }

    std::span<const std::string> tiers_;
    std::vector<entry> entries_;
    std::map<std::string, int> seen_;
    std::map<std::string_view, int> unknown_;
    appsettings_result out_;
};

}  // namespace

appsettings_result read_appsettings(std::string_view json, std::span<const std::string> tiers) {
    return reader{tiers}.run(json);
}

}  // namespace pgsidecar::config
