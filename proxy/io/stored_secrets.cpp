#include "proxy/io/stored_secrets.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <utility>

#include "proxy/io/log.h"

namespace pgsidecar::io {
namespace {

constexpr auto keep_unused = std::chrono::seconds{5};
constexpr std::size_t most_waiting = 10'000;
// Nobody but the question itself decides what its names mean, or how long it may take.
constexpr const char* prepare = "SET search_path = pg_catalog; SET statement_timeout = '10s'";

// Seconds, with a fraction; infinite ones are many.
std::chrono::milliseconds seconds_of(const char* text) {
    constexpr double most = 1e9;
    const double seconds = std::strtod(text, nullptr);
    if (!(seconds > 0)) return {};  // NaN too
    return std::chrono::milliseconds{static_cast<std::int64_t>(std::min(seconds, most) * 1000)};
}

}  // namespace

void stored_secrets::adopt(std::shared_ptr<const config::settings> settings) {
    const std::lock_guard lock{mutex_};
    if (settings->auth_query != settings_->auth_query ||
        settings->auth_query_ttl != settings_->auth_query_ttl)
        known_ = secret_cache{settings->auth_query_ttl};
    settings_ = std::move(settings);
}

std::shared_ptr<const config::settings> stored_secrets::settings() {
    const std::lock_guard lock{mutex_};
    return settings_;
}

void stored_secrets::doubt(const std::string& user) {
    const std::lock_guard lock{mutex_};
    known_.doubt(user, std::chrono::steady_clock::now());
}

void stored_secrets::look_up(std::string user, handler done) {
    std::unique_lock lock{mutex_};
    if (stopping_) return;
    if (auto known = known_.find(user, altered_.load(), std::chrono::steady_clock::now())) {
        lock.unlock();
        return done(std::move(known));
    }
    if (waiting_.size() >= most_waiting) {
        lock.unlock();
        return done(std::nullopt);
    }
    waiting_.push_back({std::move(user), std::move(done)});
    if (!thread_.joinable()) thread_ = std::thread{[this] { run(); }};
    lock.unlock();
    changed_.notify_one();
}

void stored_secrets::stop() {
    {
        const std::lock_guard lock{mutex_};
        stopping_ = true;
        waiting_.clear();
    }
    changed_.notify_one();
    if (thread_.joinable()) thread_.join();
}

void stored_secrets::run() {
    std::unique_lock lock{mutex_};
    const auto work = [this] { return stopping_ || !waiting_.empty(); };
    while (!stopping_) {
        if (!connection_) {
            changed_.wait(lock, work);
        } else if (!changed_.wait_for(lock, keep_unused, work)) {
            connection_.reset();
        }
        if (stopping_ || waiting_.empty()) continue;
        const auto next = std::move(waiting_.front());
        waiting_.pop_front();
        lock.unlock();
        next.done(ask_and_keep(next.user));
        lock.lock();
    }
    connection_.reset();
}

bool stored_secrets::connect() {
    connection_ = control_parameters{*settings()}.connect();
    if (PQstatus(connection_.get()) != CONNECTION_OK) {
        complain(first_line(PQerrorMessage(connection_.get())));
        connection_.reset();
        return false;
    }
    if (PQresultStatus(result_ptr{PQexec(connection_.get(), prepare)}.get()) == PGRES_COMMAND_OK)
        return true;
    connection_.reset();
    return false;
}

std::optional<std::string> stored_secrets::ask_and_keep(const std::string& user) {
    const auto altered = altered_.load();
    const auto asked = std::chrono::steady_clock::now();
    const auto before = settings();
    auto found = ask(user);
    if (!found) return std::nullopt;
    const std::lock_guard lock{mutex_};
    if (settings_->auth_query != before->auth_query) return std::move(found->secret);
    known_.keep(user, found->secret, altered, asked, found->valid);
    return std::move(found->secret);
}

std::optional<stored_secrets::answer> stored_secrets::ask(const std::string& user) {
    // A connection from before may have ended meanwhile: then once more, with a new one.
    for (const bool first : {static_cast<bool>(connection_), false}) {
        if (!connection_ && !connect()) return std::nullopt;
        const std::array<const char*, 1> values{user.c_str()};
        const auto now = settings();
        const result_ptr rows{PQexecParams(connection_.get(), now->auth_query.c_str(), 1, nullptr,
                                           values.data(), nullptr, nullptr, 0)};
        if (PQresultStatus(rows.get()) == PGRES_TUPLES_OK && PQnfields(rows.get()) >= 2) {
            complained_ = false;
            if (PQntuples(rows.get()) == 0 || PQgetisnull(rows.get(), 0, 1) != 0) return answer{};
            answer found{PQgetvalue(rows.get(), 0, 1), std::nullopt};
            if (PQnfields(rows.get()) > 2 && PQgetisnull(rows.get(), 0, 2) == 0)
                found.valid = seconds_of(PQgetvalue(rows.get(), 0, 2));
            if (found.valid && found.valid->count() == 0) return answer{};  // it was, once
            return found;
        }
        const bool broken = PQstatus(connection_.get()) != CONNECTION_OK;
        if (!broken || !first) {
            complain(PQresultStatus(rows.get()) == PGRES_TUPLES_OK
                         ? "it does not give two columns"
                         : first_line(PQresultErrorMessage(rows.get())));
            connection_.reset();
            return std::nullopt;
        }
        connection_.reset();
    }
    return std::nullopt;
}

void stored_secrets::complain(const std::string& why) {
    if (!std::exchange(complained_, true))
        log_warning("auth_query over control_connection: " + why +
                    (settings()->auth_type == config::auth_type::relay
                         ? ": log-ins by SCRAM with TLS on both legs are relayed, which satisfies "
                           "the server only without channel binding"
                         : ": users that auth_file does not name cannot log in"));
}

}  // namespace pgsidecar::io
