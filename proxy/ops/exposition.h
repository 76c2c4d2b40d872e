// What /metrics says: the observations in Prometheus' text format. Names end in their unit, what
// only grows ends in _total; deploy/grafana is made from these names. Keeps which tenants and
// databases have series of their own, so one object serves the program's whole life; no lock.
#pragma once
#include <array>
#include <chrono>
#include <cstddef>
#include <string>

#include "proxy/ops/observations.h"
#include "proxy/ops/program_state.h"
#include "proxy/ops/tenant_series.h"

namespace pgsidecar::ops {

class exposition {
  public:
    // As many tenants, and as many databases, have series of their own.
    explicit exposition(std::size_t most_names) : tenants_{most_names}, databases_{most_names} {}

    [[nodiscard]] std::string text(const observations& seen, const program_state& state);

    static constexpr const char* content_type = "text/plain; version=0.0.4; charset=utf-8";
    // The buckets of latency that are nearest to 50us, 100us, 250us ... 10s, and a minute.
    static constexpr std::size_t bounds = 18;
    [[nodiscard]] static const std::array<latency::duration, bounds>& histogram_bounds();

  private:
    tenant_series tenants_;
    tenant_series databases_;
};

}  // namespace pgsidecar::ops
