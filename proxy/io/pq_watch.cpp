#include "proxy/io/pq_watch.h"

#include <boost/asio/ip/tcp.hpp>
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

}  // namespace

pq_watch::pq_watch(boost::asio::io_context& context, PGconn* connection) : socket_{context} {
    socket_.assign(protocol_of(connection),
                   static_cast<decltype(socket_)::native_handle_type>(PQsocket(connection)));
}

pq_watch::~pq_watch() {
    boost::system::error_code ignored;
    (void)socket_.release(ignored);  // libpq closes it
}

void pq_watch::arm() {
    if (std::exchange(*armed_, true)) return;
    socket_.async_wait(boost::asio::socket_base::wait_read,
                       [armed = armed_](boost::system::error_code) { *armed = false; });
}

}  // namespace pgsidecar::io
