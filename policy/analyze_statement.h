// One raw statement of the tree -> its facts. Internal to analyze.
#pragma once
#include <string_view>

#include "policy/analyze_scan.h"
#include "policy/analyze_tree.h"
#include "policy/facts.h"

namespace pgsidecar::policy {

// places is of the whole text that the tree was made of, at the byte offsets that its nodes carry.
[[nodiscard]] statement_facts read_statement(const json_value& statement, literal_places& places);

[[nodiscard]] limit_clause read_limit(const json_object& select, literal_places& places);
// As statement_facts::values_rows.
[[nodiscard]] std::uint32_t listed_rows(const json_object& insert) noexcept;

// SET, RESET and SHOW.
void read_variable_set(const json_object& body, std::string_view sql, statement_facts& out);

// As quote_identifier() of the server.
[[nodiscard]] std::string quote_identifier(std::string_view name);

}  // namespace pgsidecar::policy
