#include "proxy/ops/migration.h"

#include <algorithm>
#include <cstddef>
#include <iterator>

namespace pgsidecar::ops {
namespace {

constexpr std::string_view blanks = " \t\r";

// Takes the first word off the line.
std::string_view take_word(std::string_view& line) {
    line.remove_prefix(std::min(line.find_first_not_of(blanks), line.size()));
    const auto word = line.substr(0, line.find_first_of(blanks));
    line.remove_prefix(word.size());
    return word;
}

std::string_view trimmed(std::string_view text) {
    text.remove_prefix(std::min(text.find_first_not_of(blanks), text.size()));
    return text.substr(0, text.find_last_not_of(blanks) + 1);
}

// Quoted as `mark` does it: what would end it gets `escape` before it.
std::string quoted(std::string_view text, std::string_view specials, char escape) {
    std::string out = "\"";
    for (const char c : text) {
        if (specials.find(c) != std::string_view::npos) out += escape;
        out += c;
    }
    return out + '"';
}

}  // namespace

const std::vector<migration_step>& migration_steps() {
    static const std::vector<migration_step> steps{
        {1,
         "query_cache",
         false,
         {"table prescription_query_cache", "index idx_prescription_cache_tenant_expiration"}},
        {2, "query_metrics", false, {"table prescription_query_metrics"}},
        {3,
         "notify",
         true,
         {"schema pgsidecar", "function pgsidecar.watched_tables", "function pgsidecar.ddl_message",
          "function pgsidecar.notify_write", "function pgsidecar.notify_ddl",
          "event trigger pgsidecar_ddl_command_end", "event trigger pgsidecar_sql_drop"}},
        {4,
         "wal",
         true,
         {"schema pgsidecar", "function pgsidecar.watched_tables", "function pgsidecar.ddl_message",
          "function pgsidecar.wal_settings", "function pgsidecar.wal_tables",
          "function pgsidecar.wal_repair", "function pgsidecar.wal_before",
          "function pgsidecar.wal_ddl", "publication pgsidecar",
          "event trigger pgsidecar_wal_ddl_command_start",
          "event trigger pgsidecar_wal_ddl_command_end", "event trigger pgsidecar_wal_sql_drop"}},
    };
    return steps;
}

std::vector<table_column> expected_columns(std::string_view up_sql) {
    constexpr std::string_view mark = "$columns$";
    const auto begin = up_sql.find(mark);
    const auto end =
        begin == std::string_view::npos ? begin : up_sql.find(mark, begin + mark.size());
    if (end == std::string_view::npos) return {};
    auto list = up_sql.substr(begin + mark.size(), end - begin - mark.size());
    std::vector<table_column> out;
    while (!list.empty()) {
        auto line = list.substr(0, list.find('\n'));
        list.remove_prefix(std::min(line.size() + 1, list.size()));
        const auto table = take_word(line), name = take_word(line);
        if (const auto shape = trimmed(line); !shape.empty())
            out.push_back({std::string{table}, std::string{name}, std::string{shape}});
    }
    return out;
}

std::optional<std::string> column_difference(std::string_view table,
                                             std::span<const table_column> expected,
                                             std::span<const table_column> found) {
    const auto differs = [](const table_column& c, std::string_view is, std::string_view want) {
        return "column \"" + c.name + "\" is " + std::string{is} + ", expected is " +
               std::string{want};
    };
    const auto same_name = [](const table_column& a) {
        return [&a](const table_column& b) { return a.table == b.table && a.name == b.name; };
    };
    for (const auto& want : expected) {
        if (want.table != table) continue;
        const auto it = std::ranges::find_if(found, same_name(want));
        if (it == found.end()) return differs(want, "missing", want.shape);
        if (it->shape != want.shape) return differs(want, it->shape, want.shape);
    }
    for (const auto& have : found)
        if (have.table == table && std::ranges::none_of(expected, same_name(have)))
            return differs(have, have.shape, "no such column");
    return std::nullopt;
}

std::vector<std::string> watched_patterns(const policy::cache_rules& rules) {
    std::vector<std::string> out;
    for (const auto& rule : rules.rules) {
        if (rule.mode == policy::rule_mode::off) continue;
        std::ranges::copy_if(rule.tables, std::back_inserter(out), [&out](const auto& pattern) {
            return std::ranges::find(out, pattern) == out.end();
        });
    }
    return out;
}

std::string array_literal(std::span<const std::string> texts) {
    std::string out = "{";
    for (const auto& text : texts) {
        if (out.size() > 1) out += ',';
        out += quoted(text, "\"\\", '\\');
    }
    return out + '}';
}

std::string quoted_identifier(std::string_view name) { return quoted(name, "\"", '"'); }

}  // namespace pgsidecar::ops
