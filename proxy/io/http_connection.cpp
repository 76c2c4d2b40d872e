#include "proxy/io/http_connection.h"

#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <utility>

namespace pgsidecar::io {
namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;

constexpr std::uint32_t largest_header = 8 * 1024;  // bytes
constexpr std::size_t largest_buffer = 16 * 1024;   // bytes; a pipelining client's, too
constexpr std::size_t most_discarded = 256 * 1024;  // bytes of a request that was refused

std::string_view view_of(boost::beast::string_view text) { return {text.data(), text.size()}; }

http_answer answer_to(const boost::system::error_code& error) {
    const bool large = error == http::error::header_limit || error == http::error::buffer_overflow;
    return large ? http_error(431, "the request's header is too large")
                 : http_error(400, "bad request");
}

}  // namespace

http_connection::http_connection(http_server& home, asio::ip::tcp::socket socket)
    : home_{home},
      socket_{std::move(socket)},
      deadline_{socket_.get_executor()},
      buffer_{largest_buffer} {}

void http_connection::start(http_server::connections::iterator place) {
    place_ = place;
    wait(home_.limits().first);
}

void http_connection::close() {
    if (state_ == state::closed) return;
    const auto self = shared_from_this();
    state_ = state::closed;
    ++step_;
    deadline_.cancel();
    error_code ignored;
    socket_.close(ignored);
    home_.ended(place_);
}

void http_connection::within(std::chrono::milliseconds time) {
    deadline_.expires_after(time);
    deadline_.async_wait([self = shared_from_this(), step = ++step_](error_code error) {
        if (!error && step == self->step_) self->on_late();
    });
}

void http_connection::on_late() {
    switch (state_) {
        case state::reading:  // tell it, once the read is out of the way
            late_ = true;
            ++step_;
            socket_.cancel();
            return;
        case state::answering:
            return write(http_error(503, "there is no answer yet"), false);
        case state::idle:
        case state::writing:
        case state::lingering:
        case state::closed:
            return close();
    }
}

// Nothing is held for a connection that says nothing.
void http_connection::wait(std::chrono::milliseconds at_most) {
    if (buffer_.size() > 0) return read();
    state_ = state::idle;
    home_.waits(place_);
    within(at_most);
    socket_.async_wait(asio::ip::tcp::socket::wait_read,
                       [self = shared_from_this()](error_code error) {
                           if (self->state_ != state::idle) return;
                           error ? self->close() : self->read();
                       });
}

void http_connection::read() {
    state_ = state::reading;
    within(home_.limits().request);
    parser_.emplace();
    parser_->header_limit(largest_header);
    http::async_read_header(
        socket_, buffer_, *parser_,
        [self = shared_from_this()](error_code error, std::size_t) { self->on_read(error); });
}

void http_connection::on_read(error_code error) {
    if (state_ == state::closed) return;
    if (late_) return write(http_error(408, "the request took too long"), false);
    if (!error) {
        const auto length = parser_->content_length();
        if (parser_->chunked() || (length && *length > 0))
            return write(http_error(413, "a request here has no body"), false);
        return answer();
    }
    const bool its_fault = error.category() == http::make_error_code(http::error{}).category() &&
                           error != http::error::end_of_stream &&
                           error != http::error::partial_message;
    its_fault ? write(answer_to(error), false) : close();
}

void http_connection::answer() {
    const auto& request = parser_->get();
    const bool keep = request.keep_alive();
    if (request.version() == 11 && request.count(http::field::host) != 1)
        return write(http_error(400, "a request has one Host"), false);
    state_ = state::answering;
    within(home_.limits().answer);
    home_.site().answer({.method = view_of(request.method_string()),
                         .target = view_of(request.target()),
                         .host = view_of(request[http::field::host]),
                         .authorization = view_of(request[http::field::authorization])},
                        [weak = weak_from_this(), step = step_, keep](http_answer a) {
                            const auto self = weak.lock();
                            if (self && self->step_ == step) self->write(std::move(a), keep);
                        });
}

void http_connection::write(http_answer a, bool keep) {
    state_ = state::writing;
    within(home_.limits().write);
    const bool head =
        parser_ && parser_->is_header_done() && parser_->get().method() == http::verb::head;
    auto& r = response_.emplace();
    r.result(a.status);
    r.set(http::field::content_type, a.type);
    r.set(http::field::cache_control, "no-store");
    r.set("Content-Security-Policy",
          "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'");
    r.set("X-Content-Type-Options", "nosniff");
    r.set("Referrer-Policy", "no-referrer");
    r.set("Cross-Origin-Resource-Policy", "same-origin");
    if (a.status == 401)
        r.set(http::field::www_authenticate,
              "Basic realm=\"pgsidecar: the token is the password\", Bearer realm=\"pgsidecar\"");
    if (a.status == 405) r.set(http::field::allow, "GET, HEAD");
    r.keep_alive(keep);
    r.content_length(a.body.size());
    if (!head) r.body() = std::move(a.body);
    http::async_write(socket_, *response_,
                      [self = shared_from_this(), keep](error_code error, std::size_t) {
                          self->on_written(error, keep);
                      });
}

void http_connection::on_written(error_code error, bool keep) {
    if (state_ == state::closed) return;
    response_.reset();
    parser_.reset();
    if (error) return close();
    keep ? wait(home_.limits().idle) : linger();
}

// Closing with bytes unread would reset the connection, and the answer might be lost with it.
void http_connection::linger() {
    state_ = state::lingering;
    within(home_.limits().linger);
    error_code ignored;
    socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    buffer_.clear();
    drain();
}

void http_connection::drain() {
    socket_.async_read_some(buffer_.prepare(largest_buffer / 2),
                            [self = shared_from_this()](error_code error, std::size_t got) {
                                if (self->state_ == state::closed) return;
                                self->discarded_ += got;
                                if (error || self->discarded_ > most_discarded)
                                    return self->close();
                                self->drain();
                            });
}

}  // namespace pgsidecar::io
