#include "policy/function_body.h"

#include <algorithm>
#include <string>
#include <utility>

#include "policy/analyze.h"
#include "policy/analyze_scan.h"
#include "policy/analyze_tree.h"
#include "policy/analyze_words.h"

namespace pgsidecar::policy {
namespace {

template <class T>
void append(std::vector<T>& to, const std::vector<T>& from) {
    to.insert(to.end(), from.begin(), from.end());
}

template <class T>
void sort_unique(std::vector<T>& values) {
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
}

// Lists are joined and flags are or-ed; the kind stays a SELECT as long as all of them are.
void merge(const statement_facts& s, statement_facts& out) {
    append(out.reads, s.reads);
    append(out.writes, s.writes);
    append(out.functions, s.functions);
    append(out.operators, s.operators);
    append(out.cast_types, s.cast_types);
    append(out.current_settings, s.current_settings);
    append(out.datetime_cast_columns, s.datetime_cast_columns);
    append(out.field_names, s.field_names);
    append(out.settings, s.settings);
    append(out.bound_settings, s.bound_settings);
    if (s.kind != statement_kind::select && s.kind != statement_kind::empty) out.kind = s.kind;
    out.parameter_count = std::max(out.parameter_count, s.parameter_count);
    out.locks_rows |= s.locks_rows;
    out.writes_into |= s.writes_into;
    out.modifying_cte |= s.modifying_cte;
    out.tablesample |= s.tablesample;
    out.clock_literal |= s.clock_literal;
    out.clock_function |= s.clock_function;
    out.system_column |= s.system_column;
    out.opaque_setting |= s.opaque_setting;
    out.unproven_datetime_cast |= s.unproven_datetime_cast;
    out.temporary_object |= s.temporary_object;
    if (s.inner) merge(*s.inner, out);
}

void add(const statement_facts& s, function_effects& out) {
    append(out.reads, s.reads);
    append(out.writes, s.writes);
    append(out.functions, s.functions);
    append(out.settings, s.settings);
    if (s.opaque_setting || !s.settings.empty()) out.opaque = true;
    if (s.temporary_object || s.writes_into) out.opaque = out.beyond_settings = true;
    switch (s.kind) {
        case statement_kind::empty:
        case statement_kind::select:
        case statement_kind::insert:
        case statement_kind::update:
        case statement_kind::delete_:
        case statement_kind::merge:
        case statement_kind::copy_from:
        case statement_kind::copy_to:
        case statement_kind::truncate:
        case statement_kind::lock:
        case statement_kind::notify:
        case statement_kind::show:
        case statement_kind::refresh:
        case statement_kind::call:
            break;  // what it calls is in functions
        case statement_kind::explain:
        case statement_kind::explain_analyze:
        case statement_kind::declare_cursor:
            if (s.inner) add(*s.inner, out);
            if (s.with_hold) out.opaque = out.beyond_settings = true;
            break;
        case statement_kind::set:
        case statement_kind::reset:
            out.opaque = true;
            break;
        default:
            out.opaque = out.beyond_settings = true;
            break;
    }
}

// 'a\' ends there in a session with standard_conforming_strings = on, and goes on in one without:
// a body is read by the settings of the session that calls it.
bool ends_by_settings(std::string_view sql) {
    if (sql.find("\\'") == std::string_view::npos) return false;
    sql_scanner scan{sql};
    for (token t = scan.next(); t.kind != token_kind::end; t = scan.next())
        if (t.kind == token_kind::string && t.text.front() == '\'' &&
            t.text.find("\\'") != std::string_view::npos)
            return true;
    return false;
}

bool add_sql(std::string_view sql, function_effects& out) {
    if (ends_by_settings(sql)) out.opaque = out.beyond_settings = true;
    const auto facts = analyze(sql);
    for (const auto& statement : facts.statements) {
        add(statement, out);
        merge(statement, out.text);
    }
    return facts.parsed;
}

// A body in the standard's syntax: RETURN expression, or BEGIN ATOMIC ...; END.
std::string as_statements(std::string_view text) {
    sql_scanner scan{text};
    const token first = scan.next();
    const auto after = [&](const token& t) {
        return text.substr(static_cast<std::size_t>(t.text.data() + t.text.size() - text.data()));
    };
    if (first.kind == token_kind::word && same_word(first.text, "return")) {
        return "SELECT " + std::string{after(first)};
    }
    const token second = scan.next();
    if (!same_word(first.text, "begin") || !same_word(second.text, "atomic")) {
        return std::string{text};
    }
    auto body = after(second);
    const auto end = body.find_last_not_of(" \t\r\n;");
    if (end != std::string_view::npos && end >= 2 && same_word(body.substr(end - 2, 3), "end")) {
        body = body.substr(0, end - 2);
    }
    return std::string{body};
}

// The tree of a PL/pgSQL function: blocks and statements, with every query and every expression as
// text in a PLpgSQL_expr.
class plpgsql_walker {
  public:
    explicit plpgsql_walker(function_effects& out) : out_{out} {}

