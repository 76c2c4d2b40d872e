// Function calls, and those two that read and change settings.
#include <optional>
#include <utility>

#include "policy/analyze_walk.h"
#include "policy/analyze_words.h"

namespace pgsidecar::policy {
namespace {

// true, false, 't'::boolean as pg_get_expr writes it; nullopt for anything that is not a literal.
std::optional<bool> as_bool_literal(const json_value& value) {
    const auto node = as_tagged(value);
    if (node.tag == "TypeCast") {
        const auto* argument = field(*node.body, "arg");
        return argument == nullptr ? std::nullopt : as_bool_literal(*argument);
    }
    if (node.tag != "A_Const") return std::nullopt;
    if (const auto* flag = object_field(*node.body, "boolval")) return flag_field(*flag, "boolval");
    const auto* text = object_field(*node.body, "sval");
    const auto word = text == nullptr ? std::string{} : lower_case(text_field(*text, "sval"));
    if (word == "t" || word == "true" || word == "on" || word == "1") return true;
    if (word == "f" || word == "false" || word == "off" || word == "0") return false;
    return std::nullopt;
}

bool is_null_literal(const json_value& value) {
    const auto node = as_tagged(value);
    return node.tag == "A_Const" && flag_field(*node.body, "isnull");
}

// $n or $n::text; 0 when it is anything else.
int as_parameter(const json_value& value) {
    auto node = as_tagged(value);
    if (node.tag == "TypeCast") {
        const auto* argument = field(*node.body, "arg");
        const auto* type = object_field(*node.body, "typeName");
        const auto name = type == nullptr ? qualified_name{} : name_of(array_field(*type, "names"));
        if (argument == nullptr || (name.name != "text" && name.name != "varchar")) return 0;
        if (!array_field(*type, "typmods").empty()) return 0;  // may cut the text short
        node = as_tagged(*argument);
    }
    return node.tag == "ParamRef" ? static_cast<int>(number_field(*node.body, "number")) : 0;
}

}  // namespace

bool is_set_config(const json_object& call) {
    const auto name = name_of(array_field(call, "funcname"));
    return name.name == "set_config" && is_builtin_schema(name.schema);
}

bool is_unlock_all(const json_object& call) {
    const auto name = name_of(array_field(call, "funcname"));
    return name.name == "pg_advisory_unlock_all" && is_builtin_schema(name.schema) &&
           array_field(call, "args").empty();
}

void statement_walker::function(const json_object& call) {
    const auto& arguments = array_field(call, "args");
    auto name = name_of(array_field(call, "funcname"));
    note_schema(name.schema);
    if (is_builtin_schema(name.schema)) {
        if (name.name == "current_setting") current_setting(call);
        if (arguments.size() == 1 && is_datetime_type(name)) {  // date(x) is x::date
            out_.cast_types.push_back(name);
            datetime_cast(&arguments[0]);
        }
    }
    if (is_set_config(call) &&
        std::find(settled_.begin(), settled_.end(), &call) == settled_.end()) {
        out_.opaque_setting = unknown_setting_ = true;
    }
    out_.functions.push_back({std::move(name), static_cast<int>(arguments.size())});
    for (const auto& member : call) {
        if (member.key() != "funcname") walk(member.value());
    }
}

void statement_walker::current_setting(const json_object& call) {
    const auto& arguments = array_field(call, "args");
    const auto name = arguments.empty() ? std::nullopt : as_text_literal(arguments[0]);
    if (name) {
        out_.current_settings.push_back(lower_case(*name));
    } else {
        out_.opaque_setting = unknown_setting_ = true;
    }
}

// True when the change is recorded. A parameter as the value is recorded too, but leaves the
// statement opaque until someone looks at the bound value.
bool statement_walker::set_config(const json_object& call) {
    const auto& arguments = array_field(call, "args");
    if (arguments.size() != 3) return false;
    const auto name = as_text_literal(arguments[0]);
    const auto local = as_bool_literal(arguments[2]);
    if (!name || name->empty() || !local) return false;  // the server refuses an empty name
    if (const auto value = as_text_literal(arguments[1])) {
        out_.settings.push_back({lower_case(*name), std::string{*value}, *local, false});
    } else if (is_null_literal(arguments[1])) {
        out_.settings.push_back({lower_case(*name), std::nullopt, *local, false});
    } else if (const int parameter = as_parameter(arguments[1]); parameter > 0) {
        out_.bound_settings.push_back({lower_case(*name), parameter, *local});
        out_.opaque_setting = true;
    } else {
        return false;
    }
    return true;
}

}  // namespace pgsidecar::policy
