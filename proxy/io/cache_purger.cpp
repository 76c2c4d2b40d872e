#include "proxy/io/cache_purger.h"

#include <chrono>
#include <string>
#include <string_view>
#include <utility>

#include "proxy/io/control_parameters.h"
#include "proxy/io/database_engine.h"
#include "proxy/io/log.h"

namespace pgsidecar::io {
namespace {

using namespace std::chrono_literals;

constexpr auto first_pause = 1s;
constexpr auto pause = 30s;
constexpr auto between_steps = 100ms;

constexpr auto prepare = "SET statement_timeout = '10s'; SET lock_timeout = '2s'";
// The table's index begins with the tenant: from tenant to tenant along it, and of each what has
// expired. It is looked at again when it is locked, for somebody may have renewed it.
constexpr auto step = R"sql(
WITH RECURSIVE tenants(id) AS (
  SELECT (SELECT tenant_id FROM prescription_query_cache ORDER BY tenant_id LIMIT 1)
  UNION ALL
  SELECT (SELECT c.tenant_id FROM prescription_query_cache c WHERE c.tenant_id > t.id
           ORDER BY c.tenant_id LIMIT 1)
    FROM tenants t WHERE t.id IS NOT NULL),
old AS MATERIALIZED (
  SELECT x.cache_key FROM tenants t CROSS JOIN LATERAL (
    SELECT c.cache_key FROM prescription_query_cache c
     WHERE c.tenant_id = t.id
       AND c.expiration_time < pg_catalog.timezone('UTC', pg_catalog.now())
     ORDER BY c.expiration_time LIMIT 500) x
   WHERE t.id IS NOT NULL LIMIT 500),
locked AS MATERIALIZED (
  SELECT c.cache_key FROM prescription_query_cache c JOIN old ON old.cache_key = c.cache_key
   WHERE c.expiration_time < pg_catalog.timezone('UTC', pg_catalog.now())
     FOR UPDATE OF c SKIP LOCKED)
DELETE FROM prescription_query_cache c USING locked WHERE c.cache_key = locked.cache_key)sql";

}  // namespace

cache_purger::cache_purger(const config::settings& settings)
    : settings_{of_shared_cache(settings)}, thread_{[this] { run(); }} {}

void cache_purger::stop() {
    {
        const std::lock_guard lock{mutex_};
        stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

bool cache_purger::rest(std::chrono::milliseconds how_long) {
    std::unique_lock lock{mutex_};
    return !changed_.wait_for(lock, how_long, [this] { return stopping_; });
}

void cache_purger::run() {
    for (std::chrono::milliseconds next = first_pause; rest(next); next = pause) purge();
}

void cache_purger::purge() {
    const auto connection =
        control_parameters{settings_}.application_name("pgsidecar cache purge").connect();
    result_ptr r{PQexec(connection.get(), prepare)};
    while (PQresultStatus(r.get()) == PGRES_COMMAND_OK) {
        r.reset(PQexec(connection.get(), step));
        const bool done = PQresultStatus(r.get()) == PGRES_COMMAND_OK;
        if (done && std::string_view{PQcmdTuples(r.get())} == "0") {
            complained_ = false;
            return;
        }
        if (done && !rest(between_steps)) return;
    }
    // What is missing the tier itself tells.
    if (!std::exchange(complained_, true))
        log_debug("shared cache: expired rows were not deleted: " +
                  first_line(PQerrorMessage(connection.get())));
}

}  // namespace pgsidecar::io
