#include "proxy/io/transport.h"

#include <openssl/err.h>

#include <algorithm>
#include <array>
#include <boost/asio/io_context.hpp>
#include <climits>
#include <utility>

namespace pgsidecar::io {
namespace {

namespace asio = boost::asio;
constexpr std::size_t tls_record = 16U << 10;    // bytes
constexpr std::size_t keep_capacity = 4U << 10;  // bytes of output buffer kept once drained

void set_keepalive(tcp::socket& socket, const config::keepalive_settings& wanted) {
    boost::system::error_code ignored;
    socket.set_option(asio::socket_base::keep_alive{wanted.enabled}, ignored);
    if (!wanted.enabled) return;
#ifdef TCP_KEEPIDLE
    using idle = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_KEEPIDLE>;
    using interval = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_KEEPINTVL>;
    using count = asio::detail::socket_option::integer<IPPROTO_TCP, TCP_KEEPCNT>;
    if (wanted.idle.count() > 0)
        socket.set_option(idle{static_cast<int>(wanted.idle.count())}, ignored);
    if (wanted.interval.count() > 0)
        socket.set_option(interval{static_cast<int>(wanted.interval.count())}, ignored);
    if (wanted.count > 0) socket.set_option(count{static_cast<int>(wanted.count)}, ignored);
#endif
}

tcp::socket tuned(tcp::socket socket, const config::keepalive_settings& keepalive) {
    boost::system::error_code ignored;
    socket.set_option(tcp::no_delay{true}, ignored);
    set_keepalive(socket, keepalive);
    return socket;
}

}  // namespace

transport::transport(asio::io_context& home, tcp::socket socket,
                     const config::keepalive_settings& keepalive)
    : socket_{std::make_unique<stream_socket>(home, tuned(std::move(socket), keepalive))} {}

io_status transport::tls_status(int result) {
    wants_write_ = false;
    switch (SSL_get_error(tls_.get(), result)) {
        case SSL_ERROR_WANT_READ:
            return io_status::would_block;
        case SSL_ERROR_WANT_WRITE:
            wants_write_ = true;
            return io_status::would_block;
        default:
            return io_status::closed;
    }
}

io_status transport::read(std::span<char> buffer, std::size_t& got) {
    got = 0;
    if (tls_) {
        ERR_clear_error();
        const int size = static_cast<int>(std::min<std::size_t>(buffer.size(), INT_MAX));
        const int result = SSL_read(tls_.get(), buffer.data(), size);
        if (result <= 0) return tls_status(result);
        got = static_cast<std::size_t>(result);
        return io_status::ok;
    }
    return socket_->receive(buffer, got);
}

io_status transport::peek(char& first) {
    std::size_t got = 0;
    return socket_->receive({&first, 1}, got, true);
}

io_status transport::write_some(std::span<const std::string_view> pieces, std::size_t& written) {
    written = 0;
    if (tls_) {
        // One record at a time: small pieces are joined so that each is not a record of its own.
        std::array<char, tls_record> record;
        std::string_view out = pieces.front();
        if (pieces.size() > 1 && out.size() < record.size()) {
            std::size_t filled = 0;
            for (const auto piece : pieces) {
                const auto part = piece.substr(0, record.size() - filled);
                filled += part.copy(record.data() + filled, part.size());
                if (filled == record.size()) break;
            }
            out = {record.data(), filled};
        }
        ERR_clear_error();
        const int size = static_cast<int>(std::min<std::size_t>(out.size(), INT_MAX));
        const int result = SSL_write(tls_.get(), out.data(), size);
        if (result <= 0) return tls_status(result);
        written = static_cast<std::size_t>(result);
        return io_status::ok;
    }
    return socket_->send(pieces, written);
}

bool transport::write(const std::vector<std::string_view>& pieces) {
    std::vector<std::string_view> rest;
    if (pending() == 0) {
        std::span<const std::string_view> left{pieces};
        while (!left.empty()) {
            std::size_t written = 0;
            const auto status = write_some(left, written);
            if (status == io_status::closed) return false;
            if (status == io_status::would_block) break;
            while (!left.empty() && written >= left.front().size()) {
                written -= left.front().size();
                left = left.subspan(1);
            }
            if (written == 0) continue;
            // A piece went in part: what is left of the call starts inside it.
            rest.assign(left.begin(), left.end());
            rest.front().remove_prefix(written);
            left = rest;
        }
        for (const auto piece : left) output_.append(piece);
        return true;
    }
    for (const auto piece : pieces) output_.append(piece);
    return true;
}

bool transport::flush() {
    while (pending() > 0) {
        const std::string_view left{output_.data() + sent_, pending()};
        std::size_t written = 0;
        const auto status = write_some({&left, 1}, written);
        if (status == io_status::closed) return false;
        if (status == io_status::would_block) break;
        sent_ += written;
    }
    if (pending() == 0) {
        sent_ = 0;
        output_.clear();
        if (output_.capacity() > keep_capacity) output_.shrink_to_fit();
    } else if (sent_ > (1U << 20)) {
        output_.erase(0, sent_);
        sent_ = 0;
    }
    return true;
}

void transport::start_tls(ssl_ptr tls, bool accepting) {
    tls_ = std::move(tls);
    SSL_set_fd(tls_.get(), static_cast<int>(socket_->native_handle()));
    SSL_set_mode(tls_.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                 SSL_MODE_RELEASE_BUFFERS);
    if (accepting)
        SSL_set_accept_state(tls_.get());
    else
        SSL_set_connect_state(tls_.get());
}

io_status transport::handshake() {
    ERR_clear_error();
    const int result = SSL_do_handshake(tls_.get());
    return result == 1 ? io_status::ok : tls_status(result);
}

tcp::socket transport::leave_for(asio::io_context& next) {
    auto socket = socket_->release_to(next);
    socket_.reset();
    return socket;
}

void transport::settle(asio::io_context& home, tcp::socket socket) {
    socket_ = std::make_unique<stream_socket>(home, std::move(socket));
}

void transport::close() noexcept {
    if (tls_ && SSL_is_init_finished(tls_.get())) {
        ERR_clear_error();
        SSL_shutdown(tls_.get());  // says close_notify; nobody waits for the answer
    }
    socket_->finish_sending();
    socket_->close();
}

socket_addresses transport::addresses() {
    socket_addresses out;
    if (!socket_->is_open()) return out;
    const auto ask = [this](auto function, std::string& address, std::uint16_t& port) {
        tcp::endpoint end;
        auto size = static_cast<socklen_t>(end.capacity());
        if (function(socket_->native_handle(), end.data(), &size) != 0) return;
        end.resize(static_cast<std::size_t>(size));
        auto ip = end.address();
        if (ip.is_v6() && ip.to_v6().is_v4_mapped())
            ip = boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, ip.to_v6());
        address = ip.to_string();
        port = end.port();
    };
    ask(::getpeername, out.peer, out.peer_port);
    ask(::getsockname, out.own, out.own_port);
    return out;
}

std::string transport::tls_text() const {
    if (!tls_ || shaking_hands()) return {};
    return std::string{SSL_get_version(tls_.get())} + "/" + SSL_get_cipher_name(tls_.get());
}

}  // namespace pgsidecar::io
