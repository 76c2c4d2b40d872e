#include "proxy/io/tier_stream.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/write.hpp>
#include <utility>
#include <vector>

namespace pgsidecar::io {
namespace {
namespace asio = boost::asio;
using boost::system::error_code;
}  // namespace

bool tier_stream::wait(const operation& o, time_point until) {
    context_.restart();
    while (!o.done && context_.run_one_until(until) > 0) {
    }
    return o.done;
}

void tier_stream::fail(const char* step, const std::string& why) {
    close();
    error_ = std::string{step} + ": " + why;
}

bool tier_stream::finish(operation& o, time_point until, const char* step) {
    if (!wait(o, until)) {
        error_code ignored;
        socket_->close(ignored);
        (void)wait(o, time_point::max());  // ends at once: nothing may refer to `o` any more
        fail(step, "no answer in time");
        return false;
    }
    if (!o.error) return true;
    const auto why =
        tls_ && tls_->native_handle() && o.error.category() == asio::error::get_ssl_category()
            ? tls_failure(*tls_->native_handle())
            : o.error.message();
    fail(step, why);
    return false;
}

std::vector<tier_stream::tcp::endpoint> tier_stream::resolve(const std::string& host,
                                                             const std::string& port,
                                                             time_point until) {
    const auto number = static_cast<std::uint16_t>(std::stoul(port));
    error_code no_address;
    const auto address = asio::ip::make_address(host, no_address);
    if (!no_address) return {{address, number}};
    // A look-up cannot be ended: it may outlast this call.
    struct look_up {
        explicit look_up(asio::io_context& c) : resolver{c} {}
        tcp::resolver resolver;
        operation state;
        std::vector<tcp::endpoint> found;
    };
    const auto asked = std::make_shared<look_up>(context_);
    asked->resolver.async_resolve(
        host, port, [asked](error_code error, const tcp::resolver::results_type& found) {
            asked->state.error = error;
            for (const auto& f : found) asked->found.push_back(f.endpoint());
            asked->state.done = true;
        });
    if (!wait(asked->state, until))
        fail("looking up its name", "no answer in time");
    else if (asked->state.error)
        fail("looking up its name", asked->state.error.message());
    return asked->found;
}

bool tier_stream::open(const std::string& host, const std::string& port, SSL_CTX* tls,
                       config::tls_mode mode, time_point until) {
    close();
    error_.clear();
    const auto where = resolve(host, port, until);
    if (where.empty()) return false;
    socket_ = std::make_unique<tcp::socket>(context_);
    operation o;
    asio::async_connect(*socket_, where, [&o](error_code error, const tcp::endpoint&) {
        o.error = error;
        o.done = true;
    });
    if (!finish(o, until, "connecting")) return false;
    error_code ignored;
    socket_->set_option(tcp::no_delay{true}, ignored);
    socket_->set_option(asio::socket_base::keep_alive{true}, ignored);
    if (!tls) return true;
    tls_ =
        std::make_unique<tls_stream>(*socket_, new_server_side_session(*tls, mode, host).release());
    operation shake;
    tls_->async_handshake(asio::ssl::stream_base::client, [&shake](error_code error) {
        shake.error = error;
        shake.done = true;
    });
    return finish(shake, until, "TLS");
}

bool tier_stream::write(std::string_view bytes, time_point until) {
    operation o;
    const auto done = [&o](error_code error, std::size_t) {
        o.error = error;
        o.done = true;
    };
    const auto buffer = asio::buffer(bytes.data(), bytes.size());
    tls_ ? asio::async_write(*tls_, buffer, done) : asio::async_write(*socket_, buffer, done);
    return finish(o, until, "writing");
}

std::size_t tier_stream::read(std::span<char> into, time_point until) {
    operation o;
    const auto done = [&o](error_code error, std::size_t size) {
        o.error = error;
        o.size = size;
        o.done = true;
    };
    const auto buffer = asio::buffer(into.data(), into.size());
    tls_ ? tls_->async_read_some(buffer, done) : socket_->async_read_some(buffer, done);
    return finish(o, until, "reading") ? o.size : 0;
}

void tier_stream::close() noexcept {
    error_code ignored;
    if (socket_) socket_->close(ignored);
    tls_.reset();
    socket_.reset();
}

}  // namespace pgsidecar::io
