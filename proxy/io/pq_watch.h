// Readiness of a libpq connection's socket, through Asio: on any platform, and beside other things
// that one io_context waits for. The connection stays the owner of its socket and must outlive
// this.
#pragma once
#include <libpq-fe.h>

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <memory>

namespace pgsidecar::io {

class pq_watch {
  public:
    // Connected, and connected once: a socket that libpq exchanges is not followed.
    pq_watch(boost::asio::io_context& context, PGconn* connection);
    ~pq_watch();
    pq_watch(const pq_watch&) = delete;
    pq_watch& operator=(const pq_watch&) = delete;

    // One handler of the context runs when there is something to read. Once at a time.
    void arm();

  private:
    boost::asio::generic::stream_protocol::socket socket_;
    std::shared_ptr<bool> armed_ = std::make_shared<bool>(false);
};

}  // namespace pgsidecar::io
