// What the two kinds of socket (epoll_socket, asio_socket) have in common; see stream_socket.h.
#pragma once
#include <boost/asio/ip/tcp.hpp>
#include <boost/system/error_code.hpp>
#include <cstdint>
#include <functional>

namespace pgsidecar::io {

using tcp = boost::asio::ip::tcp;
using wait_handler = std::function<void(boost::system::error_code)>;

enum class io_status : std::uint8_t { ok, would_block, closed };

// Pieces of one gathered write: more wait for the next.
constexpr std::size_t gather_limit = 64;

}  // namespace pgsidecar::io
