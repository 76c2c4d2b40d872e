// The parse tree of a SQL text as JSON values, and small questions about its nodes. Nodes come in
// two shapes: {"SelectStmt": {...}} wherever any node may stand, and the bare {...} where only one
// type can. Tolerant of both the PostgreSQL 15 and the 17 tree. A tree owns the memory of all its
// values and frees it at once; references into it die with it.
#pragma once
#include <array>
#include <boost/json/monotonic_resource.hpp>
#include <boost/json/value.hpp>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "policy/facts.h"

namespace pgsidecar::policy {

using json_value = boost::json::value;
using json_object = boost::json::object;
using json_array = boost::json::array;

class sql_tree {
  public:
    sql_tree() noexcept
        : memory_{first_.data(), first_.size()}, root_(boost::json::storage_ptr(&memory_)) {}
    sql_tree(const sql_tree&) = delete;
    sql_tree& operator=(const sql_tree&) = delete;

    // False: refused by the parser, or too deep to walk.
    [[nodiscard]] bool parse_sql(std::string_view sql);
    // The argument is a whole CREATE FUNCTION or CREATE PROCEDURE statement.
    [[nodiscard]] bool parse_plpgsql(std::string_view create_function);

    [[nodiscard]] const json_value& root() const noexcept { return root_; }

  private:
    [[nodiscard]] bool read(std::string_view json);

    std::array<unsigned char, 16384> first_;  // most statements need no more
    boost::json::monotonic_resource memory_;
    json_value root_;
};

// True when the parser's stack and memory are known to suffice for the text; every way to
// libpg_query goes through this.
[[nodiscard]] bool fit_to_parse(std::string_view sql);

// 0 and nullopt when the text does not parse.
[[nodiscard]] std::uint64_t fingerprint_of(std::string_view sql);

// A node with its type's name; tag is empty when the value is not a tagged node.
struct tagged {
    std::string_view tag;
    const json_object* body = nullptr;
};
[[nodiscard]] tagged as_tagged(const json_value& value) noexcept;

// Fields. Absent ones read as null, "", false, 0 and an empty array: the tree leaves defaults out.
[[nodiscard]] const json_value* field(const json_object& body, std::string_view key) noexcept;
[[nodiscard]] const json_object* object_field(const json_object& body,
                                              std::string_view key) noexcept;
[[nodiscard]] const json_array& array_field(const json_object& body, std::string_view key) noexcept;
[[nodiscard]] std::string_view text_field(const json_object& body, std::string_view key) noexcept;
[[nodiscard]] bool flag_field(const json_object& body, std::string_view key) noexcept;
[[nodiscard]] std::int64_t number_field(const json_object& body, std::string_view key) noexcept;

// The text of a String node; nullopt for anything else (a star, an index).
[[nodiscard]] std::optional<std::string_view> as_string(const json_value& value) noexcept;
// The text of a string literal, also under a cast to text; nullopt for anything else.
[[nodiscard]] std::optional<std::string_view> as_text_literal(const json_value& value) noexcept;
// The last one or two parts of a dotted name.
[[nodiscard]] qualified_name name_of(const json_array& parts);
// schemaname and relname of a RangeVar's body.
[[nodiscard]] qualified_name relation_of(const json_object& range_var);
// "" and pg_catalog: what a name without a schema means unless someone shadows it.
[[nodiscard]] bool is_builtin_schema(std::string_view schema) noexcept;

}  // namespace pgsidecar::policy
