#include "proxy/io/http_server.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "proxy/io/http_connection.h"
#include "proxy/io/log.h"

namespace pgsidecar::io {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;

constexpr auto accept_pause = std::chrono::milliseconds{100};
constexpr auto listen_pause = std::chrono::milliseconds{200};

http_server::http_server(asio::io_context& context, const config::http_settings& settings,
                         http_site& site, const http_limits& limits, taken when)
    : site_{site},
      limits_{limits},
      address_{settings.listen_addr},
      most_{settings.max_connections},
      acceptor_{context},
      pause_{context},
      port_{settings.listen_port} {
    try {
        listen();
    } catch (const boost::system::system_error& error) {
        if (when == taken::waits && error.code() == asio::error::address_in_use) return;
        throw std::runtime_error("cannot serve HTTP on " + address_ + ":" + std::to_string(port_) +
                                 ": " + error.code().message());
    }
}

http_server::~http_server() { stop(); }

// Throws boost::system::system_error, and is not listening then.
void http_server::listen() {
    const tcp::endpoint endpoint{asio::ip::make_address(address_ == "*" ? "::" : address_), port_};
    tcp::acceptor fresh{acceptor_.get_executor()};
    fresh.open(endpoint.protocol());
#ifndef _WIN32
    fresh.set_option(tcp::acceptor::reuse_address{true});
#endif
    fresh.bind(endpoint);
    fresh.listen();
    port_ = fresh.local_endpoint().port();
    acceptor_ = std::move(fresh);
}

void http_server::listen_later() {
    pause_.expires_after(listen_pause);
    pause_.async_wait([this](error_code stopped) {
        if (!stopped) start();
    });
}

void http_server::start() {
    if (acceptor_.is_open()) return accept();
    try {
        listen();
        if (complained_) log_info("HTTP is served now");
        complained_ = false;
        accept();
    } catch (const boost::system::system_error& error) {
        if (!std::exchange(complained_, true))
            log_warning("cannot serve HTTP yet: " + error.code().message());
        listen_later();
    }
}

void http_server::stop() {
    error_code ignored;
    acceptor_.close(ignored);
    pause_.cancel();
    while (!open_.empty()) open_.front()->close();
}

void http_server::accept() {
    acceptor_.async_accept([this](error_code error, tcp::socket client) {
        if (error == asio::error::operation_aborted || !acceptor_.is_open()) return;
        if (error) {
            // Out of file descriptors, most likely.
            log_warning("cannot accept an HTTP connection: " + error.message());
            pause_.expires_after(accept_pause);
            pause_.async_wait([this](error_code stopped) {
                if (!stopped) accept();
            });
            return;
        }
        if (open_.size() < most_ || make_room()) {
            open_.push_back(std::make_shared<http_connection>(*this, std::move(client)));
            open_.back()->start(std::prev(open_.end()));
        }
        accept();
    });
}

// False when every connection is being answered.
bool http_server::make_room() {
    const auto longest =
        std::ranges::find_if(open_, [](const auto& c) { return c->waits_for_request(); });
    if (longest == open_.end()) return false;
    (*longest)->close();
    return true;
}

}  // namespace pgsidecar::io
