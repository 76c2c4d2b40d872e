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

asio_socket::asio_socket(asio::io_context& home, tcp::socket from) : socket_{home} {
    error_code error;
    const auto local = from.local_endpoint(error);
    if (&asio::query(from.get_executor(), asio::execution::context) == &home)
        socket_ = std::move(from);
    else if (const auto handle = from.release(error); !error)
        socket_.assign(local.protocol(), handle, error);
    socket_.non_blocking(true, error);
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

tcp::socket asio_socket::release_to(boost::asio::io_context& next) {
    tcp::socket out{next};
    boost::system::error_code ignored;
    const auto handle = socket_.release(ignored);
    // Which of the protocols it is matters to open() alone.
    if (!ignored) out.assign(tcp::v4(), handle, ignored);
    return out;
}

void asio_socket::finish_sending() {
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
}

void asio_socket::close() {
    error_code ignored;
    socket_.close(ignored);
}

}  // namespace pgsidecar::io
