// Names to objects, as PostgreSQL would find them: through the search_path, "$user" in it, and
// pg_catalog in front unless the path places it. A path is parsed once for each statement planned.
#pragma once
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/catalog.h"
#include "policy/facts.h"
#include "policy/scope.h"

namespace pgsidecar::policy {

// The schemas that an unqualified name is looked up in, in order. Schemas that do not exist are
// left out, and so is pg_temp: who owns temporary objects gets no cached answer at all.
class name_path {
  public:
    struct entry {
        const schema_info* schema = nullptr;
        bool sure = false;  // the role may surely use it; otherwise a match does not end the search
    };

    // `search_path` in the form of SHOW search_path.
    name_path(const catalog& snapshot, std::string_view search_path, std::string_view role);

    [[nodiscard]] const std::string& text() const noexcept { return text_; }
    [[nodiscard]] const std::string& role() const noexcept { return role_; }
    // False: the path is unknown (empty text) or does not parse. Then no relation is found and
    // every schema's functions are.
    [[nodiscard]] bool known() const noexcept { return known_; }
    [[nodiscard]] const std::vector<entry>& schemas() const noexcept { return schemas_; }
    [[nodiscard]] bool holds(std::string_view schema) const noexcept;

    // Every relation that the name may mean: the first on the path, and those behind it as long as
    // the role's right to look into the schemas before is not certain.
    [[nodiscard]] std::vector<const relation*> find(const qualified_name& name) const;

    // Every function but pg_catalog's own that a call by that name may mean: all overloads in all
    // schemas of the path, since only the server knows the arguments' types.
    [[nodiscard]] std::vector<const function_info*> find_functions(
        const qualified_name& name) const;

    // Whether an object of that schema can be meant by the name at all.
    [[nodiscard]] bool reaches(const qualified_name& name, std::string_view schema) const noexcept;

  private:
    const catalog* snapshot_;
    std::string text_, role_;
    std::vector<entry> schemas_;
    bool known_ = false;
};

// The paths in force while one statement runs: the session's, and those that functions bring. They
// live as long as this. `running` is always one of them.
class path_set {
  public:
    path_set(const catalog& snapshot, const session_scope& scope);

    [[nodiscard]] const name_path& session() const noexcept { return paths_.front(); }
    // For texts that the server printed with an empty path: all but pg_catalog's names are
    // qualified.
    [[nodiscard]] const name_path& printed() const noexcept { return printed_; }
    // In the body of a function that is called while `running` is in force: SET search_path in its
    // definition, and SECURITY DEFINER for the meaning of "$user", reach into what it calls in
    // turn.
    [[nodiscard]] const name_path& inside(const function_info& f, const name_path& running);

  private:
    const catalog& snapshot_;
    name_path printed_;
    std::deque<name_path> paths_;  // stable addresses
};

// "a, \"B c\", $user" to its elements, folded and unquoted; nullopt when malformed.
[[nodiscard]] std::optional<std::vector<std::string>> parse_search_path(std::string_view text);

[[nodiscard]] constexpr bool is_system_schema(std::string_view schema) noexcept {
    return schema == "pg_catalog" || schema == "information_schema" || schema == "pg_toast";
}

}  // namespace pgsidecar::policy
