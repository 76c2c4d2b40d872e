#include "config/loader.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "config/appsettings.h"
#include "config/suggest.h"
#include "config/tiers.h"
#include "protocol/ascii.h"

namespace pgsidecar::config {
namespace {

constexpr std::string_view tiers_key = "tenants.tiers";

// "cache.rules[7]." as known_keys() has it: "cache.rules[].".
std::string without_index(const std::string& path) {
    const std::size_t open = path.find('[');
    const std::size_t close = path.find(']');
    if (open == std::string::npos || close == std::string::npos) return path;
    return path.substr(0, open + 1) + path.substr(close);
}

std::string indexed(std::string_view list, std::size_t i) {
    return std::string{list}.append("[").append(std::to_string(i)).append("]");
}

}  // namespace

std::optional<loader::include> loader::read(std::string_view yaml, const std::string& file) {
    file_ = file;
    include_.reset();
    tree_result tree = read_tree(yaml);
    for (text_problem& p : tree.problems) {
        report({file_, p.line, p.column}, shown_key(p.key), std::move(p.reason));
    }
    if (!tree.problems.empty()) return unreadable(), std::nullopt;
    if (tree.root.kind != node_kind::map) {
        report({file_, tree.root.line, 1}, {}, "the file is no map of keys");
        return std::nullopt;
    }
    map(tree.root, {}, setting_rows(), value_);
    return std::exchange(include_, std::nullopt);
}

void loader::read_appsettings(std::string_view json, const std::string& file) {
    file_ = file;
    appsettings_result got = config::read_appsettings(json, tier_names());
    for (text_problem& p : got.problems) {
        report({file_, p.line, p.column}, shown_key(p.key), std::move(p.reason));
    }
    for (text_problem& p : got.notes) {
        note({file_, p.line, p.column}, shown_key(p.key), std::move(p.reason));
    }
    if (!got.problems.empty()) return unreadable();
    map(got.root, {}, setting_rows(), value_);
}

bool loader::is_list(const slot& s) noexcept {
    return std::holds_alternative<std::vector<std::string>*>(s) ||
           with_items(s, [](const auto&) {});
}

bool loader::is_section(std::string_view name) noexcept {
    return std::ranges::find(sections(), name, &section::name) != sections().end();
}

// `path` is how messages name the map. Rows of settings hold it, those of a list's elements
// do not.
template <class Owner>
void loader::map(const node& n, const std::string& path, std::span<const key_row<Owner>> rows,
                 Owner& owner) {
    const std::string before = std::is_same_v<Owner, settings> ? path : "";
    for (std::size_t i = 0; i < n.items.size() && problems_.size() <= max_problems; ++i) {
        const node& key = n.keys[i];
        const std::string full = path + key.text;
        const bool foreign = !key.alias.empty();
        const place where{file_, key.line, key.column, foreign ? key.alias : full, foreign};
        const bool dotted = key.text.find('.') != std::string::npos;
        const auto named = [&](const auto& r) { return r.path == before + key.text; };
        if (const auto row = std::ranges::find_if(rows, named); row != rows.end() && !dotted) {
            store(n.items[i], full, where, *row, owner);
        } else if (path.empty() && key.text == include_key) {
            included(n.items[i], where);
        } else if (path.empty() && is_section(key.text)) {
            section_map(n.items[i], key.text, where);
        } else if (row != rows.end()) {
            const std::size_t dot = key.text.rfind('.');
            report(where, full,
                   "is written with a dot; put " + key.text.substr(dot + 1) + " under " +
                       key.text.substr(0, dot));
        } else {
            unknown(where, full, without_index(path) + key.text);
        }
    }
}

void loader::section_map(const node& n, const std::string& name, const place& where) {
    if (n.kind == node_kind::null) return;  // every key of it commented out
    if (n.kind != node_kind::map) {
        return report(where, name, "takes keys of its own, indented below it");
    }
    map(n, name + '.', setting_rows(), value_);
}

void loader::unknown(const place& where, const std::string& full, const std::string& schema) {
    const std::string nearest = nearest_key(schema);
    std::string reason = "is not a known key";
    if (!nearest.empty()) reason.append("; did you mean ").append(nearest).append("?");
    report(where, shown_key(full), std::move(reason));
}

void loader::included(const node& n, const place& where) {
    if (n.kind != node_kind::scalar || n.text.empty()) {
        return report(where, std::string{include_key}, "takes the name of one file");
    }
    if (std::string reason = check_path(n.text); !reason.empty()) {
        return report(where, std::string{include_key}, std::move(reason));
    }
    include_ = include{n.text, where};
}

template <class Owner>
void loader::store(const node& n, const std::string& key, const place& where,
                   const key_row<Owner>& row, Owner& owner) {
    places_[key] = where;
    const slot target = row.at(owner);
    if (n.kind == node_kind::null) {
        return report(where, key,
                      is_list(target) ? "has no value; [] is an empty list" : "has no value");
    }
    if (const auto* list = std::get_if<std::vector<std::string>*>(&target)) {
        return texts(n, key, where, row, **list);
    }
    if (with_items(target, [&](auto& list) { items(n, key, where, row.range, list); })) return;
    if (n.kind != node_kind::scalar) return report(where, key, "takes one value");
    std::string reason = read_scalar(n.text, target, row.range, row.check, row.flag);
    if (reason.empty()) return;
    if constexpr (!std::is_same_v<Owner, settings>) {
        // Elsewhere 0 often means "no limit".
        const std::string mode = std::string{row.path} + "_mode";
        const auto rows = kind_of<Owner>().rows;
        if (n.text == "0" && std::ranges::find(rows, mode, &key_row<Owner>::path) != rows.end())
            reason.append("; for no limit set ").append(mode).append(" to off");
    }
    report(where, key, std::move(reason));
}

template <class Owner>
void loader::texts(const node& n, const std::string& key, const place& where,
                   const key_row<Owner>& row, std::vector<std::string>& out) {
    if (n.kind != node_kind::sequence) return report(where, key, "takes a list, [a, b]");
    if (n.items.size() > row.range.max) {
        return report(where, key, "has more than " + std::to_string(row.range.max) + " elements");
    }
    out.clear();
    for (std::size_t i = 0; i < n.items.size(); ++i) {
        const node& item = n.items[i];
        const place its{file_, item.line, item.column};
        const std::string its_key = key + '[' + std::to_string(i) + ']';
        std::string text = item.text;
        if (item.kind != node_kind::scalar) {
            report(its, its_key, "takes one value");
            continue;
        }
        if (has(row.flag, key_flag::folded)) text = protocol::lower_case(text);
        if (std::string reason = row.check(text); !reason.empty()) {
            report(its, its_key, std::move(reason));
            continue;
        }
        out.push_back(std::move(text));
    }
}

template <class Item>
void loader::items(const node& n, const std::string& key, const place& where, bounds range,
                   std::vector<Item>& out) {
    const item_kind<Item>& kind = kind_of<Item>();
    const std::string one{kind.one}, many{kind.many};
    if (n.kind != node_kind::sequence) return report(where, key, "takes a list of " + many);
    if (n.items.size() > range.max) {
        return report(where, key, "has more than " + std::to_string(range.max) + ' ' + many);
    }
    forget_places(key + '[');
    out.assign(n.items.size(), {});
    inherit(n, out);
    for (std::size_t i = 0; i < n.items.size(); ++i) {
        const node& item = n.items[i];
        const std::string its_key = key + '[' + std::to_string(i) + ']';
        const place its{file_, item.line, item.column, its_key};
        places_[its_key] = its;
        if (item.kind != node_kind::map) {
            std::string reason = "is not a " + one;
            reason.append("; a ").append(one).append(" has keys: ").append(kind.some_keys);
            report(its, its_key, std::move(reason));
            continue;
        }
        map(item, its_key + '.', kind.rows, out[i]);
    }
    layer(n, out);
}

// What the elements of a list start from.
void loader::inherit(const node& n, std::vector<policy::tier>& out) {
    policy::tier base = policy::shipped_tiers().front();
    const auto given = std::ranges::find(n.items, base.name, name_of);
    if (given != n.items.end()) {
        // Its problems are reported when its turn comes.
        const std::size_t before = problems_.size();
        map(*given, "tenants.tiers[].", kind_of<policy::tier>().rows, base);
        problems_.resize(std::min(before, problems_.size()));
    }
    base.members.clear();  // if it has some, that is reported at its turn
    for (std::size_t i = 0; i < out.size(); ++i) {
        out[i] = inherited_tier(base, name_of(n.items[i]));
    }
}

std::string_view loader::name_of(const node& item) noexcept {
    for (std::size_t i = 0; i < item.keys.size(); ++i) {
        if (item.keys[i].text == "name") return item.items[i].text;
    }
    return {};
}

// The checked list, put over the tiers of the layers before it. A name may stand once in each list.
void loader::layer(const node& n, const std::vector<policy::tier>&) {
    std::map<std::string_view, std::size_t> seen;
    for (std::size_t i = 0; i < n.items.size(); ++i) {
        const node& item = n.items[i];
        const std::string_view name = name_of(item);
        const auto [first, fresh] = seen.emplace(name, i);
        if (!fresh && !name.empty()) {
            const auto key = std::ranges::find(item.keys, "name", &node::text);
            report(
                {file_, key->line, key->column}, indexed(tiers_key, i) + ".name",
                show(name) + " is the name of " + indexed(tiers_key, first->second) + " already");
            continue;
        }
        auto into = std::ranges::find(tiers_, name, &given_tier::name);
        if (into == tiers_.end() || name.empty()) {
            into = tiers_.insert(tiers_.end(), given_tier{std::string{name}, {}, true, {}});
        }
        into->where = {file_, item.line, item.column, indexed(tiers_key, i)};
        into->is_map = item.kind == node_kind::map;
        merge_keys(item, i, *into);
    }
}

void loader::merge_keys(const node& item, std::size_t number, given_tier& into) const {
    for (std::size_t i = 0; i < item.keys.size(); ++i) {
        const node& key = item.keys[i];
        const bool foreign = !key.alias.empty();
        const std::string path = indexed(tiers_key, number) + '.' + key.text;
        given_key fresh{
            key, item.items[i], {file_, key.line, key.column, foreign ? key.alias : path, foreign}};
        const auto same = [&](const given_key& k) { return k.key.text == key.text; };
        const auto found = std::ranges::find_if(into.keys, same);
        if (found == into.keys.end()) {
            into.keys.push_back(std::move(fresh));
        } else if (key.text != "name") {  // the name is how it was found
            *found = std::move(fresh);
        }
    }
}

// The tiers of all layers together. Each layer has been checked, so nothing is reported here.
void loader::apply_tiers() {
    if (!places_.contains(std::string{tiers_key})) return;
    const std::size_t before = problems_.size();
    node list{node_kind::sequence, 0, 0, {}, {}, {}};
    for (const given_tier& t : tiers_) {
        node& one = list.items.emplace_back();
        if (t.is_map) one.kind = node_kind::map;
        for (const given_key& k : t.keys) {
            one.keys.push_back(k.key);
            one.items.push_back(k.value);
        }
    }
    forget_places(std::string{tiers_key} + '[');
    std::vector<policy::tier>& out = value_.tenants.tiers;
    out.assign(list.items.size(), {});
    inherit(list, out);
    forget_places(std::string{tiers_key} + '[');
    for (std::size_t i = 0; i < out.size(); ++i) {
        const std::string path = indexed(tiers_key, i);
        map(list.items[i], path + '.', kind_of<policy::tier>().rows, out[i]);
        places_[path] = tiers_[i].where;
        for (const given_key& k : tiers_[i].keys) places_[path + '.' + k.key.text] = k.where;
    }
    problems_.resize(std::min(before, problems_.size()));
}

std::vector<std::string> loader::tier_names() const {
    std::vector<std::string> out;
    for (const policy::tier& shipped : policy::shipped_tiers()) out.push_back(shipped.name);
    for (const given_tier& t : tiers_) out.push_back(t.name);
    return out;
}

void loader::forget_places(const std::string& prefix) {
    auto at = places_.lower_bound(prefix);
    while (at != places_.end() && at->first.starts_with(prefix)) at = places_.erase(at);
}

}  // namespace pgsidecar::config
