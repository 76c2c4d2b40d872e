// What a trigger of `pgsidecar migrate up --notify` says, as deploy/sql/notify-up.sql has it.
#pragma once
#include <optional>
#include <string>
#include <string_view>

namespace pgsidecar::core {

struct notice {
    bool of_rows = false;  // else of definitions, rights, or of what this version does not know
    std::string schema, table;
};

// Nothing: it is not understood.
[[nodiscard]] std::optional<notice> read_notice(std::string_view json);

}  // namespace pgsidecar::core
