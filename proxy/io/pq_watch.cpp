#include "proxy/io/pq_watch.h"

#include <boost/asio/ip/tcp.hpp>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace pgsidecar::io {
namespace {

boost::asio::generic::stream_protocol protocol_of(PGconn* connection) {
    const char* host = PQhost(connection);
    const bool local = host != nullptr && (*host == '/' || *host == '@');
#ifdef AF_UNIX
    if (local) return {AF_UNIX, 0};
#endif
    const char* address = PQhostaddr(connection);
    const bool v6 = address != nullptr && std::string_view{address}.find(':') != std::string::npos;
    return v6 ? boost::asio::generic::stream_protocol{boost::asio::ip::tcp::v6()}
              : boost::asio::generic::stream_protocol{boost::asio::ip::tcp::v4()};
}

#ifdef _WIN32
// A second handle to the same socket, which Asio closes as it likes: before Windows 8.1, and under
// wine, none that Asio has once had can be taken back.
SOCKET handle_of(PGconn* connection) {
    WSAPROTOCOL_INFOW what{};
    if (WSADuplicateSocketW(static_cast<SOCKET>(PQsocket(connection)), GetCurrentProcessId(),
                            &what) != 0)
        throw std::runtime_error("a socket cannot be watched");
    const auto out = WSASocketW(FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, FROM_PROTOCOL_INFO, &what,
                                0, WSA_FLAG_OVERLAPPED);
    if (out == INVALID_SOCKET) throw std::runtime_error("a socket cannot be watched");
    return out;
}
#else
int handle_of(PGconn* connection) { return PQsocket(connection); }
#endif

}  // namespace

pq_watch::pq_watch(boost::asio::io_context& context, PGconn* connection) : socket_{context} {
    socket_.assign(protocol_of(connection), handle_of(connection));
}

pq_watch::~pq_watch() {
    boost::system::error_code ignored;
#ifdef _WIN32
    socket_.close(ignored);
#else
    (void)socket_.release(ignored);  // libpq closes it
#endif
}

void pq_watch::arm() {
    if (std::exchange(*armed_, true)) return;
    socket_.async_wait(boost::asio::socket_base::wait_read,
                       [armed = armed_](boost::system::error_code) { *armed = false; });
}

}  // namespace pgsidecar::io
