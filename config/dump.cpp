#include <algorithm>
#include <cstddef>
#include <map>

#include "config/conninfo.h"
#include "config/load.h"
#include "config/schema.h"

namespace pgsidecar::config {
namespace {

// What stands behind a value: nothing, or a comment that says where it comes from.
class comments {
  public:
    comments() = default;
    explicit comments(const std::map<std::string, std::string>& origins) : origins_{&origins} {}
    [[nodiscard]] std::string of(const std::string& key) const {
        if (origins_ == nullptr) return {};
        const auto found = origins_->find(key);
        return "  # " + (found == origins_->end() ? "default" : found->second);
    }

  private:
    const std::map<std::string, std::string>* origins_ = nullptr;
};

template <class Item>
std::string write_items(const std::vector<Item>& items, const std::string& key,
                        const std::string& indent, const comments& from) {
    if (items.empty()) return " []" + from.of(key);
    std::string out = from.of(key);
    for (std::size_t i = 0; i < items.size(); ++i) {
        Item item{items[i]};  // slots point to what may be changed
        const std::string path = key + '[' + std::to_string(i) + "].";
        std::string_view lead = "- ";
        for (const auto& row : kind_of<Item>().rows) {
            out.append("\n").append(indent).append("  ").append(lead).append(row.path);
            out.append(": ").append(write_scalar(row.at(item)));
            out.append(from.of(path + std::string{row.path}));
            lead = "  ";
        }
    }
    return out;
}

// Everything after the colon.
std::string write_value(const key_row<settings>& row, settings& s, const std::string& indent,
                        const comments& from) {
    const slot value = row.at(s);
    const std::string key{row.path};
    std::string list;
    if (with_items(value,
                   [&](const auto& items) { list = write_items(items, key, indent, from); })) {
        return list;
    }
    if (has(row.flag, key_flag::conninfo)) {
        return ' ' + write_text(redact_conninfo(*std::get<std::string*>(value))) + from.of(key);
    }
    return ' ' + write_scalar(value) + from.of(key);
}

// For comparing, never for showing: passwords stand as they are.
std::string plain_value(const key_row<settings>& row, settings& s) {
    const slot value = row.at(s);
    std::string list;
    if (with_items(value, [&](const auto& items) { list = write_items(items, {}, {}, {}); })) {
        return list;
    }
    return write_scalar(value);
}

std::string dump_with(const settings& s, const comments& from) {
    settings copy = s;
    std::string out;
    std::string_view section;
    for (const auto& row : setting_rows()) {
        const std::size_t dot = row.path.find('.');
        const std::string_view parent =
            dot == std::string_view::npos ? "" : row.path.substr(0, dot);
        if (parent != section && !parent.empty()) out.append(parent).append(":\n");
        section = parent;
        const std::string indent = parent.empty() ? "" : "  ";
        out.append(indent).append(parent.empty() ? row.path : row.path.substr(dot + 1));
        out.append(":").append(write_value(row, copy, indent, from)).append("\n");
    }
    return out;
}

}  // namespace

std::string dump(const settings& s) { return dump_with(s, comments{}); }

std::string dump(const load_result& loaded) {
    return dump_with(loaded.value, comments{loaded.origins});
}

std::vector<std::string> known_keys() {
    settings any;
    std::vector<std::string> out;
    for (const auto& row : setting_rows()) {
        out.emplace_back(row.path);
        with_items(row.at(any), [&]<class Item>(const std::vector<Item>&) {
            for (const auto& inner : kind_of<Item>().rows) {
                out.push_back(std::string{row.path}.append("[].").append(inner.path));
            }
        });
    }
    return out;
}

std::vector<std::string> changed_keys(const settings& before, const settings& after) {
    settings a = before;
    settings b = after;
    std::vector<std::string> out;
    for (const auto& row : setting_rows()) {
        if (plain_value(row, a) != plain_value(row, b)) out.emplace_back(row.path);
    }
    return out;
}

void keep_until_restart(const settings& running, settings& next) {
    settings from = running;  // slots point to what may be changed
    for (const auto& row : setting_rows()) {
        if (!has(row.flag, key_flag::restart)) continue;
        const slot source = row.at(from);
        std::visit([&](auto* to) { *to = *std::get<decltype(to)>(source); }, row.at(next));
    }
}

bool needs_restart(std::string_view key) noexcept {
    const auto rows = setting_rows();
    const auto row = std::ranges::find(rows, key, &key_row<settings>::path);
    return row != rows.end() && has(row->flag, key_flag::restart);
}

}  // namespace pgsidecar::config
