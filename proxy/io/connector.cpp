#include "proxy/io/connector.h"

#include <array>
#include <boost/asio/connect.hpp>
#include <utility>

#include "protocol/startup.h"
#include "proxy/io/log.h"

namespace pgsidecar::io {

namespace asio = boost::asio;
using boost::system::error_code;

connector::connector(asio::io_context& context, std::shared_ptr<const config::settings> settings,
                     ssl_ctx_ptr tls, std::chrono::milliseconds timeout)
    : context_{context},
      settings_{std::move(settings)},
      upstream_{settings_->upstream},
      tls_{std::move(tls)},
      timeout_{timeout},
      resolver_{context},
      socket_{context},
      timer_{context} {}

std::string connector::where() const {
    return upstream_.host + ":" + std::to_string(upstream_.port);
}

void connector::start(handler done) {
    done_ = std::move(done);
    if (timeout_.count() > 0) {
        timer_.expires_after(timeout_);
        timer_.async_wait([self = shared_from_this()](error_code error) {
            if (!error) self->fail("server_connect_timeout reached");
        });
    }
    resolve();
}

void connector::resolve() {
    resolver_.async_resolve(
        upstream_.host, std::to_string(upstream_.port),
        [self = shared_from_this()](error_code error,
                                    const tcp::resolver::results_type& endpoints) {
            if (!self->done_) return;
            if (error) return self->fail("cannot resolve the name: " + error.message());
            self->connect(endpoints);
        });
}

void connector::cancel() { fail("the client went away"); }

void connector::connect(const tcp::resolver::results_type& endpoints) {
    if (!done_) return;
    asio::async_connect(
        socket_, endpoints, [self = shared_from_this()](error_code error, const tcp::endpoint&) {
            if (!self->done_) return;
            if (error) return self->fail(error.message());
            self->link_ = std::make_unique<transport>(self->context_, std::move(self->socket_),
                                                      self->settings_->keepalive);
            if (self->tls_)
                self->ask_for_tls();
            else
                self->succeed();
        });
}

void connector::ask_for_tls() {
    std::string request;
    protocol::write_ssl_request(request);
    if (!link_->write({request})) return fail("the server closed the connection");
    ask_again();
}

void connector::read_answer() {
    // One byte and no more: what stands behind it before TLS could be anybody's.
    std::array<char, 2> answer{};
    std::size_t got = 0;
    const auto status = link_->read(answer, got);
    if (status == io_status::would_block) return ask_again();
    if (status == io_status::closed) return fail("the server closed the connection");
    if (got > 1) return fail("the server sent unencrypted data behind its answer to SSLRequest");
    if (answer[0] == 'S') {
        link_->start_tls(new_server_side_session(*tls_, upstream_.tls.mode, upstream_.host), false);
        return handshake();
    }
    const bool optional = upstream_.tls.mode == config::tls_mode::prefer;
    if (answer[0] != 'N') return fail("the server did not understand SSLRequest");
    if (!optional)
        return fail("the server does not support TLS, but server_tls_sslmode asks for it");
    succeed();
}

void connector::ask_again() {
    link_->on_readable([self = shared_from_this()](error_code error) {
        if (!self->done_) return;
        if (error) return self->fail(error.message());
        self->read_answer();
    });
}

void connector::handshake() {
    const auto status = link_->handshake();
    if (status == io_status::ok) return succeed();
    if (status == io_status::closed) {
        const auto why = "TLS handshake failed: " + tls_failure(*link_->tls());
        if (upstream_.tls.mode != config::tls_mode::prefer) return fail(why);
        log_info("upstream " + where() + ": " + why + "; connecting without TLS");
        tls_.reset();
        link_.reset();
        socket_ = tcp::socket{context_};
        return resolve();
    }
    const auto next = [self = shared_from_this()](error_code error) {
        if (!self->done_) return;
        if (error) return self->fail(error.message());
        self->handshake();
    };
    link_->wants_write() ? link_->on_writable(next) : link_->on_readable(next);
}

void connector::succeed() {
    timer_.cancel();
    if (auto done = std::exchange(done_, nullptr)) done(std::move(link_), {});
}

void connector::fail(std::string message, std::string sqlstate) {
    timer_.cancel();
    resolver_.cancel();
    error_code ignored;
    socket_.close(ignored);
    if (link_) link_->close();
    if (auto done = std::exchange(done_, nullptr))
        done(nullptr, {std::move(sqlstate),
                       "cannot connect to upstream " + where() + ": " + std::move(message)});
}

}  // namespace pgsidecar::io
