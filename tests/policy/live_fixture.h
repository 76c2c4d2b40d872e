// One schema with every trap in it, and its snapshot. The schema is made on first use.
#pragma once
#include <memory>
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

}  // namespace pgsidecar::policy::testing
