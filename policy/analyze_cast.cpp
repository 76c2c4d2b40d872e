// Casts to date/time types. A date/time type's input function reads the clock for 'now', 'today',
// 'tomorrow' and 'yesterday', and in the catalog such a cast is merely stable. So it matters
// whether text can reach it that is neither in the statement nor a bound value, where it would be
// seen.
#include <array>
#include <string_view>

#include "policy/analyze_walk.h"
#include "policy/analyze_words.h"

namespace pgsidecar::policy {
namespace {

// Built-in functions all of whose variants give a date, a time, an interval or a number.
constexpr std::array never_text_functions{"age",
                                          "clock_timestamp",
                                          "count",
                                          "date",
                                          "date_bin",
                                          "date_part",
                                          "date_trunc",
                                          "extract",
                                          "justify_days",
                                          "justify_hours",
                                          "justify_interval",
                                          "make_date",
                                          "make_interval",
                                          "make_time",
                                          "make_timestamp",
                                          "make_timestamptz",
                                          "now",
                                          "statement_timestamp",
                                          "timestamp",
                                          "timestamptz",
                                          "timezone",
                                          "to_date",
                                          "to_timestamp",
                                          "transaction_timestamp"};

// ... and those that give what they take.
constexpr std::array passing_functions{"max", "min"};

constexpr std::array never_text_types{"bool", "float4", "float8",   "int2",
                                      "int4", "int8",   "interval", "numeric"};

constexpr std::array datetime_types{"date",      "daterange",      "datemultirange", "time",
                                    "timestamp", "timestamptz",    "timetz",         "tsmultirange",
                                    "tsrange",   "tstzmultirange", "tstzrange"};

template <class Names>
bool contains(const Names& all, std::string_view name) noexcept {
    for (const std::string_view one : all) {
        if (one == name) return true;
    }
    return false;
}

}  // namespace

bool is_datetime_type(const qualified_name& type) noexcept {
    return is_builtin_schema(type.schema) && contains(datetime_types, type.name);
}

void statement_walker::type(const json_object& type_name) {
    auto name = name_of(array_field(type_name, "names"));
    note_schema(name.schema);
    // A time of day gets its offset from the zone's rules of today.
    if (name.name == "timetz" && is_builtin_schema(name.schema)) out_.clock_function = true;
    if (!name.name.empty()) out_.cast_types.push_back(std::move(name));
    walk_all(array_field(type_name, "typmods"));
}

void statement_walker::cast(const json_object& body) {
    const auto* argument = field(body, "arg");
    if (const auto* to = object_field(body, "typeName")) {
        type(*to);
        if (is_datetime_type(name_of(array_field(*to, "names")))) datetime_cast(argument);
    }
    if (argument != nullptr) walk(*argument);
}

void statement_walker::datetime_cast(const json_value* argument) {
    if (argument == nullptr || !is_never_text(*argument)) out_.unproven_datetime_cast = true;
}

// Literals and parameters count as never text here: their words are looked at where they are. So do
// columns, whose names are handed on for the catalog to decide.
bool statement_walker::is_never_text(const json_value& expression) {
    const auto node = as_tagged(expression);
    if (node.body == nullptr) return false;
    const auto& body = *node.body;
    if (node.tag == "A_Const" || node.tag == "ParamRef" || node.tag == "SQLValueFunction") {
        return true;
    }
    if (node.tag == "ColumnRef") {
        const auto& fields = array_field(body, "fields");
        const auto name = fields.empty() ? std::nullopt : as_string(fields.back());
        if (name) out_.datetime_cast_columns.emplace_back(*name);
        return name.has_value();
    }
    if (node.tag == "TypeCast") {
        const auto* to = object_field(body, "typeName");
        if (to == nullptr) return false;
        const auto name = name_of(array_field(*to, "names"));
        return is_datetime_type(name) ||
               (is_builtin_schema(name.schema) && contains(never_text_types, name.name));
    }
    if (node.tag == "FuncCall") return call_is_never_text(body);
    if (node.tag == "A_Expr") {
        const auto op = name_of(array_field(body, "name"));
        const auto* left = field(body, "lexpr");
        const auto* right = field(body, "rexpr");
        if (text_field(body, "kind") == "AEXPR_NULLIF") return left && is_never_text(*left);
        const bool arithmetic =
            op.name == "+" || op.name == "-" || op.name == "*" || op.name == "/";
        return text_field(body, "kind") == "AEXPR_OP" && is_builtin_schema(op.schema) &&
               arithmetic && (left == nullptr || is_never_text(*left)) && right != nullptr &&
               is_never_text(*right);
    }
    if (node.tag == "CoalesceExpr" || node.tag == "MinMaxExpr") {
        return all_never_text(array_field(body, "args"));
    }
    if (node.tag == "A_ArrayExpr") return all_never_text(array_field(body, "elements"));
    return false;
}

bool statement_walker::all_never_text(const json_array& expressions) {
    bool all = true;
    for (const auto& expression : expressions) all = is_never_text(expression) && all;
    return all;
}

bool statement_walker::call_is_never_text(const json_object& call) {
    const auto name = name_of(array_field(call, "funcname"));
    if (!is_builtin_schema(name.schema)) return false;
    if (contains(passing_functions, name.name)) return all_never_text(array_field(call, "args"));
    return contains(never_text_functions, name.name);
}

}  // namespace pgsidecar::policy
