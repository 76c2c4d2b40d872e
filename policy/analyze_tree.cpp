#include "policy/analyze_tree.h"

namespace pgsidecar::policy {

tagged as_tagged(const json_value& value) noexcept {
    const auto* object = value.if_object();
    if (object == nullptr || object->size() != 1) return {};
    const auto& member = *object->begin();
    const std::string_view tag{member.key().data(), member.key().size()};
    const auto* body = member.value().if_object();
    if (body == nullptr || tag.front() < 'A' || tag.front() > 'Z') return {};
    return {tag, body};
}

const json_value* field(const json_object& body, std::string_view key) noexcept {
    return body.if_contains(key);
}

const json_object* object_field(const json_object& body, std::string_view key) noexcept {
    const auto* value = field(body, key);
    return value == nullptr ? nullptr : value->if_object();
}

const json_array& array_field(const json_object& body, std::string_view key) noexcept {
    static const json_array none;
    const auto* value = field(body, key);
    const auto* array = value == nullptr ? nullptr : value->if_array();
    return array == nullptr ? none : *array;
}

std::string_view text_field(const json_object& body, std::string_view key) noexcept {
    const auto* value = field(body, key);
    const auto* text = value == nullptr ? nullptr : value->if_string();
    return text == nullptr ? std::string_view{} : std::string_view{text->data(), text->size()};
}

bool flag_field(const json_object& body, std::string_view key) noexcept {
    const auto* value = field(body, key);
    const auto* flag = value == nullptr ? nullptr : value->if_bool();
    return flag != nullptr && *flag;
}

std::int64_t number_field(const json_object& body, std::string_view key) noexcept {
    const auto* value = field(body, key);
    const auto* number = value == nullptr ? nullptr : value->if_int64();
    return number == nullptr ? 0 : *number;
}

std::optional<std::string_view> as_string(const json_value& value) noexcept {
    const auto node = as_tagged(value);
    if (node.tag != "String") return std::nullopt;
    return text_field(*node.body, "sval");
}

std::optional<std::string_view> as_text_literal(const json_value& value) noexcept {
    auto node = as_tagged(value);
    if (node.tag == "TypeCast") {
        const auto* type = object_field(*node.body, "typeName");
        const auto* argument = field(*node.body, "arg");
        if (type == nullptr || argument == nullptr) return std::nullopt;
        const auto& names = array_field(*type, "names");
        const auto last = names.empty() ? std::nullopt : as_string(names.back());
        if (!last || (*last != "text" && *last != "varchar") ||
            !array_field(*type, "arrayBounds").empty() || !array_field(*type, "typmods").empty()) {
            return std::nullopt;
        }
        node = as_tagged(*argument);
    }
    if (node.tag != "A_Const") return std::nullopt;
    const auto* text = object_field(*node.body, "sval");
    if (text == nullptr) return std::nullopt;
    return text_field(*text, "sval");
}

qualified_name name_of(const json_array& parts) {
    qualified_name out;
    const auto count = parts.size();
    if (count > 0) out.name = as_string(parts[count - 1]).value_or("");
    if (count > 1) out.schema = as_string(parts[count - 2]).value_or("");
    return out;
}

qualified_name relation_of(const json_object& range_var) {
    return {std::string{text_field(range_var, "schemaname")},
            std::string{text_field(range_var, "relname")}};
}

bool is_builtin_schema(std::string_view schema) noexcept {
    return schema.empty() || schema == "pg_catalog";
}

}  // namespace pgsidecar::policy
