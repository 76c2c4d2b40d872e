#include "proxy/io/database_engine.h"

#include <algorithm>
#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <charconv>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/base64.h"

namespace pgsidecar::io {
namespace {

using std::chrono::microseconds;
using steady = std::chrono::steady_clock;

// Somebody's lock on the table must not hold the connection for ever.
constexpr auto prepare = "SET statement_timeout = '2s'; SET lock_timeout = '1s'";
constexpr auto look = "SELECT 1 FROM prescription_query_cache LIMIT 0";
constexpr auto ask_time =
    "SELECT (EXTRACT(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::pg_catalog.int8";
// The time comes also where nothing is found.
constexpr auto select =
    "SELECT n.at, c.cache_key, c.cached_result->>'data' FROM (SELECT (EXTRACT(epoch FROM "
    "pg_catalog.clock_timestamp()) * 1000000)::pg_catalog.int8 AS at) n LEFT JOIN "
    "prescription_query_cache c ON c.cache_key = ANY ($1::pg_catalog.text[]) AND "
    "c.expiration_time > pg_catalog.timezone('UTC', pg_catalog.clock_timestamp())";
constexpr auto insert =
    "INSERT INTO prescription_query_cache AS c (cache_key, tenant_id, cached_result, "
    "expiration_time) VALUES ($1, $2, pg_catalog.jsonb_build_object('v', 1, 'data', "
    "$3::pg_catalog.text), pg_catalog.timezone('UTC', pg_catalog.to_timestamp("
    "$4::pg_catalog.float8 / 1000000))) ON CONFLICT (cache_key) DO UPDATE SET tenant_id = "
    "EXCLUDED.tenant_id, cached_result = EXCLUDED.cached_result, expiration_time = "
    "EXCLUDED.expiration_time, created_at = CURRENT_TIMESTAMP";
constexpr std::size_t longest_tenant = 100;  // characters, of the column

microseconds time_in(const PGresult* r) {
    std::int64_t out = 0;
    if (PQntuples(r) > 0) {
        const std::string_view text{PQgetvalue(r, 0, 0)};
        std::from_chars(text.data(), text.data() + text.size(), out);
    }
    return microseconds{out};
}

std::string sqlstate_of(const PGresult* r) {
    const char* state = r ? PQresultErrorField(r, PG_DIAG_SQLSTATE) : nullptr;
    return state ? state : "";
}

}  // namespace

config::settings of_shared_cache(config::settings s) {
    if (!s.shared_cache.connection.empty())
        s.upstream.control_connection = s.shared_cache.connection;
    return s;
}

database_engine::database_engine(const config::settings& settings)
    : settings_{of_shared_cache(settings)} {}

bool database_engine::wait(bool to_write, time_point until) {
    using tcp = boost::asio::ip::tcp;
    const auto handle = PQsocket(connection_.get());
    if (handle < 0) return false;
    tcp::socket view{context_};
    boost::system::error_code error;
    view.assign(tcp::v4(), handle, error);  // whatever it is: nothing but waiting is done with it
    if (error) return false;
    bool ready = false;
    view.async_wait(to_write ? tcp::socket::wait_write : tcp::socket::wait_read,
                    [&ready](boost::system::error_code failed) { ready = !failed; });
    context_.restart();
    (void)context_.run_one_until(until);
    late_ = !ready;
    (void)view.release(error);  // libpq closes it
    context_.restart();
    context_.run();  // what was cancelled refers to `ready`
    return ready;
}

std::string database_engine::failure(const PGresult* r) const {
    if (late_) return "no answer in time";
    const auto state = sqlstate_of(r);
    if (state == "42P01" || state == "3F000")
        return "the table prescription_query_cache is missing (SQLSTATE " + state +
               "): run pgsidecar migrate up";
    if (!state.empty()) return "SQLSTATE " + state;
    return first_line(PQerrorMessage(connection_.get()));
}

std::string database_engine::connect(time_point until) {
    connection_ = control_parameters{settings_}.application_name("pgsidecar cache").start();
    late_ = false;
    if (!connection_ || PQstatus(connection_.get()) == CONNECTION_BAD) return failure(nullptr);
    auto next = PGRES_POLLING_WRITING;
    while (next == PGRES_POLLING_READING || next == PGRES_POLLING_WRITING) {
        if (!wait(next == PGRES_POLLING_WRITING, until)) return failure(nullptr);
        next = PQconnectPoll(connection_.get());
    }
    if (next != PGRES_POLLING_OK) return failure(nullptr);
    PQsetNoticeProcessor(
        connection_.get(), [](void*, const char*) {}, nullptr);
    return PQsetnonblocking(connection_.get(), 1) == 0 ? std::string{} : failure(nullptr);
}

bool database_engine::flush(time_point until) {
    while (true) {
        const int left = PQflush(connection_.get());
        if (left <= 0) return left == 0;
        // The server may be waiting for us to read.
        if (!wait(true, until) || PQconsumeInput(connection_.get()) != 1) return false;
    }
}

bool database_engine::result(result_ptr& out, time_point until) {
    while (PQisBusy(connection_.get())) {
        if (!wait(false, until) || PQconsumeInput(connection_.get()) != 1) return false;
    }
    out.reset(PQgetResult(connection_.get()));
    return true;
}

std::string database_engine::only_result(result_ptr& out, time_point until) {
    if (!flush(until)) return failure(nullptr);
    result_ptr next;
    while (true) {
        if (!result(next, until)) return failure(nullptr);
        if (!next) break;
        out = std::move(next);
    }
    const auto status = PQresultStatus(out.get());
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK) return {};
    return failure(out.get());
}

