// The program's HTTP: the site and its server, filled from what the program knows. On main()'s
// thread, whose io_context outlives it.
#pragma once
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "proxy/io/http_server.h"
#include "proxy/io/http_site.h"

namespace pgsidecar::io {

class connector;
class server;

// Whether the upstream takes a connection. An answer is kept for some seconds, so that who asks
// often does not make the upstream work.
class upstream_probe : public std::enable_shared_from_this<upstream_probe> {
  public:
    // Empty: it does.
    using taker = std::function<void(const std::string& why_not)>;

    upstream_probe(boost::asio::io_context& context,
                   std::shared_ptr<const config::settings> settings)
        : context_{context}, settings_{std::move(settings)} {}
    void ask(taker then);

  private:
    boost::asio::io_context& context_;
    const std::shared_ptr<const config::settings> settings_;  // where it is needs a restart
    std::shared_ptr<connector> under_way_;
    std::vector<taker> askers_;
    std::optional<std::chrono::steady_clock::time_point> asked_at_;
    std::string why_not_;
};

class http_service {
  public:
    // Throws std::runtime_error: the token cannot be read, the address is in use (unless it is to
    // wait for it).
    http_service(boost::asio::io_context& context, server& of,
                 http_server::taken when = http_server::taken::throws);
    void start();                    // also after stop()
    void stop() { server_.stop(); }  // gives the port up

    // What is wrong with the files that the settings name, one a line; empty when all is well.
    [[nodiscard]] static std::string problems(const config::settings& s);

  private:
    [[nodiscard]] http_sources sources();
    [[nodiscard]] std::string configuration_detail() const;
    [[nodiscard]] ops::program_state state(const std::string& upstream_why_not) const;

    server& program_;
    std::shared_ptr<upstream_probe> probe_;
    http_site site_;
    http_server server_;
};

}  // namespace pgsidecar::io
