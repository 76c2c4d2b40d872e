// Counts what the sessions of one worker tell of their statements. Used by that worker's thread
// alone; others get copies (proxy/io/observer.h). Bounded: tenants and statements beyond a number
// are counted together: those with the fewest calls, and statements that come while none may lose
// its row.
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "proxy/core/decider.h"
#include "proxy/core/measurement.h"
#include "proxy/ops/observations.h"

namespace pgsidecar::ops {

class collector {
  public:
    using time_point = cache::time_point;
    static constexpr std::size_t most_queries = 2000;
    static constexpr std::size_t most_tenants = 10'000;
    static constexpr std::size_t most_text = 4096;  // bytes of a normal form that are kept

    void add(const core::measurement& m, time_point ended);
    void add(const core::transaction_end& t, time_point ended);
    void count(policy::reason why) noexcept { ++totals_.reasons[static_cast<std::size_t>(why)]; }
    // Where to add what is received, sent and waited for by clients of a database; stays valid.
    [[nodiscard]] database_totals& of_database(const std::string& name) {
        return totals_.databases[name];
    }

    [[nodiscard]] const observations& totals() const noexcept { return totals_; }
    // Without statements: for who asks often.
    [[nodiscard]] observations summary() const;

  private:
    // What is found by the address of something that others own: the weak pointer tells whether it
    // is still that object.
    template <class Kept, class Slot>
    struct known {
        std::weak_ptr<const Kept> of;
        const core::database* where = nullptr;
        Slot slot{};
    };
    struct tenant_slot {
        statement_totals* tenant = nullptr;
        statement_totals* tier = nullptr;
    };

    [[nodiscard]] tenant_slot slot_of(const std::shared_ptr<const policy::tenant>& who);
    [[nodiscard]] query_totals& slot_of(const core::measurement& m, time_point now);
    [[nodiscard]] query_totals& find_query(const core::measurement& m, time_point now);
    [[nodiscard]] query_totals& others();
    // A row was given up a moment ago: the others keep theirs for now.
    [[nodiscard]] bool rows_stay(time_point now) const noexcept;
    // False: not yet.
    bool make_room_for_queries(time_point now);
    void make_room_for_tenants();

    observations totals_;
    std::unordered_map<const policy::tenant*, known<policy::tenant, tenant_slot>> tenants_;
    std::unordered_map<const core::analysis*, known<core::analysis, query_totals*>> queries_;
    query_totals* others_ = nullptr;       // of totals_, if there is such a row
    std::optional<time_point> room_made_;  // for statements
    const core::database* last_where_ = nullptr;
    database_totals* last_database_ = nullptr;
    [[nodiscard]] database_totals& database_of(const core::database* where);
};

}  // namespace pgsidecar::ops
