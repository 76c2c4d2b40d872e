// Rows in, snapshot out. Each source has one function; the order of the queries makes sure that
// what a row refers to has been seen. A reference to something unknown (a temporary table, an
// object that was dropped between two texts) is skipped: what is not in the snapshot does not
// qualify anyway.
#include <algorithm>
#include <array>
#include <cassert>
#include <charconv>
#include <cstdint>
#include <string>
#include <utility>

#include "policy/analyze.h"
#include "policy/catalog.h"
#include "policy/catalog_queries.h"
#include "policy/function_body.h"
#include "policy/volatility.h"

namespace pgsidecar::policy {
namespace {

using row_view = std::span<const std::optional<std::string_view>>;

constexpr std::size_t max_definition_bytes = 1 << 20;

template <typename Integer>
bool parse(std::optional<std::string_view> text, Integer& out) noexcept {
    if (!text) return false;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), out);
    return error == std::errc{} && end == text->data() + text->size();
}

// "12,34"; an absent list is empty.
bool parse_list(std::optional<std::string_view> text, std::vector<oid>& out) {
    while (text && !text->empty()) {
        const auto comma = std::min(text->find(','), text->size());
        oid id = 0;
        if (!parse(text->substr(0, comma), id)) return false;
        out.push_back(id);
        text->remove_prefix(std::min(comma + 1, text->size()));
    }
    return true;
}

volatility parse_volatility(std::string_view letter) noexcept {
    if (letter == "i") return volatility::immutable;
    return letter == "s" ? volatility::stable : volatility::volatile_;
}

char letter(std::string_view text) noexcept { return text.empty() ? '\0' : text.front(); }

// The facts of a text that is one SELECT; null when the parser refuses it.
std::shared_ptr<const statement_facts> analyze_select(std::string_view sql) {
    auto facts = std::make_shared<sql_facts>(analyze(sql, max_definition_bytes));
    if (!facts->parsed || facts->too_long || facts->statements.size() != 1) return nullptr;
    const auto* statement = &facts->statements.front();
    if (statement->kind != statement_kind::select) return nullptr;
    return {std::move(facts), statement};
}

// The definition of a PL/pgSQL function is read whole. Of an SQL function prosrc comes, or, when
// its body is in the standard's syntax, the definition, where the body stands last on lines of its
// own.
std::shared_ptr<const function_effects> read_body(std::string_view language,
                                                  std::string_view text) {
    if (text.size() > max_definition_bytes) return nullptr;
    if (language == "sql" && text.starts_with("CREATE OR REPLACE ")) {
        const auto body = std::min(text.find("\nBEGIN ATOMIC"), text.find("\nRETURN "));
        if (body == std::string_view::npos) return nullptr;
        text.remove_prefix(body + 1);
    }
    auto effects = analyze_function(language, text);
    if (!effects.understood) return nullptr;
    return std::make_shared<function_effects>(std::move(effects));
}

}  // namespace

struct catalog_builder::state {
    std::shared_ptr<catalog> result = std::make_shared<catalog>();
    std::array<std::size_t, static_cast<std::size_t>(catalog_source::count_)> rows{};
    std::uint64_t hash = 0xcbf29ce484222325ULL;
    bool failed = false;

    void mix(std::string_view text) noexcept {
        // FNV-1a over the length, then the bytes: "a","bc" and "ab","c" must differ.
        const auto length = text.size();
        for (int shift = 0; shift < 32; shift += 8) mix_byte((length >> shift) & 0xff);
        for (const char c : text) mix_byte(static_cast<unsigned char>(c));
    }
    void mix_byte(std::uint64_t byte) noexcept { hash = (hash ^ byte) * 0x100000001b3ULL; }

    relation* find(std::optional<std::string_view> id) {
        oid value = 0;
        if (!parse(id, value)) {
            failed = true;
            return nullptr;
        }
        const auto it = result->relation_by_id_.find(value);
        return it == result->relation_by_id_.end() ? nullptr : &result->relations_[it->second];
    }

    void add(catalog_source source, row_view r);
    void server(row_view r);
    void defaults(row_view r);
    void schema(row_view r);
    void relation_row(row_view r);
    void inheritance(row_view r);
    void publication(row_view r);
    void view(row_view r);
    void foreign_key(row_view r);
    void trigger_row(row_view r);
    void policy_row(row_view r);
    void function(row_view r);
    void operator_row(row_view r);
    void type(row_view r);
    void datetime_column(row_view r);
    void write_function(row_view r);
};

void catalog_builder::state::server(row_view r) {
    result->server_settings_text_.append(*r[0]).append(1, '\0').append(*r[1]).append(1, '\0');
    // A leading blank marks what is the server's identity rather than a setting's value.
    if (r[0]->starts_with(' ')) return;
    if (*r[0] == "server_version_num") {
        failed = failed || !parse(r[1], result->server_version_);
    } else {
        std::string name{*r[0]};
        std::ranges::transform(name, name.begin(), [](char c) {
            return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        });
        result->server_settings_.emplace(std::move(name), *r[1]);
    }
}

