// A pump whose session shares server connections (pool_mode: transaction).
#include <utility>

#include "proxy/io/crypto.h"
#include "proxy/io/log.h"
#include "proxy/io/pump.h"
#include "proxy/io/worker.h"

namespace pgsidecar::io {
namespace {
constexpr std::size_t random_key_size = 32;
}

void pump::join_pool() {
    pool_ = home_.pools().join(session_.pool_start_up(), session_.database_name(), session_.user(),
                               session_.shown_credentials());
    session_.on_pool_joined(home_.new_client_pid(), random_bytes(random_key_size));
}

core::server_link* pump::take_now() {
    if (pooled_ || closing_ || ended_) return nullptr;
    pooled_ = home_.pools().take_now(*pool_);
    if (!pooled_) return nullptr;
    server_ = std::move(pooled_->io);
    return pooled_->link.get();
}

void pump::acquire_server() {
    std::string error;
    if (auto connection = home_.pools().acquire(pool_, token_, error))
        return attach(std::move(connection));
    acquiring_ = error.empty();
    acquiring_since_ = std::chrono::steady_clock::now();
    if (!acquiring_) {
        auto& todo = home_.actions();
        todo.clear();
        session_.on_no_server(error, todo);
        perform();
    }
}

void pump::acquire_again() {
    if (!std::exchange(acquiring_, false)) return;
    acquire_ = true;
    settle();
}

void pump::on_server(pooled_ptr connection) {
    // It has given up waiting while this was on its way.
    if (closing_ || !std::exchange(acquiring_, false))
        return home_.pools().release(std::move(connection));
    if (traffic_)
        traffic_->wait_time += std::chrono::duration_cast<std::chrono::microseconds>(
            std::chrono::steady_clock::now() - acquiring_since_);
    attach(std::move(connection));
    if (!ended_) settle();
}

void pump::on_no_server(const std::string& error) {
    if (closing_ || !std::exchange(acquiring_, false)) return;
    auto& todo = home_.actions();
    todo.clear();
    session_.on_no_server(error, todo);
    perform();
    if (!ended_) settle();
}

void pump::attach(pooled_ptr connection) {
    pooled_ = std::move(connection);
    server_ = std::move(pooled_->io);
    auto& todo = home_.actions();
    todo.clear();
    session_.on_server_attached(*pooled_->link, std::chrono::steady_clock::now(), todo);
    perform();
}

void pump::note_kept(core::pin why) {
    if (kept_for_ != core::pin::none) home_.count_kept(kept_for_, -1);
    kept_for_ = why;
    if (why == core::pin::none) return;
    home_.count_kept(why, 1);
    log_debug("session keeps its server connection: reason=" + std::string{to_string(why)} +
              " pid=" + std::to_string(session_.client_pid()) + " user=" + session_.user() +
              " database=" + session_.database_name());
}

void pump::give_back_server() {
    if (!pooled_) return;
    auto connection = std::move(pooled_);
    connection->io = std::move(server_);
    ++server_turn_;
    server_waits_ = server_flushes_ = false;
    // A message of which only the front has come would be taken for the next one's by who follows.
    if (!std::exchange(rest_taken_, false) && !server_rest_.empty()) connection->link->unfit = true;
    server_rest_.clear();
    connection->io->forget_waits();
    if (connection->link->unfit || connection->io->pending() > 0)
        home_.pools().destroy(std::move(connection));
    else
        home_.pools().release(std::move(connection));
}

}  // namespace pgsidecar::io
