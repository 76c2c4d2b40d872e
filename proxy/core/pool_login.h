// Opens a server connection for a pool: its start-up and log-in, with what a client's own log-in
// has shown, up to the server's first ReadyForQuery. Pure; the caller sends and reads.
// Protocol 3.0, "Start-up".
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "protocol/framer.h"
#include "proxy/core/authenticator.h"
#include "proxy/core/server_link.h"

namespace pgsidecar::core {

class pool_login {
  public:
    enum class result : std::uint8_t { more, open, refused };

    // `binding`: tls-server-end-point of the server's certificate, empty without TLS; `random`:
    // scram_nonce_size bytes that nobody can guess. The references are kept.
    pool_login(const crypto& functions, const server_credentials& known, std::string start_up,
               std::string binding, std::string_view random);

    void begin(std::string& to_server);
    // Returns how many bytes were taken; the rest is shown again in front of what comes next.
    [[nodiscard]] std::size_t on_server(protocol::bytes in, std::string& to_server);
    [[nodiscard]] result verdict() const noexcept { return result_; }
    // Of `refused`: an ErrorResponse, the server's own where there is one.
    [[nodiscard]] const std::string& error() const noexcept { return error_; }
    // The server's first word was that it does not admit this connection as it is: encrypted, or
    // not, it may.
    [[nodiscard]] bool not_admitted() const noexcept { return not_admitted_; }
    [[nodiscard]] std::unique_ptr<server_link> take_link() noexcept { return std::move(link_); }

  private:
    void on_frame(const protocol::frame& f, std::string& to_server);
    void on_authentication(protocol::bytes body, std::string& to_server);
    void refuse(std::string_view sqlstate, std::string_view message);

    std::string start_up_;
    server_login login_;
    std::unique_ptr<server_link> link_ = std::make_unique<server_link>();
    std::string error_;
    result result_ = result::more;
    bool heard_ = false;
    bool admitted_ = false;
    bool not_admitted_ = false;
};

}  // namespace pgsidecar::core