void catalog_builder::state::defaults(row_view r) {
    result->defaults_.push_back(
        {std::string{*r[0]}, std::string{*r[2]}, std::string{*r[3]}, *r[1] == "true"});
}

void catalog_builder::state::schema(row_view r) {
    auto& entry = result->schemas_[std::string{*r[0]}];
    entry.name = *r[0];
    if (!r[2]) return;
    if (r[2]->empty()) {
        entry.usage_for_all = true;
    } else {
        entry.usage.emplace_back(*r[2]);
    }
}

void catalog_builder::state::relation_row(row_view r) {
    relation entry;
    if (!parse(r[0], entry.id)) {
        failed = true;
        return;
    }
    entry.schema = *r[1];
    entry.name = *r[2];
    entry.kind = letter(*r[3]);
    entry.unlogged = *r[4] == "u";
    entry.row_security = *r[5] == "true";
    entry.has_rules = *r[6] == "true";
    const auto at = result->relations_.size();
    if (!result->relation_by_id_.emplace(entry.id, at).second) {
        failed = true;
        return;
    }
    result->relation_by_name_[entry.schema].insert_or_assign(entry.name, at);
    result->relations_.push_back(std::move(entry));
}

void catalog_builder::state::publication(row_view r) {
    oid id = 0;
    failed = !parse(r[1], id) || failed;
    result->publications_[std::string{*r[0]}].push_back(id);
}

void catalog_builder::state::inheritance(row_view r) {
    auto* child = find(r[0]);
    auto* parent = find(r[1]);
    if (child == nullptr || parent == nullptr) return;
    child->parents.push_back(parent->id);
    parent->children.push_back(child->id);
}

void catalog_builder::state::view(row_view r) {
    auto* entry = find(r[0]);
    if (entry == nullptr) return;
    if (r[1]) entry->view = analyze_select(*r[1]);
    entry->unreadable = entry->unreadable || entry->view == nullptr;
}

void catalog_builder::state::foreign_key(row_view r) {
    auto* referenced = find(r[0]);
    auto* referencing = find(r[1]);
    if (referenced == nullptr || referencing == nullptr) return;
    referenced->cascades.push_back({referencing->id, letter(*r[2]), letter(*r[3])});
}

void catalog_builder::state::trigger_row(row_view r) {
    auto* entry = find(r[0]);
    trigger t;
    if (!parse(r[1], t.function) || !parse(r[2], t.type)) {
        failed = true;
        return;
    }
    oid when = 0;
    if (r[3] && !parse(r[3], when)) failed = true;
    if (when != 0) t.when_functions.push_back(when);
    if (entry != nullptr) entry->triggers.push_back(std::move(t));
}

void catalog_builder::state::policy_row(row_view r) {
    auto* entry = find(r[0]);
    if (entry == nullptr) return;
    std::string sql = "SELECT (";
    sql.append(r[2].value_or("true")).append("), (").append(r[3].value_or("true")).append(")");
    policy_info policy{letter(*r[1]), analyze_select(sql)};
    if (policy.facts == nullptr) {
        entry->unreadable = true;
    } else {
        entry->policies.push_back(std::move(policy));
    }
}

void catalog_builder::state::function(row_view r) {
    auto entry = std::make_unique<function_info>();
    if (!parse(r[0], entry->id) || !parse_list(r[12], entry->parts)) {
        failed = true;
        return;
    }
    entry->schema = *r[1];
    entry->name = *r[2];
    entry->kind = parse_volatility(*r[3]);
    entry->aggregate = *r[4] == "a";
    entry->definer = *r[6] == "true";
    entry->owner = *r[7];
    if (r[8]) entry->search_path = *r[8];
    if (r[10]) entry->body = read_body(*r[5], *r[10]);
    if (r[11]) entry->harmless = is_harmless_library(*r[11], entry->name);
    if (r[13]) {
        entry->defaults = analyze_select("SELECT " + std::string{*r[13]});
        // Unreadable defaults may do anything, whatever the function promises.
        if (entry->defaults == nullptr) {
            entry->kind = volatility::volatile_;
            entry->body = nullptr;
        }
    }
    entry->takes_row = *r[9] == "true";
    result->functions_by_name_[entry->name].push_back(entry.get());
    const oid id = entry->id;
    failed = !result->functions_.emplace(id, std::move(entry)).second || failed;
}

void catalog_builder::state::operator_row(row_view r) {
    operator_info entry{std::string{*r[0]}, parse_volatility(*r[2]), 0};
    failed = !parse(r[3], entry.function) || failed;
    result->operators_[std::string{*r[1]}].push_back(std::move(entry));
}

void catalog_builder::state::type(row_view r) {
    type_info entry{std::string{*r[0]}, letter(*r[2]), parse_volatility(*r[3]), {}};
    failed = !parse_list(r[4], entry.functions) || failed;
    result->types_[std::string{*r[1]}].push_back(std::move(entry));
}

