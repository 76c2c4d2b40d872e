#include "config/load.h"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <map>
#include <system_error>
#include <type_traits>
#include <utility>

#include "config/check.h"
#include "config/schema.h"
#include "config/suggest.h"
#include "config/tiers.h"
#include "config/tree.h"

namespace pgsidecar::config {
namespace {

constexpr std::size_t max_problems = 100;
constexpr std::string_view override_name = "--set";

struct place {
    std::string file;
    int line = 0;
    int column = 0;
};

class loader {
  public:
    explicit loader(std::string file_name) : main_file_{std::move(file_name)}, file_{main_file_} {}

    void read(std::string_view yaml) {
        tree_result tree = read_tree(yaml);
        for (text_problem& p : tree.problems) {
            report({file_, p.line, p.column}, shown_key(p.key), std::move(p.reason));
        }
        readable_ = tree.problems.empty();
        if (!readable_) return;
        if (tree.root.kind != node_kind::map) {
            return report({file_, tree.root.line, 1}, {}, "the file is no map of keys");
        }
        map(tree.root, {}, setting_rows(), value_);
    }

    void read_override(std::string_view text) {
        file_ = override_name;
        const std::size_t equals = text.find('=');
        if (equals == std::string_view::npos || equals == 0) {
            return report({file_}, {}, "is not of the form key=value");
        }
        const std::string key{text.substr(0, equals)};
        const std::string_view written = text.substr(equals + 1);
        const auto rows = setting_rows();
        const auto row = std::ranges::find(rows, key, &key_row<settings>::path);
        if (row == rows.end()) return unknown_override(key);
        if (const auto bad = prescan(written); !bad.empty()) {
            return report({file_}, key, bad.front().reason);
        }
        node value{node_kind::scalar, 0, 0, std::string{written}, {}, {}};
        if (is_list(row->at(value_))) {
            tree_result tree = read_tree(written);
            if (!tree.problems.empty()) return report({file_}, key, tree.problems.front().reason);
            value = std::move(tree.root);
            forget_lines(value);
        }
        store(value, key, {file_}, *row, value_);
    }

    // A file that could not be opened: what the overrides say is still looked at.
    void unreadable(std::string reason) { report({main_file_}, {}, std::move(reason)); }

    load_result finish() {
        if (readable_) combinations();
        // Only now: the list's order in the file is what messages count by.
        complete_tiers(value_.tenants.tiers);
        value_.tenants.sources.clear();
        for (const std::string& text : value_.tenant_source_texts) {
            std::string why;  // none: each was checked
            if (auto source = policy::read_tenant_source(text, why)) {
                value_.tenants.sources.push_back(std::move(*source));
            }
        }
        return {std::move(value_), std::move(problems_)};
    }

  private:
    void report(const place& where, std::string key, std::string reason) {
        if (problems_.size() > max_problems) return;
        if (problems_.size() == max_problems) {
            problems_.push_back({file_, 0, 0, {}, "has more problems; these are the first"});
            return;
        }
        problems_.push_back(
            {where.file, where.line, where.column, std::move(key), std::move(reason)});
    }

    static bool is_list(const slot& s) noexcept {
        return std::holds_alternative<std::vector<std::string>*>(s) ||
               with_items(s, [](const auto&) {});
    }

    static void forget_lines(node& n) {
        n.line = n.column = 0;
        for (node& key : n.keys) key.line = key.column = 0;
        for (node& item : n.items) forget_lines(item);
    }

