#include "proxy/ops/invalidation.h"

#include <algorithm>

namespace pgsidecar::ops {
namespace {

std::string text_of(const invalidation_status& s) {
    auto out = s.database + ": " + std::string{s.how};
    if (!s.up) out += ", lost";
    if (!s.detail.empty()) out += " (" + s.detail + ")";
    return out;
}

bool by_age(const invalidation_status& s) { return s.how == "ttl"; }

}  // namespace

std::string invalidation_text(std::span<const invalidation_status> all) {
    std::string out;
    for (const auto& s : all) out += (out.empty() ? "" : "; ") + text_of(s);
    return out;
}

readiness_check invalidation_check(std::span<const invalidation_status> all) {
    readiness_check out{"invalidation", readiness_check::state::ok, invalidation_text(all)};
    if (std::ranges::all_of(all, by_age)) out.is = readiness_check::state::absent;
    if (all.empty()) out.detail = "no database is in use";
    if (std::ranges::any_of(all, [](const auto& s) { return s.in_use && !s.up; }))
        out.is = readiness_check::state::failed;
    return out;
}

latency staleness_of(std::span<const invalidation_status> all) {
    latency out;
    for (const auto& s : all) out.merge(s.staleness);
    return out;
}

}  // namespace pgsidecar::ops
