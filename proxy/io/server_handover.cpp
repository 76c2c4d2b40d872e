// The server's part in a hand-over; see handover.h.
#include <boost/asio/connect.hpp>
#include <stdexcept>
#include <utility>

#include "proxy/io/alert_sender.h"
#include "proxy/io/console.h"
#include "proxy/io/handover.h"
#include "proxy/io/http_service.h"
#include "proxy/io/log.h"
#include "proxy/io/server.h"

namespace pgsidecar::io {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr auto upstream_patience = std::chrono::seconds{5};

std::string text_of(const tcp::endpoint& e) {
    return e.address().to_string() + ":" + std::to_string(e.port());
}

}  // namespace

// The listening socket of the process whose place is taken. One that a service manager hands over
// as well is the same, or of a unit that has nothing to do with it.
void server::inherit(int listening) {
    use_listener(descriptor{listening}, "the process that is running", "nothing was taken over");
    (void)manager_.take_listener();
}

// A socket that is there already, if it is the one that is wanted.
void server::use_listener(descriptor given, std::string_view owner, std::string_view otherwise) {
    const auto wanted = listen_endpoint();
    acceptor_.assign(wanted.protocol(), given.get());
    (void)given.release();
    const auto found = acceptor_.local_endpoint();
    const bool port_fits = wanted.port() == 0 || wanted.port() == found.port();
    if (found.address() != wanted.address() || !port_fits)
        throw std::runtime_error(std::string{owner} + " listens on " + text_of(found) +
                                 ", this configuration on " + text_of(wanted) + ": " +
                                 std::string{otherwise});
    acceptor_.listen(static_cast<int>(settings().listen_backlog));
}

// Of a place that works only one that works as well may be taken.
void server::check_place(bool catalogs_read) {
    if (!catalogs_read)
        throw std::runtime_error("the catalogs cannot be read: nothing was taken over");
    asio::io_context own;
    tcp::resolver resolver{own};
    tcp::socket probe{own};
    bool reached = false;
    resolver.async_resolve(
        settings().upstream.host, std::to_string(settings().upstream.port),
        [&](error_code error, const tcp::resolver::results_type& found) {
            if (error) return;
            asio::async_connect(
                probe, found, [&](error_code failed, const tcp::endpoint&) { reached = !failed; });
        });
    own.run_for(upstream_patience);
    if (!reached)
        throw std::runtime_error("the server " + live_->options.upstream_name +
                                 " cannot be reached: nothing was taken over");
}

int server::listener() {
    return acceptor_.is_open() && !draining_ ? static_cast<int>(acceptor_.native_handle()) : -1;
}

int server::stop_accepting() {
    if (!acceptor_.is_open()) return -1;
    // Not close(): the socket lives on in the other process, and only what is released is taken
    // out of what this one waits for.
    error_code ignored;
    return static_cast<int>(acceptor_.release(ignored));
}

void server::close_listener() {
#ifdef __linux__
    // Whoever has handed it over has it still: then close() alone would not take it out of an epoll
    // set, either.
    const descriptor gone{stop_accepting()};
#else
    error_code ignored;
    acceptor_.close(ignored);
#endif
}

void server::open_http() {
    if (settings().http.listen_port != 0) http_ = std::make_unique<http_service>(context_, *this);
}

void server::leave_http() {
    if (http_) http_->stop();
}

std::string server::hand_over_state() const {
    const auto word = [](bool is) { return is ? "true" : "false"; };
    return std::string{"{\"suspended\":"} + word(databases_.suspended()) +
           ",\"leaving\":" + word(leaving_) +
           ",\"predecessors\":" + std::to_string(hand_over_ ? hand_over_->predecessors() : 0) + "}";
}

void server::accept_again(int listening) {
    leaving_ = false;
    drain_timer_.cancel();
    acceptor_.assign(listen_endpoint().protocol(), listening);
    accept();
    if (http_) http_->start();
    manager_.status(service_status());
}

void server::when_workers_rest(std::function<void()> then) {
    const auto left = std::make_shared<std::atomic<std::size_t>>(workers_.size());
    const auto call = std::make_shared<std::function<void()>>(std::move(then));
    for (auto& w : workers_)
        w->post([this, left, call] {
            if (left->fetch_sub(1) == 1) asio::post(context_, [call] { (*call)(); });
        });
}

void server::leave() {
    log_info(std::to_string(clients()) + " clients stay");
    const bool leaves_already = std::exchange(leaving_, true);
    manager_.status(service_status());
    if (!leaves_already && settings().handover_timeout.count() > 0) {
        drain_timer_.expires_after(settings().handover_timeout);
        drain_timer_.async_wait([this](error_code error) {
            if (error || !leaving_) return;
            log_warning("handover_timeout reached: shutting down");
            stop();
        });
    }
    session_ended();
}

void server::stop() {
    if (!draining_) drain();
}

void server::watch_for_alerts() {
    alerts_ = std::make_unique<alert_sender>(live_->settings);
    observer_.on_sample([this](const io::observer::snapshot& now) { alerts_->look(*now); });
}

void server::cancel(std::int32_t pid, std::string key, std::function<void()> done) {
    auto& any = *workers_.front();
    any.post(
        [&any, pid, key = std::move(key), done = std::move(done)] { any.cancel(pid, key, done); });
}

bool server::may_be_elsewhere() const noexcept {
    return hand_over_ && hand_over_->has_predecessors();
}

void server::cancel_elsewhere(std::int32_t pid, const std::string& key,
                              std::function<void()> done) {
    hand_over_->cancel(pid, key, std::move(done));
}

}  // namespace pgsidecar::io
