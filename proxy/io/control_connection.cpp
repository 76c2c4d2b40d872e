#include "proxy/io/control_connection.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "proxy/io/log.h"
#include "proxy/io/notify_stream.h"
#include "proxy/io/wal_stream.h"

namespace pgsidecar::io {
namespace {

constexpr auto look_interval = std::chrono::milliseconds{100};
constexpr auto settle_interval = std::chrono::milliseconds{50};
constexpr auto retry_interval = std::chrono::milliseconds{500};

void feed(policy::catalog_builder& builder, std::size_t index, const PGresult& rows) {
    const int columns = PQnfields(&rows);
    std::vector<std::optional<std::string_view>> row(static_cast<std::size_t>(columns));
    for (int i = 0; i < PQntuples(&rows); ++i) {
        for (int c = 0; c < columns; ++c) {
            auto& cell = row[static_cast<std::size_t>(c)];
            cell.reset();
            if (PQgetisnull(&rows, i, c) == 0)
                cell = std::string_view{PQgetvalue(&rows, i, c),
                                        static_cast<std::size_t>(PQgetlength(&rows, i, c))};
        }
        builder.row(index, row);
    }
}

}  // namespace

control_connection::control_connection(core::database& where, core::databases& all,
                                       std::shared_ptr<const config::settings> settings)
    : where_{where},
      all_{all},
      settings_{std::move(settings)},
      refresh_interval_{settings_->cache.catalog_refresh_interval},
      thread_{[this] { run(); }} {}

control_connection::~control_connection() { (void)stop(); }

std::vector<core::unsettled_commit> control_connection::stop() {
    {
        const std::lock_guard lock{mutex_};
        stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
    stream_.reset();
    where_.withdraw();
    return std::exchange(unsettled_, {});
}

void control_connection::wake() {
    {
        const std::lock_guard lock{mutex_};
        woken_ = true;
    }
    changed_.notify_all();
}

void control_connection::refresh_every(std::chrono::milliseconds interval) {
    refresh_interval_.store(interval);
    wake();
}

void control_connection::settle(core::unsettled_commit commit) {
    {
        const std::lock_guard lock{mutex_};
        unsettled_.push_back(std::move(commit));
        woken_ = true;
    }
    changed_.notify_all();
}

bool control_connection::wait_ready(std::chrono::milliseconds at_most) {
    std::unique_lock lock{mutex_};
    return changed_.wait_for(lock, at_most, [this] { return ready_; });
}

void control_connection::run() {
    while (true) {
        const bool connected = connection_ ? alive() : connect();
        const auto now = std::chrono::steady_clock::now();
        bool fresh = connected;
        const bool wanted =
            loaded_ != where_.wanted() || now - loaded_at_ >= refresh_interval_.load();
        const auto rest = budget_.wait(now);
        if (connected && wanted && rest.count() == 0) {
            fresh = load();
            budget_.spend(now, std::chrono::steady_clock::now());
        }
        if (connected && fresh) settle_gone();
        std::unique_lock lock{mutex_};
        if (loaded_ != 0 && !ready_ && where_.trusted(std::chrono::steady_clock::now())) {
            ready_ = true;
            changed_.notify_all();
        }
        auto pause = !connected || !fresh ? retry_interval
                     : unsettled_.empty() ? look_interval
                                          : settle_interval;
        if (connected && wanted && rest.count() > 0) pause = std::min(pause, rest);
        changed_.wait_for(lock, pause, [this] { return stopping_ || woken_; });
        woken_ = false;
        if (stopping_) break;
    }
    connection_.reset();
}

bool control_connection::connect() {
    connection_ = control_parameters{*settings_}.database(where_.name()).connect();
    if (PQstatus(connection_.get()) == CONNECTION_OK) {
        loaded_at_ = {};
        complained_ = false;
        log_info("control connection to database " + where_.name() + " is up");
        if (!how_) where_.trust_until(cache::time_point::min());
        return true;
    }
    if (!std::exchange(complained_, true))
        log_warning("no control connection to database " + where_.name() +
                    ": nothing of it is answered from the cache: " +
                    first_line(PQerrorMessage(connection_.get())));
    connection_.reset();
    return false;
}

void control_connection::lost(const std::string& why) {
    log_warning("control connection to database " + where_.name() + " is lost: " + why);
    connection_.reset();
    loaded_ = 0;
    where_.lose(std::chrono::steady_clock::now());
}

// What the server lacks for its WAL to be followed; empty: nothing; none: it cannot be asked.
std::optional<std::string> control_connection::lacks_for_wal() {
    const std::array<const char*, 1> values{settings_->cache.publication.c_str()};
    const result_ptr r{PQexecParams(
        connection_.get(),
        "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('wal_level'), "
        "EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = $1), "
        "EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = current_user AND "
        "(rolreplication OR rolsuper)), current_user",
        1, nullptr, values.data(), nullptr, nullptr, 0)};
    if (PQresultStatus(r.get()) != PGRES_TUPLES_OK || PQntuples(r.get()) != 1) return std::nullopt;
    const auto value = [&r](int column) { return std::string{PQgetvalue(r.get(), 0, column)}; };
    if (value(0) == "t") return "the server is a standby";
    if (value(1) != "logical") return "wal_level is " + value(1) + ", not logical";
    if (value(2) != "t") return "there is no publication " + settings_->cache.publication;
    if (value(3) != "t") return "role " + value(4) + " lacks REPLICATION";
    return std::string{};
}

// Whether two event triggers of this schema's function are in force: definitions, and drops.
std::optional<bool> control_connection::has_event_triggers(const char* function) {
    const std::array<const char*, 1> values{function};
    const result_ptr r{PQexecParams(
        connection_.get(),
        "SELECT pg_catalog.count(DISTINCT evtevent) = 2 FROM pg_catalog.pg_event_trigger "
        "WHERE evtenabled IN ('O', 'A') AND evtevent IN ('ddl_command_end', 'sql_drop') "
        "AND evtfoid = pg_catalog.to_regproc($1)",
        1, nullptr, values.data(), nullptr, nullptr, 0)};
    if (PQresultStatus(r.get()) != PGRES_TUPLES_OK || PQntuples(r.get()) != 1) return std::nullopt;
    return *PQgetvalue(r.get(), 0, 0) == 't';
}

std::optional<std::string> control_connection::lacks_for_notify() {
    const auto r = query("SELECT pg_catalog.pg_is_in_recovery()");
    if (PQresultStatus(r.get()) != PGRES_TUPLES_OK || PQntuples(r.get()) != 1) return std::nullopt;
    if (*PQgetvalue(r.get(), 0, 0) == 't') return "the server is a standby";
    const auto tell = has_event_triggers("pgsidecar.notify_ddl");
    if (!tell) return std::nullopt;
    return *tell ? "" : "there are no triggers that notify";
}

// Before a catalog is published, so that nothing is cached before it is clear. False: the server
// does not say what it has.
bool control_connection::choose_invalidation() {
    using way = config::invalidation;
    auto how = settings_->cache.invalidation;
    std::string because = how == way::ttl ? "it is configured so" : "";
    if (how == way::automatic) {
        const auto for_wal = lacks_for_wal();
        if (!for_wal) return false;
        const auto for_notify = for_wal->empty() ? for_wal : lacks_for_notify();
        if (!for_notify) return false;
        because = *for_wal;
        if (for_wal->empty()) {
            how = way::wal;
        } else if (for_notify->empty()) {
            how = way::notify;
        } else {
            how = way::ttl;
            if (because != *for_notify) because += ", " + *for_notify;
        }
    }
    core::outside_coverage coverage;
    if (how == way::wal) {
        const auto told = has_event_triggers("pgsidecar.wal_ddl");
        if (!told) return false;
        coverage = {.whom = core::outside_coverage::by::publication,
                    .publication = settings_->cache.publication,
                    .of_definitions = *told};
        if (!*told)
            because =
                "no event trigger of `pgsidecar migrate up --wal` tells of definitions and "
                "rights: those are seen when the catalogs are read";
    } else if (how == way::notify) {
        coverage.whom = core::outside_coverage::by::triggers;
    }
    where_.require(std::move(coverage));
    see_outside_by(how, because);
    return true;
}

void control_connection::see_outside_by(config::invalidation how, const std::string& because) {
    using way = config::invalidation;
    if (!because.empty() && (how_ != how || because_ != because))
        log_info("database " + where_.name() + ": writes that do not pass through here are seen " +
                 (how == way::ttl      ? "when an entry's ttl is over"
                  : how == way::notify ? "by NOTIFY"
                                       : "in the WAL") +
                 ": " + because);
    std::unique_ptr<outside_stream> made;
    if (how_ != how) {
        how_ = how;
        where_.trust_until(cache::time_point::min());
        end_stream();
        if (how == way::wal)
            made = std::make_unique<wal_stream>(where_, settings_);
        else if (how == way::notify)
            made = std::make_unique<notify_stream>(where_, settings_);
    }
    if (how == way::ttl) where_.trust_until(cache::time_point::max());
    const std::lock_guard lock{mutex_};
    if (made) stream_ = std::move(made);
    because_ = because;
}

void control_connection::end_stream() {
    std::unique_ptr<outside_stream> ended;
    {
        const std::lock_guard lock{mutex_};
        ended = std::move(stream_);
    }
    if (ended) where_.whole().bump();  // what it was to outdate it may not have seen
}

ops::invalidation_status control_connection::invalidation() const {
    const std::lock_guard lock{mutex_};
    ops::invalidation_status out{
        .database = where_.name(), .in_use = where_.clients.load() > 0, .detail = because_};
    if (!stream_) return out;
    out.how = stream_->how();
    out.up = where_.trusted(std::chrono::steady_clock::now());
    out.staleness = stream_->staleness();
    auto problem = stream_->problem();
    if (!out.up) out.detail = problem.empty() ? "the stream is late" : std::move(problem);
    return out;
}

bool control_connection::alive() {
    if (PQconsumeInput(connection_.get()) == 1 && PQstatus(connection_.get()) == CONNECTION_OK)
        return true;
    lost(first_line(PQerrorMessage(connection_.get())));
    return false;
}

result_ptr control_connection::query(const char* sql) {
    return result_ptr{PQexec(connection_.get(), sql)};
}

// The connection may be as good as before (a lock was held for too long): then it is tried again.
bool control_connection::refuse(const std::string& what) {
    const auto reason = "reading the catalogs (" + what +
                        ") failed: " + first_line(PQerrorMessage(connection_.get()));
    if (PQstatus(connection_.get()) != CONNECTION_OK) {
        lost(reason);
        return false;
    }
    (void)query("ROLLBACK");
    if (!std::exchange(complained_, true))
        log_warning("database " + where_.name() + ": " + reason + "; trying again");
    return false;
}

bool control_connection::load() {
    if (!choose_invalidation()) return refuse("what the server has for invalidation");
    const auto generation = where_.wanted();
    const auto queries = policy::catalog_queries();
    const auto coverage = where_.required();
    const bool told =
        coverage.of_definitions || coverage.whom == core::outside_coverage::by::triggers;
    const auto left_out = [&](std::size_t q) { return told && queries[q].name == "other_changes"; };
    std::vector<result_ptr> answers(queries.size());
    for (const char* step : {"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                             "SET LOCAL search_path = ''", "SET LOCAL lock_timeout = '250ms'"})
        if (PQresultStatus(query(step).get()) != PGRES_COMMAND_OK) return refuse("begin");
    // Reading a view's definition locks the view and its tables until COMMIT: that comes last, and
    // nothing is parsed before the locks are gone, so that no client's ALTER waits for us.
    for (const bool locking : {false, true}) {
        for (std::size_t q = 0; q < queries.size(); ++q) {
            if ((queries[q].name == "views") != locking || left_out(q)) continue;
            answers[q] = query(std::string{queries[q].sql}.c_str());
            if (PQresultStatus(answers[q].get()) != PGRES_TUPLES_OK)
                return refuse(std::string{queries[q].name});
        }
    }
    if (PQresultStatus(query("COMMIT").get()) != PGRES_COMMAND_OK) return refuse("commit");
    policy::catalog_builder builder;
    for (std::size_t q = 0; q < queries.size(); ++q)
        if (answers[q]) feed(builder, q, *answers[q]);
    auto snapshot = builder.finish(generation);
    if (!snapshot) return refuse("rows of an unexpected form: " + std::string{builder.problem()});
    if (where_.publish(std::move(snapshot)))
        log_info("database " + where_.name() +
                 ": definitions, rights or settings have changed; what was cached is gone");
    complained_ = false;
    loaded_ = generation;
    loaded_at_ = std::chrono::steady_clock::now();
    return true;
}

// A backend that is gone has either committed or not, and says so to nobody: from now on every
// snapshot shows which, so the tables are moved on and free again.
void control_connection::settle_gone() {
    std::vector<core::unsettled_commit> waiting;
    {
        const std::lock_guard lock{mutex_};
        waiting.swap(unsettled_);
    }
    for (auto& commit : waiting) {
        const auto pid = std::to_string(commit.backend_pid);
        const std::array<const char*, 1> values{pid.c_str()};
        const result_ptr r{PQexecParams(connection_.get(),
                                        "SELECT 1 FROM pg_catalog.pg_stat_activity WHERE pid = "
                                        "$1::pg_catalog.int4",
                                        1, nullptr, values.data(), nullptr, nullptr, 0)};
        if (PQresultStatus(r.get()) == PGRES_TUPLES_OK && PQntuples(r.get()) == 0) {
            for (auto* table : commit.tables) table->settle();
            commit.where->whole().bump();  // definitions may have changed meanwhile
            if (commit.whole_cluster) {
                all_.defaults_altered.fetch_add(1);
                all_.want_reload_everywhere();
            }
            if (commit.schema_changed) commit.where->end_schema_change();
            continue;
        }
        const std::lock_guard lock{mutex_};
        unsettled_.push_back(std::move(commit));
    }
}

}  // namespace pgsidecar::io
