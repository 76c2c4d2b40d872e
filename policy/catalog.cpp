#include "policy/catalog.h"

#include <algorithm>
#include <array>

namespace pgsidecar::policy {
namespace {

template <typename Map, typename Key>
auto* lookup(const Map& map, const Key& key) noexcept {
    const auto it = map.find(key);
    return it == map.end() ? nullptr : &it->second;
}

}  // namespace

std::string_view catalog::login_default(std::string_view user,
                                        std::string_view setting) const noexcept {
    // Four levels, the narrower wins: role in database, role, database, everywhere.
    std::array<const std::string*, 4> level{};
    for (const auto& d : defaults_) {
        if (d.name != setting || (!d.role.empty() && d.role != user)) continue;
        const std::size_t at = (d.role.empty() ? 2U : 0U) + (d.this_database ? 0U : 1U);
        level[at] = &d.value;
    }
    const std::string* found = nullptr;
    for (const auto* value : level) {
        if (value != nullptr && found == nullptr) found = value;
    }
    if (found == nullptr) found = lookup(server_settings_, setting);
    if (found == nullptr) return {};
    // An empty path is a path: say so in the form that cannot be taken for "unknown".
    if (found->empty() && setting == "search_path") return "\"\"";
    return *found;
}

std::string catalog::login_defaults_text(std::string_view user) const {
    // Zero bytes separate: no role name, setting or value can hold one.
    std::string text;
    for (const auto& d : defaults_) {
        if (!d.role.empty() && d.role != user) continue;
        text.append(1, d.role.empty() ? '*' : 'r').append(1, d.this_database ? 'd' : '*');
        text.append(d.name).append(1, '\0').append(d.value).append(1, '\0');
    }
    return text;
}

const relation* catalog::find(oid id) const noexcept {
    const auto* at = lookup(relation_by_id_, id);
    return at == nullptr ? nullptr : &relations_[*at];
}

const relation* catalog::find(std::string_view schema, std::string_view name) const noexcept {
    const auto* names = lookup(relation_by_name_, schema);
    if (names == nullptr) return nullptr;
    const auto* at = lookup(*names, name);
    return at == nullptr ? nullptr : &relations_[*at];
}

const schema_info* catalog::find_schema(std::string_view name) const noexcept {
    return lookup(schemas_, name);
}

bool catalog::surely_usable(const schema_info& schema, std::string_view role) const noexcept {
    return schema.usage_for_all || std::ranges::find(schema.usage, role) != schema.usage.end() ||
           lookup(superusers_, role) != nullptr;
}

std::optional<volatility> catalog::builtin_function(std::string_view name) const noexcept {
    const auto* kind = lookup(builtin_functions_, name);
    return kind == nullptr ? std::nullopt : std::optional{*kind};
}

std::optional<volatility> catalog::builtin_operator(std::string_view name) const noexcept {
    const auto* kind = lookup(builtin_operators_, name);
    return kind == nullptr ? std::nullopt : std::optional{*kind};
}

const function_info* catalog::find_function(oid id) const noexcept {
    const auto* function = lookup(functions_, id);
    return function == nullptr ? nullptr : function->get();
}

std::span<const function_info* const> catalog::functions_named(
    std::string_view name) const noexcept {
    const auto* list = lookup(functions_by_name_, name);
    return list == nullptr ? std::span<const function_info* const>{} : std::span{*list};
}

std::span<const operator_info> catalog::operators_named(std::string_view name) const noexcept {
    const auto* list = lookup(operators_, name);
    return list == nullptr ? std::span<const operator_info>{} : std::span{*list};
}

std::span<const type_info> catalog::types_named(std::string_view name) const noexcept {
    const auto* list = lookup(types_, name);
    return list == nullptr ? std::span<const type_info>{} : std::span{*list};
}

bool catalog::is_datetime_column(std::string_view name,
                                 std::span<const oid> relations) const noexcept {
    const auto* use = lookup(columns_, name);
    if (use == nullptr) return false;
    bool datetime = false;
    for (const oid id : relations) {
        if (std::ranges::binary_search(use->other, id)) return false;
        datetime = datetime || std::ranges::binary_search(use->datetime, id);
    }
    return datetime;
}

bool catalog::publishes(std::string_view publication, const relation& table) const {
    if (table.kind == 'p') return true;  // has no rows of its own
    if (table.kind != 'r') return false;
    const auto* listed = lookup(publications_, publication);
    if (listed == nullptr || listed->empty()) return false;
    if (listed->front() == 0 || std::ranges::binary_search(*listed, table.id)) return true;
    for (const oid id : table.parents) {
        // Partitions have one parent, partitioned ones in between may have another.
        const auto* above = find(id);
        while (above != nullptr && above->kind == 'p') {
            if (std::ranges::binary_search(*listed, above->id)) return true;
            above = above->parents.empty() ? nullptr : find(above->parents.front());
        }
    }
    return false;
}

bool catalog::is_watched(const relation& table) const {
    if (table.kind == 'm') return true;
    const auto tells = [this](const trigger& t) {
        // PostgreSQL's pg_trigger.h: for each row, before, instead of; insert, delete, update,
        // truncate.
        constexpr int otherwise = 1 | 2 | 64, every_change = 4 | 8 | 16 | 32;
        const auto* called = find_function(t.function);
        return (t.type & otherwise) == 0 && (t.type & every_change) == every_change &&
               called != nullptr && called->schema == "pgsidecar" && called->name == "notify_write";
    };
    return std::ranges::any_of(table.triggers, tells) &&
           std::ranges::all_of(table.parents, [this](oid id) {
               const auto* above = find(id);
               return above != nullptr && is_watched(*above);
           });
}

}  // namespace pgsidecar::policy
