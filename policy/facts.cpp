#include "policy/facts.h"

#include <array>
#include <cstddef>

namespace pgsidecar::policy {

std::string_view to_string(statement_kind kind) noexcept {
    // In the order of their declaration.
    static constexpr std::array<std::string_view, statement_kinds> words{"empty",
                                                                         "select",
                                                                         "insert",
                                                                         "update",
                                                                         "delete",
                                                                         "merge",
                                                                         "copy_from",
                                                                         "copy_to",
                                                                         "truncate",
                                                                         "explain",
                                                                         "explain_analyze",
                                                                         "begin",
                                                                         "commit",
                                                                         "rollback",
                                                                         "savepoint",
                                                                         "release",
                                                                         "rollback_to",
                                                                         "prepare_transaction",
                                                                         "commit_prepared",
                                                                         "rollback_prepared",
                                                                         "set",
                                                                         "reset",
                                                                         "show",
                                                                         "discard_all",
                                                                         "discard_temp",
                                                                         "discard_other",
                                                                         "prepare",
                                                                         "execute",
                                                                         "deallocate",
                                                                         "declare_cursor",
                                                                         "fetch",
                                                                         "close_cursor",
                                                                         "listen",
                                                                         "unlisten",
                                                                         "notify",
                                                                         "lock",
                                                                         "call",
                                                                         "do_block",
                                                                         "refresh",
                                                                         "create_database",
                                                                         "drop_database",
                                                                         "alter_database",
                                                                         "role",
                                                                         "privilege",
                                                                         "alter_system",
                                                                         "maintenance",
                                                                         "ddl",
                                                                         "other"};
    return words[static_cast<std::size_t>(kind)];
}

}  // namespace pgsidecar::policy
