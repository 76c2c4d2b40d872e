#include "proxy/io/outside_stream.h"

#include <boost/asio/post.hpp>
#include <random>
#include <sstream>
#include <utility>

#include "proxy/io/log.h"

namespace pgsidecar::io {
namespace {

constexpr auto retry_interval = std::chrono::milliseconds{500};
constexpr auto never = std::chrono::steady_clock::time_point::min();

}  // namespace

outside_stream::outside_stream(core::database& where,
                               std::shared_ptr<const config::settings> settings)
    : where_{where}, settings_{std::move(settings)}, work_{context_.get_executor()} {}

void outside_stream::begin() {
    thread_ = std::thread{[this] { run(); }};
}

void outside_stream::end() {
    stopping_.store(true);
    boost::asio::post(context_, [] {});
    thread_.join();
}

void outside_stream::run() {
    while (!stopping_.load()) {
        if (open()) follow();
        trust(never);
        close();
        (void)rest(clock::now() + retry_interval);
    }
}

bool outside_stream::wait(clock::time_point until) {
    for (const auto& w : watches_) w.watch->arm();
    context_.restart();
    context_.run_one_until(until);
    return !stopping_.load();
}

bool outside_stream::rest(clock::time_point until) {
    while (!stopping_.load() && clock::now() < until) {
        context_.restart();
        context_.run_one_until(until);
    }
    return !stopping_.load();
}

connection_ptr outside_stream::connect(const std::string& application_name, bool replication) {
    control_parameters parameters{*settings_};
    parameters.database(where_.name()).application_name(application_name);
    if (replication) parameters.replication();
    auto made = parameters.connect();
    if (PQstatus(made.get()) != CONNECTION_OK) {
        failed(made.get());
        return nullptr;
    }
    watches_.push_back({made.get(), std::make_unique<pq_watch>(context_, made.get())});
    return made;
}

void outside_stream::disconnect(connection_ptr& connection) {
    std::erase_if(watches_, [&](const watched& w) { return w.connection == connection.get(); });
    connection.reset();
}

std::string outside_stream::random_name() {
    std::ostringstream out;
    std::random_device random;
    out << "pgsidecar_" << std::hex << random() << random();
    return out.str();
}

result_ptr outside_stream::last_answer(PGconn* connection, clock::time_point until) {
    result_ptr last;
    while (PQconsumeInput(connection) == 1) {
        while (PQisBusy(connection) == 0) {
            result_ptr next{PQgetResult(connection)};
            if (!next) return last;
            last = std::move(next);
        }
        if (clock::now() >= until) break;
        (void)wait(until);
    }
    return nullptr;
}

void outside_stream::opened(const std::string& by, bool goes_on) {
    if (!goes_on) {
        where_.whole().bump();
        where_.move_epoch();
    }
    complained_ = false;
    set_problem({});
    log_info("database " + where_.name() + ": writes that do not pass through here are seen " + by);
}

void outside_stream::seen(clock::time_point when) {
    trust(when + settings_->cache.max_invalidation_lag);
}

void outside_stream::trust(clock::time_point until) {
    const bool by_age = settings_->cache.on_invalidation_loss == config::invalidation_loss::ttl;
    where_.trust_until(by_age ? clock::time_point::max() : until);
}

bool outside_stream::failed(const std::string& why) {
    set_problem(why);
    if (stopping_.load() || std::exchange(complained_, true)) return false;
    log_warning("database " + where_.name() +
                ": writes that do not pass through here are not seen: " + why);
    return false;
}

void outside_stream::set_problem(std::string why) {
    const std::lock_guard lock{mutex_};
    problem_ = std::move(why);
}

std::string outside_stream::problem() const {
    const std::lock_guard lock{mutex_};
    return problem_;
}

void outside_stream::note_staleness(std::chrono::microseconds late) {
    const std::lock_guard lock{mutex_};
    staleness_.add(ops::latency::sample{late});
}

ops::latency outside_stream::staleness() const {
    const std::lock_guard lock{mutex_};
    return staleness_;
}

}  // namespace pgsidecar::io
