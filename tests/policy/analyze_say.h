// Facts in words, for tables of SQL -> what is expected. Only what differs from the default is
// said, in a fixed order:
//   kind name=x r=reads w=writes f=functions/arguments c=cast types dt=columns cast to dates
//   cur=settings read  name:=value, name:=DEFAULT, name:=$1, each with "local"  $n
//   limit=#0 (a literal's ordinal), limit=$1, limit=other  values=rows  flags {inner}
#pragma once
#include <string>
#include <string_view>

#include "policy/analyze.h"

namespace pgsidecar::policy {

[[nodiscard]] std::string say(const statement_facts& facts);

// The statements of the text, joined by "; ". "unparsed" and "too long" for those.
[[nodiscard]] std::string say(std::string_view sql);

struct said {
    std::string_view sql;
    std::string_view want;
};

// One CHECK for each row, with the text shown when it fails.
void check_rows(const said* first, const said* last);

template <std::size_t N>
void check_rows(const said (&rows)[N]) {
    check_rows(rows, rows + N);
}

}  // namespace pgsidecar::policy
