#include "config/list.h"

#include <type_traits>
#include <variant>

#include "config/conninfo.h"
#include "config/schema.h"

namespace pgsidecar::config {
namespace {

// Without the quotation marks that YAML wants.
std::string plain(const slot& value, key_flag flag) {
    if (const auto* text = std::get_if<std::string*>(&value))
        return flag == key_flag::conninfo ? redact_conninfo(**text) : **text;
    if (const auto* texts = std::get_if<std::vector<std::string>*>(&value)) {
        std::string out;
        for (const auto& one : **texts) out.append(out.empty() ? "" : ", ").append(one);
        return out;
    }
    return write_scalar(value);
}

template <class Item>
void add_items(const std::vector<Item>& items, const std::string& key, bool changeable,
               std::vector<listed_setting>& out) {
    Item fresh{};
    for (std::size_t i = 0; i < items.size(); ++i) {
        Item item{items[i]};  // slots point to what may be changed
        for (const auto& row : kind_of<Item>().rows)
            out.push_back({key + '[' + std::to_string(i) + "]." + std::string{row.path},
                           plain(row.at(item), row.flag), plain(row.at(fresh), row.flag),
                           changeable});
    }
}

}  // namespace

std::vector<listed_setting> list_settings(const settings& s) {
    settings now = s;
    settings fresh;
    std::vector<listed_setting> out;
    for (const auto& row : setting_rows()) {
        const std::string key{row.path};
        const bool changeable = row.flag != key_flag::restart;
        const slot value = row.at(now);
        if (with_items(value, [&](const auto& items) { add_items(items, key, changeable, out); }))
            continue;
        out.push_back({key, plain(value, row.flag), plain(row.at(fresh), row.flag), changeable});
    }
    return out;
}

}  // namespace pgsidecar::config
