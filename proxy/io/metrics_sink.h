// Writes what workers have measured into prescription_query_metrics: on a thread of its own,
// through libpq, a COPY for each batch. While the database cannot be reached batches wait in the
// queue; no statement ever waits for any of this. A batch whose COMMIT was not answered is asked
// about (txid_status) before it is written again, so that each row is written once.
#pragma once
#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "config/settings.h"
#include "proxy/io/control_parameters.h"
#include "proxy/ops/metrics_queue.h"

namespace pgsidecar::io {

class metrics_sink {
  public:
    explicit metrics_sink(const config::settings& settings);
    ~metrics_sink();
    metrics_sink(const metrics_sink&) = delete;
    metrics_sink& operator=(const metrics_sink&) = delete;

    void add(ops::metrics_batch& rows) { queue_.add(rows); }
    [[nodiscard]] ops::metrics_queue::counts count() const { return queue_.count(); }
    void keep_days(unsigned days) noexcept { retention_days_.store(days); }  // from now on
    // After the last add(): writes what waits, unless the database is known to be out of reach, for
    // a few seconds at most, and joins.
    void stop();

  private:
    using clock = std::chrono::steady_clock;
    using batch = ops::metrics_queue::batch;

    void run();
    [[nodiscard]] bool connect();
    // Takes the front batch out of the queue, written or refused for good; false: try again later.
    [[nodiscard]] bool deliver(const batch& rows);
    [[nodiscard]] bool settle_doubt();
    [[nodiscard]] bool copy(const batch& rows);
    [[nodiscard]] bool send(const std::string& text);
    [[nodiscard]] bool commit();
    [[nodiscard]] bool failed(const char* step, const PGresult* r);
    void purge();
    void report_dropped();
    [[nodiscard]] result_ptr query(const std::string& sql);

    const config::settings settings_;
    std::atomic<unsigned> retention_days_;
    ops::metrics_queue queue_;
    connection_ptr connection_;
    std::string in_doubt_;   // the transaction that may have written the front batch
    bool ascii_ = false;     // the database's encoding lacks what a name of this batch holds
    bool unusable_ = false;  // no connection can write this batch
    bool complained_ = false;
    std::uint64_t dropped_told_ = 0;
    clock::time_point tell_at_{};
    clock::time_point purge_at_{};
    std::uint64_t purged_to_ = 0;  // an id of the table, in a pass through it; 0: one begins
    unsigned passes_ = 0;
    std::thread thread_;
};

}  // namespace pgsidecar::io
