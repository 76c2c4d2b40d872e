#include "policy/analyze.h"

#include <algorithm>
#include <utility>

#include "policy/analyze_statement.h"
#include "policy/analyze_tree.h"

namespace pgsidecar::policy {
namespace {

// Facts hold something that was in a literal: a setting's name or value, a clock word, an option.
bool depends_on_literals(const statement_facts& s) {
    switch (s.kind) {
        case statement_kind::select:
        case statement_kind::insert:
        case statement_kind::update:
        case statement_kind::delete_:
        case statement_kind::merge:
            break;
        default:
            return true;
    }
    return s.clock_literal || s.opaque_setting || !s.settings.empty() ||
           !s.current_settings.empty() || !s.bound_settings.empty();
}

}  // namespace

sql_facts analyze(std::string_view sql, std::size_t max_length) {
    sql_facts out;
    if (sql.size() > max_length) {
        out.too_long = true;
        return out;
    }
    sql_tree tree;
    if (!tree.parse_sql(sql)) return out;
    out.parsed = true;
    literal_places places{sql};
    for (const auto& item : array_field(tree.root().get_object(), "stmts")) {
        const auto* raw = item.if_object();
        const auto* statement = raw == nullptr ? nullptr : field(*raw, "stmt");
        out.statements.push_back(statement == nullptr ? statement_facts{}
                                                      : read_statement(*statement, places));
    }
    if (out.statements.empty()) {
        out.statements.emplace_back();
        out.statements.back().kind = statement_kind::empty;
    }
    out.literals_matter =
        std::any_of(out.statements.begin(), out.statements.end(), depends_on_literals);
    return out;
}

void describe(std::string_view sql, sql_facts& facts) {
    facts.normalized = normalize(sql);
    facts.fingerprint = facts.parsed ? fingerprint_of(sql) : 0;
}

}  // namespace pgsidecar::policy