    [[nodiscard]] bool walk(const json_value& value) {
        if (const auto* array = value.if_array()) {
            return std::all_of(array->begin(), array->end(),
                               [this](const json_value& one) { return walk(one); });
        }
        const auto node = as_tagged(value);
        if (node.tag == "PLpgSQL_expr") return expression(text_field(*node.body, "query"));
        if (node.tag == "PLpgSQL_stmt_commit" || node.tag == "PLpgSQL_stmt_rollback" ||
            node.tag == "PLpgSQL_stmt_set") {
            out_.opaque = out_.beyond_settings = true;
        }
        if (node.tag == "PLpgSQL_stmt_dynexecute" || node.tag == "PLpgSQL_stmt_dynfors") {
            out_.dynamic_sql = true;
        }
        const auto* body = node.body != nullptr ? node.body : value.if_object();
        return body == nullptr || fields(*body);
    }

  private:
    bool fields(const json_object& body) {
        for (const auto& member : body) {
            if (member.key() == "dynquery") out_.dynamic_sql = true;  // RETURN QUERY, OPEN
            if (!walk(member.value())) return false;
        }
        return true;
    }

    // A statement; else `variable := value`; else a bare expression.
    bool expression(std::string_view text) {
        if (add_sql(text, out_)) return true;
        if (add_sql("SELECT " + std::string{text}, out_)) return true;
        return assignment(text);
    }

    // The variable may have subscripts, which are expressions too.
    bool assignment(std::string_view text) {
        sql_scanner scan{text};
        int depth = 0;
        for (token t = scan.next(); t.kind != token_kind::end; t = scan.next()) {
            if (t.text == "(" || t.text == "[") ++depth;
            if (t.text == ")" || t.text == "]") --depth;
            if (depth != 0 || (t.text != ":=" && t.text != "=")) continue;
            const auto from = static_cast<std::size_t>(t.text.data() - text.data());
            const auto variable = text.substr(0, from);
            const auto value = text.substr(from + t.text.size());
            return add_sql("SELECT " + std::string{variable}, out_) &&
                   add_sql("SELECT " + std::string{value}, out_);
        }
        return false;
    }

    function_effects& out_;
};

bool has_body(const json_value& functions) {
    const auto* array = functions.if_array();
    if (array == nullptr || array->size() != 1) return false;
    const auto function = as_tagged((*array)[0]);
    return function.tag == "PLpgSQL_function" && function.body->contains("action");
}

}  // namespace

function_effects analyze_function(std::string_view language, std::string_view text) {
    function_effects out;
    out.text.kind = statement_kind::select;
    if (language == "sql") {
        out.understood = add_sql(as_statements(text), out);
    } else if (language == "plpgsql") {
        sql_tree tree;
        out.understood = tree.parse_plpgsql(text) && has_body(tree.root()) &&
                         plpgsql_walker{out}.walk(tree.root());
    }
    if (!out.understood) return {};
    sort_unique(out.reads);
    sort_unique(out.writes);
    sort_unique(out.functions);
    for (auto* names : {&out.text.reads, &out.text.operators, &out.text.cast_types}) {
        sort_unique(*names);
    }
    sort_unique(out.text.functions);
    sort_unique(out.text.field_names);
    return out;
}

}  // namespace pgsidecar::policy
