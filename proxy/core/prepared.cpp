#include "proxy/core/prepared.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "protocol/bytes.h"

namespace pgsidecar::core {

bool prepared::takes_text(std::size_t parameter) const {
    constexpr std::array<std::uint32_t, 4> as_text{0, 25, 705,
                                                   1043};  // none, text, unknown, varchar
    protocol::reader in{types};
    const std::size_t declared = in.u16();
    if (parameter >= declared) return true;
    std::uint32_t type = 0;
    for (std::size_t i = 0; i <= parameter; ++i) type = in.u32();
    return !in.failed() && std::find(as_text.begin(), as_text.end(), type) != as_text.end();
}

bool is_of_its_time(const statement_text& text) noexcept {
    return std::ranges::any_of(text.facts().statements, [](const policy::statement_facts& s) {
        return s.clock_literal || (s.inner && s.inner->clock_literal);
    });
}

const policy::statement_facts* execute_in(const policy::statement_facts& statement) {
    if (statement.kind == policy::statement_kind::execute) return &statement;
    return statement.inner ? execute_in(*statement.inner) : nullptr;
}

std::vector<std::string_view> named_statements(const statement_text& text) {
    std::vector<std::string_view> names;
    for (const auto& statement : text.facts().statements) {
        using enum policy::statement_kind;
        const auto* runs = execute_in(statement);
        if (runs)
            names.push_back(runs->name);
        else if ((statement.kind == prepare || statement.kind == deallocate) &&
                 !statement.name.empty())
            names.push_back(statement.name);
    }
    return names;
}

}  // namespace pgsidecar::core
