#include "proxy/io/metrics_sink.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "proxy/io/log.h"

namespace pgsidecar::io {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr auto look_interval = milliseconds{500};
constexpr auto retry_interval = milliseconds{500};
constexpr auto tell_interval = seconds{60};
constexpr auto purge_interval = std::chrono::hours{1};
constexpr auto purge_pause = milliseconds{100};
constexpr auto last_words = seconds{5};   // for what waits when the program ends
constexpr std::size_t purge_step = 5000;  // rows that one DELETE looks at
constexpr unsigned whole_pass = 24;       // each such pass goes through the whole table

// Somebody's lock on the table must not hold this thread, and with it the program's end, for ever.
constexpr auto prepare = "SET statement_timeout = '15s'; SET lock_timeout = '10s'";
constexpr auto begin =
    "BEGIN; SELECT pg_catalog.txid_current(), "
    "EXTRACT(timezone FROM pg_catalog.now())::pg_catalog.int4";
constexpr auto copy_command =
    "COPY prescription_query_metrics (tenant_id, query_type, execution_time_ms, record_count, "
    "timestamp) FROM STDIN";

config::settings of_metrics(config::settings s) {
    if (!s.metrics.connection.empty()) s.upstream.control_connection = s.metrics.connection;
    return s;
}

std::string_view sqlstate_of(const PGresult* r) {
    const char* state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : nullptr;
    return state ? state : "";
}

std::string value_of(const PGresult* r, int column) {
    return PQntuples(r) == 1 && PQnfields(r) > column ? PQgetvalue(r, 0, column) : "";
}

seconds seconds_of(std::string_view text) {
    int out = 0;
    std::from_chars(text.data(), text.data() + text.size(), out);
    return seconds{out};
}

}  // namespace

metrics_sink::metrics_sink(const config::settings& settings)
    : settings_{of_metrics(settings)},
      retention_days_{settings.metrics.performance_metrics_retention_days},
      queue_{settings.metrics.max_queued_rows},
      thread_{[this] { run(); }} {}

metrics_sink::~metrics_sink() { stop(); }

void metrics_sink::stop() {
    queue_.close();
    if (thread_.joinable()) thread_.join();
}

void metrics_sink::run() {
    auto end = clock::time_point::max();
    while (true) {
        const bool closing = queue_.closed();
        if (closing) end = std::min(end, clock::now() + last_words);
        report_dropped();
        const auto* rows = queue_.front(look_interval);
        if (closing && (!rows || complained_ || clock::now() >= end)) break;
        if (rows && !deliver(*rows)) queue_.pause(retry_interval);
        purge();
    }
    if (const auto left = queue_.count().waiting; left > 0)
        log_warning("metrics: " + std::to_string(left) + " rows are lost: the program ends");
    connection_.reset();
}

bool metrics_sink::deliver(const batch& rows) {
    if (!connect()) return false;
    if (!in_doubt_.empty() && !settle_doubt()) return false;
    // Settled as committed the batch has left the queue, and `rows` with it.
    const auto* first = queue_.front(milliseconds{0});
    if (first != &rows) return true;
    if (copy(rows)) {
        if (std::exchange(complained_, false)) log_info("metrics are written again");
    } else if (!std::exchange(unusable_, false)) {
        return false;
    } else {
        queue_.done(false);
        ascii_ = false;
        return true;
    }
    queue_.done(true);
    ascii_ = false;
    return true;
}

result_ptr metrics_sink::query(const std::string& sql) {
    return result_ptr{PQexec(connection_.get(), sql.c_str())};
}

bool metrics_sink::connect() {
    if (connection_) return true;
    connection_ = control_parameters{settings_}.application_name("pgsidecar metrics").connect();
    if (PQstatus(connection_.get()) != CONNECTION_OK) return failed("connecting", nullptr);
    const auto r = query(prepare);
    return PQresultStatus(r.get()) == PGRES_COMMAND_OK || failed("preparing", r.get());
}

// What became of the transaction whose COMMIT was not answered. False: not known yet.
bool metrics_sink::settle_doubt() {
    const auto r = query("SELECT pg_catalog.txid_status(" + in_doubt_ + ")");
    // Another server may be there now, which has not come so far.
    const bool unheard_of = sqlstate_of(r.get()) == "22023";
    if (PQresultStatus(r.get()) != PGRES_TUPLES_OK && !unheard_of)
        return failed("asking for a commit", r.get());
    const auto status = unheard_of ? std::string{} : value_of(r.get(), 0);
    if (status == "in progress") return false;
    in_doubt_.clear();
    if (status == "committed") queue_.done(true);
    return true;
}

