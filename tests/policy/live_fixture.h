// One schema with every trap in it, and its snapshot. The schema is made on first use.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "policy/analyze.h"
#include "policy/catalog.h"
#include "policy/plan_read.h"
#include "policy/plan_write.h"

namespace pgsidecar::policy::testing {

[[nodiscard]] const catalog& fixture();

// Rules that allow everything, with app.tenant_id as the only key setting.
[[nodiscard]] const cache_rules& open_rules();

// The statement's facts; throws unless the text parses to exactly one statement.
[[nodiscard]] std::shared_ptr<const statement_facts> facts_of(const std::string& sql);

[[nodiscard]] inline session_scope app_scope() {
    return {"\"$user\", public", "app", false, false, false};
}

[[nodiscard]] read_plan read(const std::string& sql, const session_scope& scope = app_scope(),
                             const cache_rules& rules = open_rules());
[[nodiscard]] write_plan write(const std::string& sql, const session_scope& scope = app_scope());

// "schema.table schema.table", sorted.
[[nodiscard]] std::string names(const std::vector<oid>& tables);

// What the server itself touched when app ran the statement, by names(): what it wrote, or what it
// locked, hence read. nullopt when it refused to run the statement.
[[nodiscard]] std::optional<std::string> touched(const std::string& sql, bool written);
// Every name of the first list is in the second.
[[nodiscard]] bool within(const std::string& part, const std::string& whole);

}  // namespace pgsidecar::policy::testing