std::string database_engine::query(const char* sql, result_ptr& out, time_point until) {
    if (PQsendQuery(connection_.get(), sql) != 1) return failure(nullptr);
    return only_result(out, until);
}

std::string database_engine::open(time_point until) {
    if (auto why = connect(until); !why.empty()) return why;
    result_ptr ignored;
    for (const char* sql : {prepare, look})
        if (auto why = query(sql, ignored, until); !why.empty()) return why;
    const std::array statements{std::pair{"get", select}, std::pair{"put", insert}};
    for (const auto& [name, sql] : statements) {
        if (PQsendPrepare(connection_.get(), name, sql, 0, nullptr) != 1) return failure(nullptr);
        if (auto why = only_result(ignored, until); !why.empty()) return why;
    }
    return {};
}

std::string database_engine::check(time_point until) {
    result_ptr r;
    const auto asked = steady::now();
    if (auto why = query(ask_time, r, until); !why.empty()) return why;
    const auto now = time_in(r.get());
    if (now.count() <= 0) return "its time cannot be read";
    clock_.note(now, asked, steady::now());
    return {};
}

std::string database_engine::get(std::span<tier_get> all, time_point until) {
    std::string names{"{"};
    for (const auto& g : all) {
        names.append(names.size() == 1 ? "\"" : ",\"").append(g.name).append("\"");
    }
    names += '}';
    const std::array<const char*, 1> values{names.c_str()};
    const auto asked = steady::now();
    if (PQsendQueryPrepared(connection_.get(), "get", 1, values.data(), nullptr, nullptr, 0) != 1)
        return failure(nullptr);
    result_ptr r;
    if (auto why = only_result(r, until); !why.empty()) return why;
    const auto now = time_in(r.get());
    if (now.count() <= 0) return "its time cannot be read";
    clock_.note(now, asked, steady::now());
    for (auto& g : all) {
        g.now = now;
        g.set_back = clock_.set_back();
    }
    for (int i = 0; i < PQntuples(r.get()); ++i) {
        if (PQgetisnull(r.get(), i, 1) || PQgetisnull(r.get(), i, 2)) continue;
        const std::string_view key{PQgetvalue(r.get(), i, 1)};
        const std::string_view data{PQgetvalue(r.get(), i, 2),
                                    static_cast<std::size_t>(PQgetlength(r.get(), i, 2))};
        for (auto& g : all) {
            if (g.name != key) continue;
            g.found = true;  // also where it is no base64: then it is no envelope either
            if (protocol::base64_decode(data, g.sealed)) g.sealed.clear();
        }
    }
    return {};
}

// The row's own result, the null behind it, and that of its Sync.
std::string database_engine::put_result(tier_put& p, time_point until) {
    for (int nulls = 0; nulls < 2;) {
        result_ptr r;
        if (!result(r, until)) return failure(nullptr);
        const auto status = PQresultStatus(r.get());
        if (!r)
            ++nulls;
        else if (status == PGRES_PIPELINE_SYNC)
            return {};
        else if (status != PGRES_COMMAND_OK)
            p.refused = sqlstate_of(r.get());
        if (r && status != PGRES_COMMAND_OK && p.refused.empty()) break;
    }
    return failure(nullptr);
}

std::string database_engine::put(std::span<tier_put> all, time_point until) {
    late_ = false;
    if (PQenterPipelineMode(connection_.get()) != 1) return failure(nullptr);
    for (const auto& p : all) {
        const auto data = protocol::base64_encode(p.sealed);
        const auto expires = std::to_string(p.expires.count());
        const auto tenant = p.tenant.substr(0, longest_tenant);
        const std::array<const char*, 4> values{p.name.c_str(), tenant.c_str(), data.c_str(),
                                                expires.c_str()};
        if (PQsendQueryPrepared(connection_.get(), "put", 4, values.data(), nullptr, nullptr, 0) !=
                1 ||
            PQpipelineSync(connection_.get()) != 1)
            return failure(nullptr);
    }
    if (!flush(until)) return failure(nullptr);
    for (auto& p : all) {
        if (auto why = put_result(p, until); !why.empty()) return why;
    }
    return PQexitPipelineMode(connection_.get()) == 1 ? std::string{} : failure(nullptr);
}

}  // namespace pgsidecar::io
