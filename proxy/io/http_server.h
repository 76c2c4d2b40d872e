// HTTP/1.1 over plain TCP, on main()'s thread, for what a site has to say. Bounded: so many
// connections, so large a request, so long for each step. When all places are taken, a newcomer
// gets the place of the connection that has been waiting for a request longest: who holds
// connections open keeps nobody out.
//
//     http_server server{context, settings, site} -> start() -> stop() [-> start() ...]
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <list>
#include <memory>
#include <string>

#include "proxy/io/http_site.h"

namespace pgsidecar::io {

class http_connection;

// How long each step may take.
struct http_limits {
    std::chrono::milliseconds first{std::chrono::seconds{10}};    // until a request begins
    std::chrono::milliseconds idle{std::chrono::seconds{60}};     // until a further one does
    std::chrono::milliseconds request{std::chrono::seconds{10}};  // from its first byte to its last
    std::chrono::milliseconds answer{std::chrono::seconds{10}};   // until there is one
    std::chrono::milliseconds write{std::chrono::seconds{30}};    // until it has been taken
    std::chrono::milliseconds linger{std::chrono::seconds{2}};    // for the client's end of it
};

class http_server {
  public:
    using connections = std::list<std::shared_ptr<http_connection>>;

    // Whether a port that is taken is an error, or is waited for: another process may be about to
    // give it up.
    enum class taken : std::uint8_t { throws, waits };

    // Listens; throws std::runtime_error when it cannot. The site outlives it.
    http_server(boost::asio::io_context& context, const config::http_settings& settings,
                http_site& site, const http_limits& limits = {}, taken when = taken::throws);
    ~http_server();
    http_server(const http_server&) = delete;
    http_server& operator=(const http_server&) = delete;

    void start();  // listens again if it was stopped, as soon as the port is free
    void stop();   // closes everything
    [[nodiscard]] std::uint16_t port() const { return port_; }
    [[nodiscard]] std::size_t size() const noexcept { return open_.size(); }

    // For its connections: one begins to wait for a request, one has ended.
    void waits(connections::iterator which) { open_.splice(open_.end(), open_, which); }
    void ended(connections::iterator which) { open_.erase(which); }
    [[nodiscard]] http_site& site() noexcept { return site_; }
    [[nodiscard]] const http_limits& limits() const noexcept { return limits_; }

  private:
    void listen();
    void listen_later();
    void accept();
    [[nodiscard]] bool make_room();

    http_site& site_;
    const http_limits limits_;
    const std::string address_;
    const std::size_t most_;
    boost::asio::ip::tcp::acceptor acceptor_;
    boost::asio::steady_timer pause_;
    std::uint16_t port_;
    bool complained_ = false;
    connections open_;  // those that wait, in the order in which they began to
};

}  // namespace pgsidecar::io
