#include "proxy/core/json_notice.h"

#include <boost/json/parse.hpp>

namespace pgsidecar::core {
namespace {

namespace json = boost::json;

std::string text_of(const json::object& of, std::string_view key) {
    const auto* value = of.if_contains(json::string_view{key.data(), key.size()});
    const auto* text = value != nullptr ? value->if_string() : nullptr;
    return text != nullptr ? std::string{text->data(), text->size()} : std::string{};
}

}  // namespace

std::optional<notice> read_notice(std::string_view text) {
    boost::system::error_code error;
    const auto parsed = json::parse({text.data(), text.size()}, error);
    const auto* message = error ? nullptr : parsed.if_object();
    if (message == nullptr) return std::nullopt;
    const auto kind = text_of(*message, "kind");
    return notice{
        .of_rows = kind == "insert" || kind == "update" || kind == "delete" || kind == "truncate",
        .schema = text_of(*message, "schema"),
        .table = text_of(*message, "table")};
}

}  // namespace pgsidecar::core
