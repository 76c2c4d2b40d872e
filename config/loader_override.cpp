// Overrides of single keys, "key.path=value": from the command line, and while the program runs.
// Elements of lists of maps are called by their name: "cache.rules[NAME].ttl=1m".
#include <algorithm>
#include <utility>

#include "config/loader.h"
#include "config/values.h"

namespace pgsidecar::config {
namespace {

constexpr std::string_view rules_key = "cache.rules";
constexpr std::string_view tiers_key = "tenants.tiers";

void forget_lines(node& n) {
    n.line = n.column = 0;
    for (node& key : n.keys) key.line = key.column = 0;
    for (node& item : n.items) forget_lines(item);
}

// "cache.rules[NAME].KEY" of that list: NAME, which may hold anything, and KEY.
std::optional<std::pair<std::string_view, std::string_view>> item_key(std::string_view key,
                                                                      std::string_view list) {
    if (!key.starts_with(list) || key.size() == list.size() || key[list.size()] != '[')
        return std::nullopt;
    const std::size_t from = list.size() + 1;
    const std::size_t end = key.rfind("].");
    if (end == std::string_view::npos || end < from) return std::nullopt;
    return std::pair{key.substr(from, end - from), key.substr(end + 2)};
}

}  // namespace

void loader::read_override(std::string_view text, std::string_view source) {
    file_ = source;
    const std::size_t equals = text.find('=');
    if (equals == std::string_view::npos || equals == 0) {
        return report({file_}, {}, "is not of the form key=value");
    }
    const std::string key{text.substr(0, equals)};
    const std::string_view written = text.substr(equals + 1);
    const auto rows = setting_rows();
    const auto row = std::ranges::find(rows, key, &key_row<settings>::path);
    if (row == rows.end()) {
        if (!item_override(key, written)) unknown_override(key);
        return;
    }
    const auto value = override_value(key, written, row->at(value_));
    if (!value) return;
    if (key == tiers_key) tiers_.clear();  // the list as a whole
    store(*value, key, {file_, 0, 0, key}, *row, value_);
}

std::optional<node> loader::override_value(const std::string& key, std::string_view written,
                                           const slot& target) {
    if (const auto bad = prescan(written); !bad.empty()) {
        report({file_}, shown_key(key), bad.front().reason);
        return std::nullopt;
    }
    if (!is_list(target)) return node{node_kind::scalar, 0, 0, std::string{written}, {}, {}};
    tree_result tree = read_tree(written);
    if (!tree.problems.empty()) {
        report({file_}, shown_key(key), tree.problems.front().reason);
        return std::nullopt;
    }
    forget_lines(tree.root);
    return std::move(tree.root);
}

// False: it is no key of an element.
bool loader::item_override(const std::string& key, std::string_view written) {
    if (const auto rule = item_key(key, rules_key))
        return rule_override(key, rule->first, rule->second, written), true;
    if (const auto tier = item_key(key, tiers_key))
        return tier_override(key, tier->first, tier->second, written), true;
    return false;
}

void loader::rule_override(const std::string& key, std::string_view name, std::string_view leaf,
                           std::string_view written) {
    auto& rules = value_.cache.rules.rules;
    const auto rule = std::ranges::find(rules, name, &policy::cache_rule::name);
    if (rule == rules.end())
        return report({file_}, shown_key(key), "there is no rule of that name");
    const auto rows = kind_of<policy::cache_rule>().rows;
    const auto row = std::ranges::find(rows, leaf, &key_row<policy::cache_rule>::path);
    if (row == rows.end()) {
        return unknown({file_}, key, std::string{rules_key}.append("[].").append(leaf));
    }
    if (leaf == "name") return report({file_}, shown_key(key), "is how the rule is called here");
    const auto value = override_value(key, written, row->at(*rule));
    if (!value) return;
    const auto i = static_cast<std::size_t>(rule - rules.begin());
    std::string path{rules_key};
    path.append("[").append(std::to_string(i)).append("].").append(leaf);
    const place where{file_, 0, 0, shown_key(key)};
    store(*value, path, where, *row, *rule);
}

// As a layer that says this one thing of that tier.
void loader::tier_override(const std::string& key, std::string_view name, std::string_view leaf,
                           std::string_view written) {
    const auto known = tier_names();
    if (std::ranges::find(known, name) == known.end())
        return report({file_}, shown_key(key), "there is no tier of that name");
    const auto rows = kind_of<policy::tier>().rows;
    const auto row = std::ranges::find(rows, leaf, &key_row<policy::tier>::path);
    if (row == rows.end()) {
        return unknown({file_}, key, std::string{tiers_key}.append("[].").append(leaf));
    }
    if (leaf == "name") return report({file_}, shown_key(key), "is how the tier is called here");
    policy::tier any;
    auto value = override_value(key, written, row->at(any));
    if (!value) return;
    const auto text = [](std::string_view t) {
        return node{node_kind::scalar, 0, 0, std::string{t}, {}, {}};
    };
    node item{node_kind::map, 0, 0, {}, {}, {}};
    item.keys = {text("name"), text(leaf)};
    item.keys.back().alias = shown_key(key);
    item.items = {text(name), std::move(*value)};
    node list{node_kind::sequence, 0, 0, {}, {}, {}};
    list.items.push_back(std::move(item));
    const auto all = setting_rows();
    const auto tiers = std::ranges::find(all, tiers_key, &key_row<settings>::path);
    const auto before = places_.find(std::string{tiers_key});
    const place whole = before == places_.end() ? place{file_} : before->second;
    store(list, std::string{tiers_key}, whole, *tiers, value_);
}

void loader::unknown_override(const std::string& key) {
    const place where{file_};
    if (is_section(key)) return report(where, key, "is no single key; name one below it");
    if (key == include_key) return report(where, key, "is for a file, not for the command line");
    for (const auto& row : setting_rows()) {
        const std::string path{row.path};
        if (!key.starts_with(path + '[')) continue;
        std::string many;
        with_items(row.at(value_),
                   [&]<class Item>(const std::vector<Item>&) { many = kind_of<Item>().many; });
        if (many.empty()) continue;
        return report(where, shown_key(key), many.append(" are set as a whole, as ").append(path));
    }
    unknown(where, key, key);
}

}  // namespace pgsidecar::config
