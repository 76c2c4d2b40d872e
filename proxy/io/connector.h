// Opens a connection to the upstream: resolve, connect, and TLS if it is given a context for it.
// With server_tls_sslmode prefer, a server that cannot agree on TLS is connected to without. One
// object for one attempt; start() once, the handler is called once (also after cancel(), with an
// error). Runs on the io_context that it was given.
// Protocol 3.0, "SSL Session Encryption".
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "proxy/io/tls.h"
#include "proxy/io/transport.h"

namespace pgsidecar::io {

struct connect_error {
    std::string sqlstate;  // what the client is told
    std::string message;
};

class connector : public std::enable_shared_from_this<connector> {
  public:
    using handler = std::function<void(std::unique_ptr<transport>, connect_error)>;

    connector(boost::asio::io_context& context, std::shared_ptr<const config::settings> settings,
              ssl_ctx_ptr tls, std::chrono::milliseconds timeout);
    void start(handler done);
    void cancel();

  private:
    void resolve();
    void connect(const tcp::resolver::results_type& endpoints);
    void ask_for_tls();
    void read_answer();
    void ask_again();
    void handshake();
    void succeed();
    void fail(std::string message, std::string sqlstate = "08001");
    [[nodiscard]] std::string where() const;

    boost::asio::io_context& context_;
    const std::shared_ptr<const config::settings> settings_;
    const config::upstream_settings& upstream_;
    ssl_ctx_ptr tls_;
    std::chrono::milliseconds timeout_;
    tcp::resolver resolver_;
    tcp::socket socket_;
    boost::asio::steady_timer timer_;
    std::unique_ptr<transport> link_;
    handler done_;
};

}  // namespace pgsidecar::io
