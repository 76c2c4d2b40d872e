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

http_server::http_server(asio::io_context& context, const config::http_settings& settings,
                         http_site& site, const http_limits& limits)
    : site_{site},
      limits_{limits},
      most_{settings.max_connections},
      acceptor_{context},
      pause_{context} {
    listen(settings);
}

http_server::~http_server() { stop(); }

void http_server::listen(const config::http_settings& settings) {
    const auto& address = settings.listen_addr;
    try {
        const auto ip = asio::ip::make_address(address == "*" ? "::" : address);
        const tcp::endpoint endpoint{ip, settings.listen_port};
        acceptor_.open(endpoint.protocol());
#ifndef _WIN32
        acceptor_.set_option(tcp::acceptor::reuse_address{true});
#endif
        acceptor_.bind(endpoint);
        acceptor_.listen();
        port_ = acceptor_.local_endpoint().port();
    } catch (const boost::system::system_error& error) {
        throw std::runtime_error("cannot serve HTTP on " + address + ":" +
                                 std::to_string(settings.listen_port) + ": " +
                                 error.code().message());
    }
}

void http_server::start() { accept(); }

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