void catalog_builder::state::datetime_column(row_view r) {
    auto& use = result->columns_[std::string{*r[0]}];
    failed = !parse_list(r[1], use.datetime) || !parse_list(r[2], use.other) || failed;
    std::ranges::sort(use.datetime);
    std::ranges::sort(use.other);
}

void catalog_builder::state::write_function(row_view r) {
    auto* entry = find(r[0]);
    oid function = 0;
    failed = !parse(r[1], function) || failed;
    if (entry != nullptr) entry->write_functions.push_back(function);
}

void catalog_builder::state::add(catalog_source source, row_view r) {
    switch (source) {
        case catalog_source::server:
            return server(r);
        case catalog_source::roles:
            if (*r[1] == "true") result->superusers_.emplace(*r[0], true);
            return;
        case catalog_source::defaults:
            return defaults(r);
        case catalog_source::schemas:
            return schema(r);
        case catalog_source::relations:
            return relation_row(r);
        case catalog_source::inheritance:
            return inheritance(r);
        case catalog_source::views:
            return view(r);
        case catalog_source::foreign_keys:
            return foreign_key(r);
        case catalog_source::triggers:
            return trigger_row(r);
        case catalog_source::policies:
            return policy_row(r);
        case catalog_source::functions:
            return function(r);
        case catalog_source::builtin_functions:
            result->builtin_functions_.emplace(*r[0], parse_volatility(*r[1]));
            return;
        case catalog_source::operators:
            return operator_row(r);
        case catalog_source::builtin_operators:
            result->builtin_operators_.emplace(*r[0], parse_volatility(*r[1]));
            return;
        case catalog_source::types:
            return type(r);
        case catalog_source::implicit_casts:
            result->implicit_cast_hazard_ = *r[0] != "0";
            failed = !parse_list(r[1], result->implicit_cast_functions_) || failed;
            return;
        case catalog_source::datetime_columns:
            return datetime_column(r);
        case catalog_source::volatile_columns:
            if (auto* entry = find(r[0])) entry->volatile_type = true;
            return;
        case catalog_source::write_functions:
            return write_function(r);
        case catalog_source::publications:
            return publication(r);
        case catalog_source::definitions:
        case catalog_source::role_changes:
        case catalog_source::other_changes:
        case catalog_source::count_:
            return;
    }
}

catalog_builder::catalog_builder() : state_{std::make_unique<state>()} {}
catalog_builder::~catalog_builder() = default;
catalog_builder::catalog_builder(catalog_builder&&) noexcept = default;
catalog_builder& catalog_builder::operator=(catalog_builder&&) noexcept = default;

namespace {

// Columns that a row of this source may leave null, as bits.
constexpr std::uint32_t nullable(catalog_source source) noexcept {
    switch (source) {
        case catalog_source::schemas:
            return 1U << 2;
        case catalog_source::views:
            return 1U << 1;
        case catalog_source::triggers:
            return 1U << 3;
        case catalog_source::policies:
            return 1U << 2 | 1U << 3;
        case catalog_source::functions:
            return 1U << 8 | 1U << 10 | 1U << 11 | 1U << 12 | 1U << 13;
        case catalog_source::types:
            return 1U << 4;
        case catalog_source::implicit_casts:
            return 1U << 1;
        case catalog_source::datetime_columns:
            return 1U << 1 | 1U << 2;
        default:
            return 0;
    }
}

}  // namespace

void catalog_builder::row(std::size_t query_index, row_view columns) {
    assert(state_ != nullptr && query_index < catalog_queries().size());
    auto& s = *state_;
    if (s.failed) return;
    const auto source = static_cast<catalog_source>(query_index);
    s.failed = columns.size() != catalog_queries()[query_index].columns;
    for (std::size_t i = 0; i < columns.size() && !s.failed; ++i) {
        s.mix_byte(columns[i] ? 1 : 0);
        if (columns[i]) s.mix(*columns[i]);
        s.failed = !columns[i] && (nullable(source) >> i & 1U) == 0;
    }
    if (!s.failed) s.add(source, columns);
    ++s.rows[query_index];
    if (s.failed) problem_ = catalog_queries()[query_index].name;
}

std::shared_ptr<const catalog> catalog_builder::finish(std::uint64_t generation) {
    assert(state_ != nullptr);
    const auto s = std::exchange(state_, nullptr);
    // Every server has these; without them a query was skipped and everything would look unknown.
    for (const auto source : {catalog_source::server, catalog_source::schemas,
                              catalog_source::relations, catalog_source::builtin_functions,
                              catalog_source::builtin_operators, catalog_source::implicit_casts}) {
        const auto index = static_cast<std::size_t>(source);
        if (s->failed || s->rows[index] != 0) continue;
        s->failed = true;
        problem_ = catalog_queries()[index].name;
    }
    if (s->failed) return nullptr;
    s->result->generation_ = generation;
    s->result->fingerprint_ = s->hash;
    return std::move(s->result);
}

}  // namespace pgsidecar::policy
