// Expressions: functions, operators, literals and columns, and the generic walk around them.
#include <algorithm>

#include "policy/analyze.h"
#include "policy/analyze_walk.h"

namespace pgsidecar::policy {
namespace {

template <class T>
void sort_unique(std::vector<T>& values) {
    std::sort(values.begin(), values.end());
    values.erase(std::unique(values.begin(), values.end()), values.end());
}

}  // namespace

void statement_walker::walk(const json_value& value) {
    if (const auto* array = value.if_array()) {
        walk_all(*array);
    } else if (const auto known = as_tagged(value); known.body != nullptr) {
        node(known.tag, *known.body);
    } else if (const auto* body = value.if_object()) {
        if (body->contains("relname")) {
            read(*body);
        } else {
            walk_fields(*body);
        }
    }
}

void statement_walker::walk_all(const json_array& values) {
    for (const auto& value : values) walk(value);
}

void statement_walker::walk_fields(const json_object& body) {
    for (const auto& member : body) {
        const auto* inner = member.value().if_object();
        if (inner != nullptr && member.key() == "typeName") {
            // A type that is given to a value other than by a cast (JSON_VALUE, XMLTABLE, a column
            // definition list): its input function reads text that is not in the statement.
            type(*inner);
            if (is_datetime_type(name_of(array_field(*inner, "names")))) {
                out_.unproven_datetime_cast = true;
            }
        } else {
            walk(member.value());
        }
    }
}

void statement_walker::node(std::string_view tag, const json_object& body) {
    if (tag == "SelectStmt") {
        select(body);
    } else if (tag == "InsertStmt" || tag == "UpdateStmt" || tag == "DeleteStmt" ||
               tag == "MergeStmt") {
        modify(body);
    } else if (!range_item(tag, body) && !expression(tag, body)) {
        walk_fields(body);
    }
}

bool statement_walker::expression(std::string_view tag, const json_object& body) {
    if (tag == "ColumnRef") {
        column(body);
    } else if (tag == "A_Const") {
        constant(body);
    } else if (tag == "ParamRef") {
        const auto number = std::clamp<std::int64_t>(number_field(body, "number"), 0, 65535);
        out_.parameter_count = std::max(out_.parameter_count, static_cast<int>(number));
    } else if (tag == "A_Expr") {
        operation(body);
    } else if (tag == "FuncCall") {
        function(body);
    } else if (tag == "TypeCast") {
        cast(body);
    } else if (tag == "TypeName") {
        type(body);
    } else if (tag == "SQLValueFunction") {
        clock_or_user(body);
    } else if (tag == "String") {
        note_schema(text_field(body, "sval"));  // a part of some name in a place not known here
    } else if (tag == "A_Indirection") {
        for (const auto& part : array_field(body, "indirection")) {
            if (const auto name = as_string(part)) out_.field_names.emplace_back(*name);
        }
        walk_fields(body);
    } else if (tag == "SubLink") {
        const auto& name = array_field(body, "operName");
        if (!name.empty()) note_operator(name);
        if (name.empty() && body.contains("testexpr")) note_operator("=");  // IN
        walk_fields(body);
    } else if (tag == "SortBy") {
        if (const auto& name = array_field(body, "useOp"); !name.empty()) note_operator(name);
        walk_fields(body);
    } else if (tag == "CaseExpr") {
        if (body.contains("arg")) note_operator("=");
        walk_fields(body);
    } else {
        return false;
    }
    return true;
}

void statement_walker::column(const json_object& body) {
    const auto& fields = array_field(body, "fields");
    if (fields.empty()) return;
    const auto name = as_string(fields.back());
    if (!name) return;  // a star
    if (*name == "ctid" || *name == "xmax" || *name == "cmin" || *name == "cmax") {
        out_.system_column = true;
    }
    if (fields.size() > 1) out_.field_names.emplace_back(*name);
}

void statement_walker::constant(const json_object& body) {
    const auto* text = object_field(body, "sval");
    if (text != nullptr && mentions_clock_word(text_field(*text, "sval"))) {
        out_.clock_literal = true;
    }
}

void statement_walker::operation(const json_object& body) {
    if (text_field(body, "kind").find("BETWEEN") != std::string_view::npos) {
        for (const std::string_view name : {"<", "<=", ">", ">="}) note_operator(name);
    } else {
        note_operator(array_field(body, "name"));
    }
    for (const auto& member : body) {
        if (member.key() != "name") walk(member.value());
    }
}

// Functions that the grammar spells as keywords. CURRENT_ROLE and CURRENT_CATALOG have no function
// of their name: they are current_user and current_database().
void statement_walker::clock_or_user(const json_object& body) {
    const auto op = text_field(body, "op");
    const auto call = [&](const char* name) {
        out_.functions.push_back({{"pg_catalog", name}, 0});
    };
    if (op == "SVFOP_CURRENT_USER" || op == "SVFOP_CURRENT_ROLE" || op == "SVFOP_USER") {
        call("current_user");
    } else if (op == "SVFOP_SESSION_USER") {
        call("session_user");
    } else if (op == "SVFOP_CURRENT_CATALOG") {
        call("current_database");
    } else if (op == "SVFOP_CURRENT_SCHEMA") {
        call("current_schema");
    } else {
        out_.clock_function = true;
    }
}

void statement_walker::note_schema(std::string_view schema) {
    if (schema == "pg_temp" || schema.starts_with("pg_temp_")) out_.temporary_object = true;
}

void statement_walker::note_operator(const json_array& parts) {
    out_.operators.push_back(name_of(parts));
}

void statement_walker::note_operator(std::string_view name) {
    out_.operators.push_back({"", std::string{name}});
}

void statement_walker::finish() {
    sort_unique(out_.reads);
    sort_unique(out_.writes);
    sort_unique(out_.functions);
    sort_unique(out_.operators);
    sort_unique(out_.cast_types);
    sort_unique(out_.current_settings);
    sort_unique(out_.field_names);
    sort_unique(out_.datetime_cast_columns);
    const auto& cast = out_.datetime_cast_columns;
    if (!cast.empty() &&
        (unknown_outputs_ || std::any_of(cast.begin(), cast.end(), [&](const std::string& name) {
             return outputs_.contains(name);
         }))) {
        out_.unproven_datetime_cast = true;
    }
    out_.bound_settings_suffice =
        out_.opaque_setting && !unknown_setting_ && !out_.bound_settings.empty();
}

}  // namespace pgsidecar::policy
