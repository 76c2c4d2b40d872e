// The columns of every table of the console, which a client is told before it has run the command.
// Those that PgBouncer has stand first, with its names in its order; new ones of ours at the end.
#pragma once
#include <vector>

#include "proxy/ops/console_command.h"
#include "proxy/ops/console_table.h"

namespace pgsidecar::ops {

// Empty: the command gives no rows. A name may be a view into `c`.
[[nodiscard]] std::vector<console_column> columns_of(const console_command& c);
[[nodiscard]] std::vector<console_column> columns_of(console_view v);

}  // namespace pgsidecar::ops
