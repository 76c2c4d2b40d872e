#include "proxy/io/asio_socket.h"

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <utility>

namespace pgsidecar::io {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

io_status status_of(const error_code& error) {
    if (!error) return io_status::ok;
    if (error == asio::error::would_block || error == asio::error::try_again)
        return io_status::would_block;
    return io_status::closed;
}

}  // namespace

asio_socket::asio_socket(asio::io_context& home, tcp::socket from)
    : socket_{std::move(from)}, home_{home.get_executor()} {
    error_code ignored;
    socket_.non_blocking(true, ignored);
}

io_status asio_socket::receive(std::span<char> buffer, std::size_t& got, bool peek) {
    error_code error;
    got = socket_.receive(asio::buffer(buffer.data(), buffer.size()),
                          peek ? tcp::socket::message_peek : tcp::socket::message_flags{0}, error);
    return status_of(error);
}

io_status asio_socket::send(std::span<const std::string_view> pieces, std::size_t& sent) {
    std::array<asio::const_buffer, gather_limit> parts;
    const auto count = std::min(pieces.size(), parts.size());
    for (std::size_t i = 0; i < count; ++i) parts[i] = {pieces[i].data(), pieces[i].size()};
    error_code error;
    sent = socket_.write_some(std::span{parts.data(), count}, error);
    return status_of(error);
}

void asio_socket::forget_waits() {
    boost::system::error_code ignored;
    socket_.cancel(ignored);
}

tcp::socket asio_socket::release_to(asio::io_context&) { return std::move(socket_); }

void asio_socket::finish_sending() {
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
}

void asio_socket::close() {
    error_code ignored;
    socket_.close(ignored);
}

}  // namespace pgsidecar::io