bool metrics_sink::copy(const batch& rows) {
    const auto began = query(begin);
    if (PQresultStatus(began.get()) != PGRES_TUPLES_OK) return failed("BEGIN", began.get());
    const auto transaction = value_of(began.get(), 0);
    const auto started = query(copy_command);
    if (PQresultStatus(started.get()) != PGRES_COPY_IN) return failed("COPY", started.get());
    if (!send(ops::copy_text(rows, seconds_of(value_of(began.get(), 1)), ascii_))) return false;
    in_doubt_ = transaction;
    return commit();
}

bool metrics_sink::send(const std::string& text) {
    constexpr std::size_t most = 1U << 20;  // bytes of one CopyData
    for (std::size_t at = 0; at < text.size(); at += most) {
        const auto size = std::min(most, text.size() - at);
        if (PQputCopyData(connection_.get(), text.data() + at, static_cast<int>(size)) != 1)
            return failed("COPY", nullptr);
    }
    if (PQputCopyEnd(connection_.get(), nullptr) != 1) return failed("COPY", nullptr);
    const result_ptr ended{PQgetResult(connection_.get())};
    while (const result_ptr more{PQgetResult(connection_.get())}) {
    }
    return PQresultStatus(ended.get()) == PGRES_COMMAND_OK || failed("COPY", ended.get());
}

bool metrics_sink::commit() {
    const auto r = query("COMMIT");
    const bool answered = PQstatus(connection_.get()) == CONNECTION_OK;
    if (answered) in_doubt_.clear();
    return PQresultStatus(r.get()) == PGRES_COMMAND_OK || failed("COMMIT", r.get());
}

bool metrics_sink::failed(const char* step, const PGresult* r) {
    // Of the batch itself: a character that the database's encoding lacks, most likely.
    if (sqlstate_of(r).starts_with("22") && std::exchange(ascii_, true)) unusable_ = true;
    if (!std::exchange(complained_, true))
        log_warning("metrics: nothing can be written, " + std::string{step} +
                    " failed: " + first_line(PQerrorMessage(connection_.get())));
    if (PQstatus(connection_.get()) == CONNECTION_OK)
        (void)query("ROLLBACK");
    else
        connection_.reset();
    return false;
}

// A step at a time, by the primary key: no writer waits for long, and what a step costs does not
// depend on how large the table is. Rows were written in the order of their times, more or less, so
// a pass ends where nothing was old; the first one and each whole_pass-th look at all of them.
void metrics_sink::purge() {
    const auto days = retention_days_.load();
    const auto now = clock::now();
    if (days == 0 || now < purge_at_ || queue_.closed() || !connect()) return;
    const auto r = query(
        "WITH step AS (SELECT id, timestamp FROM prescription_query_metrics WHERE id > " +
        std::to_string(purged_to_) + " ORDER BY id LIMIT " + std::to_string(purge_step) +
        "), gone AS (DELETE FROM prescription_query_metrics m USING step WHERE m.id = step.id AND "
        "step.timestamp < LOCALTIMESTAMP - pg_catalog.make_interval(days => " +
        std::to_string(days) +
        ") RETURNING 1) SELECT pg_catalog.max(id), (SELECT pg_catalog.count(*) FROM gone) FROM "
        "step");
    purge_at_ = now + purge_interval;
    if (PQresultStatus(r.get()) != PGRES_TUPLES_OK) {
        log_warning("metrics: deleting old rows failed: " +
                    first_line(PQerrorMessage(connection_.get())));
        if (PQstatus(connection_.get()) != CONNECTION_OK) connection_.reset();
        return;
    }
    const auto last = value_of(r.get(), 0);  // empty: there was nothing to look at any more
    const bool whole = passes_ % whole_pass == 0;
    if (last.empty() || (value_of(r.get(), 1) == "0" && !whole)) {
        purged_to_ = 0;
        ++passes_;
        return;
    }
    std::from_chars(last.data(), last.data() + last.size(), purged_to_);
    purge_at_ = now + purge_pause;
}

void metrics_sink::report_dropped() {
    const auto dropped = queue_.count().dropped;
    const auto now = clock::now();
    if (dropped == dropped_told_ || now < tell_at_) return;
    log_warning("metrics: " + std::to_string(dropped - dropped_told_) + " rows were dropped, " +
                std::to_string(dropped) + " since the start");
    dropped_told_ = dropped;
    tell_at_ = now + tell_interval;
}

}  // namespace pgsidecar::io
