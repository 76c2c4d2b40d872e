// Whose statements take too long: the 95th percentile of each tenant, window by window, compared
// with a target. Values in, values out; no clock.
//
// calm --over the target in `windows` windows in a row--> alerting --under nine tenths of it, or
// silent as long--> calm. In between nothing changes, so one that wavers about the target is told
// of once. A tenant that goes up and down is told of once in `repeat_interval`, with its clearing.
// When there is no target any more all clears that was told of.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "proxy/ops/latency.h"
#include "proxy/ops/observations.h"

namespace pgsidecar::ops {

struct alert_rules {
    std::chrono::milliseconds target{0};  // 0 = nobody is ever told
    std::chrono::milliseconds window{std::chrono::minutes{1}};
    unsigned windows = 1;
    std::uint64_t min_statements = 1;
    std::chrono::milliseconds repeat_interval{0};  // 0 = each change is told, and none again
    std::size_t max_tenants = 1;                   // named in one report, of each state
};

struct alert {
    enum class state : std::uint8_t { fired, cleared };
    state what = state::fired;
    std::string tenant, tier;
    latency::duration p95{0}, target{0};
    std::uint64_t statements = 0;  // in the window
};

// Of one window. The slowest come first; the others of a state are counted alone.
struct alert_report {
    std::vector<alert> named;
    std::size_t more_fired = 0, more_cleared = 0;
    std::size_t alerting = 0;  // tenants, after it
    [[nodiscard]] bool empty() const noexcept { return named.empty(); }
};

class alert_watch {
  public:
    explicit alert_watch(alert_rules rules) : rules_{rules} {}
    // From the window under way on. Who is alerting stays so, and is not told of again for it.
    void set(const alert_rules& rules);

    // A copy that is newer than the one before. Empty as long as the window has not ended.
    [[nodiscard]] alert_report look(const observations& now);

  private:
    using time_point = std::chrono::system_clock::time_point;
    struct tenant_state {
        std::string tier;
        unsigned over = 0;    // windows in a row
        unsigned silent = 0;  // likewise, with too few statements
        bool alerting = false;
        bool told = false;  // that it is
        bool ever_told = false;
        time_point told_at{};
    };
    void begin_window(const observations& now);
    [[nodiscard]] alert_report end();
    void judge(const std::string& tenant, tenant_state& state, const latency& times, time_point at,
               alert_report& out);
    void tell(const std::string& tenant, tenant_state& state, alert::state what,
              const latency& times, alert_report& out) const;
    void shorten(alert_report& out) const;
    [[nodiscard]] latency since_begin(const std::string& tenant, const latency& times) const;

    alert_rules rules_;
    bool begun_ = false;
    time_point began_{};
    std::map<std::string, latency, std::less<>> at_begin_;
    std::map<std::string, tenant_state, std::less<>> states_;  // of those that are not calm
};

// For the log and for whoever is sent one; neither holds more than names and numbers.
[[nodiscard]] std::string to_line(const alert& a);
[[nodiscard]] std::string to_json(const alert& a);
[[nodiscard]] std::string to_json(const alert_report& report);

}  // namespace pgsidecar::ops
