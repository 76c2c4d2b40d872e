#include "proxy/ops/history.h"

namespace pgsidecar::ops {

void history::add(const observations& now) {
    auto totals = now.all();
    if (last_at_ != std::chrono::system_clock::time_point{}) {
        if (samples_.size() == most_samples) samples_.pop_front();
        samples_.push_back(
            {.at = now.taken,
             .length = std::chrono::duration_cast<std::chrono::milliseconds>(now.taken - last_at_),
             .statements = totals.since(last_),
             .cache_bytes = now.cache.bytes,
             .cache_entries = now.cache.entries,
             .clients = now.clients,
             .servers = now.servers});
    }
    last_ = std::move(totals);
    last_at_ = now.taken;
}

}  // namespace pgsidecar::ops