    // `path` is how messages name the map. Rows of settings hold it, those of a list's elements
    // do not.
    template <class Owner>
    void map(const node& n, const std::string& path, std::span<const key_row<Owner>> rows,
             Owner& owner) {
        const std::string before = std::is_same_v<Owner, settings> ? path : "";
        for (std::size_t i = 0; i < n.items.size() && problems_.size() <= max_problems; ++i) {
            const node& key = n.keys[i];
            const place where{file_, key.line, key.column};
            const std::string full = path + key.text;
            const bool dotted = key.text.find('.') != std::string::npos;
            const auto named = [&](const auto& r) { return r.path == before + key.text; };
            if (const auto row = std::ranges::find_if(rows, named); row != rows.end() && !dotted) {
                store(n.items[i], full, where, *row, owner);
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

    static bool is_section(std::string_view name) noexcept {
        return std::ranges::find(sections(), name, &section::name) != sections().end();
    }

    void section_map(const node& n, const std::string& name, const place& where) {
        if (n.kind == node_kind::null) return;  // every key of it commented out
        if (n.kind != node_kind::map) {
            return report(where, name, "takes keys of its own, indented below it");
        }
        map(n, name + '.', setting_rows(), value_);
    }

    // "cache.rules[7]." as known_keys() has it: "cache.rules[].".
    static std::string without_index(const std::string& path) {
        const std::size_t open = path.find('[');
        const std::size_t close = path.find(']');
        if (open == std::string::npos || close == std::string::npos) return path;
        return path.substr(0, open + 1) + path.substr(close);
    }

    void unknown(const place& where, const std::string& full, const std::string& schema) {
        const std::string nearest = nearest_key(schema);
        std::string reason = "is not a known key";
        if (!nearest.empty()) reason.append("; did you mean ").append(nearest).append("?");
        report(where, shown_key(full), std::move(reason));
    }

    void unknown_override(const std::string& key) {
        const place where{file_};
        if (is_section(key)) return report(where, key, "is no single key; name one below it");
        for (const auto& row : setting_rows()) {
            const std::string path{row.path};
            if (!key.starts_with(path + '[')) continue;
            std::string many;
            with_items(row.at(value_),
                       [&]<class Item>(const std::vector<Item>&) { many = kind_of<Item>().many; });
            if (many.empty()) continue;
            return report(where, shown_key(key),
                          many.append(" are set as a whole, as ").append(path));
        }
        unknown(where, key, key);
    }

    // A key is text from outside: what cannot be a key is shown quoted and cut.
    static std::string shown_key(const std::string& key) {
        const auto usual = [](char c) {
            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                   c == '_' || c == '.' || c == '-' || c == '[' || c == ']';
        };
        return key.size() <= 120 && std::ranges::all_of(key, usual) ? key : show(key);
    }

    template <class Owner>
    void store(const node& n, const std::string& key, const place& where, const key_row<Owner>& row,
               Owner& owner) {
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
    void texts(const node& n, const std::string& key, const place& where, const key_row<Owner>& row,
               std::vector<std::string>& out) {
        if (n.kind != node_kind::sequence) return report(where, key, "takes a list, [a, b]");
        if (n.items.size() > row.range.max) {
            return report(where, key,
                          "has more than " + std::to_string(row.range.max) + " elements");
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
            if (row.flag == key_flag::folded) {
                for (char& c : text)
                    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
            }
            if (std::string reason = row.check(text); !reason.empty()) {
                report(its, its_key, std::move(reason));
                continue;
            }
            out.push_back(std::move(text));
        }
    }

    template <class Item>
    void items(const node& n, const std::string& key, const place& where, bounds range,
               std::vector<Item>& out) {
        const item_kind<Item>& kind = kind_of<Item>();
        const std::string one{kind.one}, many{kind.many};
        if (n.kind != node_kind::sequence) return report(where, key, "takes a list of " + many);
        if (n.items.size() > range.max) {
            return report(where, key, "has more than " + std::to_string(range.max) + ' ' + many);
        }
        out.assign(n.items.size(), {});
        inherit(n, out);
        for (std::size_t i = 0; i < n.items.size(); ++i) {
            const node& item = n.items[i];
            const std::string its_key = key + '[' + std::to_string(i) + ']';
            const place its{file_, item.line, item.column};
            places_[its_key] = its;
            if (item.kind != node_kind::map) {
                std::string reason = "is not a " + one;
                reason.append("; a ").append(one).append(" has keys: ").append(kind.some_keys);
                report(its, its_key, std::move(reason));
                continue;
            }
            map(item, its_key + '.', kind.rows, out[i]);
        }
    }

    // What the elements of a list start from.
    void inherit(const node&, std::vector<policy::cache_rule>&) {}
    void inherit(const node& n, std::vector<policy::tier>& out) {
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

    static std::string_view name_of(const node& item) noexcept {
        for (std::size_t i = 0; i < item.keys.size(); ++i) {
            if (item.keys[i].text == "name") return item.items[i].text;
        }
        return {};
    }

    // Follow-ups of what was reported already would only confuse.
    void combinations() {
        const auto reported = [this](const std::string& key) {
            return std::ranges::any_of(problems_, [&](const problem& p) {
                return p.key.starts_with(key) &&
                       (p.key.size() == key.size() || p.key[key.size()] == '[');
            });
        };
        for (finding& f : check_combinations(value_)) {
            if (reported(f.key) || std::ranges::any_of(f.also, reported)) continue;
            place where{main_file_};
            if (const auto found = places_.find(f.key); found != places_.end()) {
                where = found->second;
            } else {
                for (const std::string& key : f.also) {
                    if (const auto other = places_.find(key); other != places_.end()) {
                        where = other->second;
                        break;
                    }
                }
            }
            report(where, std::move(f.key), std::move(f.reason));
        }
    }

    std::string main_file_;
    std::string file_;  // being read: main_file_ or override_name
    settings value_;
    std::vector<problem> problems_;
    std::map<std::string, place> places_;  // of every key that was given
    bool readable_ = false;
};

load_result load(std::string_view yaml, std::string file_name, std::string unreadable,
                 std::span<const std::string> overrides) {
    loader load{std::move(file_name)};
    if (unreadable.empty()) {
        load.read(yaml);
    } else {
        load.unreadable(std::move(unreadable));
    }
    for (const std::string& text : overrides) load.read_override(text);
    return load.finish();
}

}  // namespace

std::string to_string(const problem& p) {
    std::string out = p.file;
    if (p.file == override_name) {
        if (!p.key.empty()) out.append(" ").append(p.key);
        return out.append(": ").append(p.reason);
    }
    if (p.line > 0) out.append(":").append(std::to_string(p.line));
    if (!p.key.empty()) out.append(": ").append(p.key);
    return out.append(": ").append(p.reason);
}

load_result load_text(std::string_view yaml, std::string file_name,
                      std::span<const std::string> overrides) {
    return load(yaml, std::move(file_name), {}, overrides);
}

load_result load_file(const std::string& path, std::span<const std::string> overrides) {
    errno = 0;
    std::ifstream in{path, std::ios::binary};
    std::string text;
    if (in) {
        text.resize(max_file_size + 1);  // one more than allowed, so that too much is noticed
        in.read(text.data(), static_cast<std::streamsize>(text.size()));
        text.resize(static_cast<std::size_t>(in.gcount()));
    }
    if (in.bad() || !in.eof()) {
        if (text.size() <= max_file_size) {
            const int error = errno != 0 ? errno : EIO;
            return load({}, path, "cannot be read: " + std::generic_category().message(error),
                        overrides);
        }
    }
    return load(text, path, {}, overrides);
}

}  // namespace pgsidecar::config
