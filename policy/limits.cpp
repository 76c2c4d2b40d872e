#include "policy/limits.h"

#include <array>

namespace pgsidecar::policy {

std::string_view to_string(limit_kind k) noexcept {
    static constexpr std::array<std::string_view, static_cast<std::size_t>(limit_kind::count_)>
        names{"query_timeout",  "max_result_rows",         "max_result_bytes", "queries_per_minute",
              "max_concurrent", "max_concurrent_requests", "max_page_size",    "default_page_size"};
    return names[static_cast<std::size_t>(k)];
}

void make_premium(tier& t) noexcept {
    t.query_timeout = std::chrono::milliseconds{5000};
    t.max_result_rows = 50'000;
    t.queries_per_minute = 600;
}

std::vector<tier> shipped_tiers() {
    std::vector<tier> out(2);
    out[0].name = "default";
    out[1].name = "premium";
    make_premium(out[1]);
    return out;
}

}  // namespace pgsidecar::policy
