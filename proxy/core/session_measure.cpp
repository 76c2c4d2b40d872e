// What is told of each statement when it is over, for prescription_query_metrics.
#include <algorithm>
#include <utility>

#include "proxy/core/session.h"

namespace pgsidecar::core {

// One that is answered without the server, from the cache most of all.
void session::measure_here(const plan& p, std::uint64_t rows, actions& out) {
    if (measures())
        out.measured.push_back({limits_->tenant_name(), p.type_of(0), limits_->since(), rows});
}

// The server has ended a statement of the front item.
void session::measure_front(std::uint64_t rows, time_point now, actions& out) {
    static const auto unknown = std::make_shared<const std::string>("unknown");
    auto& item = owed_.front();
    if (item.injected || item.refusal || (item.what != reply::query && item.what != reply::execute))
        return;
    out.measured.push_back({limits_->tenant_name(),
                            item.effects ? item.effects->type_of(item.done) : unknown,
                            std::max(item.since, measured_until_), rows});
    measured_until_ = now;
}

}  // namespace pgsidecar::core
