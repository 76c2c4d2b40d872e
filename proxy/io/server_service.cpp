// The server's part in what a service manager is told; see service_manager.h.
#include "proxy/io/handover.h"
#include "proxy/io/server.h"

namespace pgsidecar::io {
namespace {

using boost::system::error_code;

// For what is done after the last client has gone: rows of statistics are still written.
constexpr auto end_patience = std::chrono::seconds{30};
constexpr auto refused = "; the configuration was refused, the log says why";

}  // namespace

void server::begin_service() {
    const bool taken = hand_over_ && hand_over_->predecessors() > 0;
    manager_.ready(service_status(),
                   taken ? service_manager::place::taken : service_manager::place::own);
    look_alive();
}

// Alive is a process in which every worker has come to the end of what it was doing, and this
// thread, too.
void server::look_alive() {
    if (manager_.patience().count() == 0) return;
    when_workers_rest([this] {
        manager_.alive();
        alive_timer_.expires_after(manager_.patience() / 3);
        alive_timer_.async_wait([this](error_code error) {
            if (!error) look_alive();
        });
    });
}

void server::reload_for_signal() {
    manager_.reloading();
    configuration_.reload("SIGHUP", [this](const configuration::result& r) {
        if (draining_) return;
        // Of a refusal of these very files configuration_ may know only after this.
        const bool unsaid = !r.ok && !configuration_.refused();
        manager_.ready(service_status() + (unsaid ? refused : ""));
    });
}

void server::tell_stopping() {
    manager_.stopping(service_status(), settings().shutdown_timeout + end_patience);
}

std::string server::service_status() const {
    const auto number = clients();
    const auto left = std::to_string(number) + (number == 1 ? " client" : " clients");
    if (draining_) return "shutting down, " + left + " left";
    if (leaving_) return "handed over to another process, " + left + " left";
    if (awaits_clients_ || !acceptor_.is_open()) return "accepts no more, " + left;
    auto out = "listening on " + settings().listen_addr + ":" +
               std::to_string(acceptor_.local_endpoint().port()) + ", " + left;
    if (databases_.suspended()) out += ", cache off until the process before has ended";
    if (!settings().enable_optimizations) out += ", everything passes through";
    if (configuration_.refused()) out += refused;
    return out;
}

}  // namespace pgsidecar::io
