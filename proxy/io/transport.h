// One TCP connection, plain or under TLS, driven by readiness: wait until it can be read, read into
// a buffer of the worker's, wait again. An idle connection therefore owns no buffer. Output that
// the socket does not take at once is copied and sent when it does; pending() tells how much that
// is, so that the owner can stop reading the other side. Used by one thread. TLS works on the
// socket's own handle (OpenSSL's socket BIO), which keeps no buffers of its own while idle.
#pragma once
#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/settings.h"
#include "proxy/io/stream_socket.h"

namespace pgsidecar::io {

struct ssl_free {
    void operator()(SSL* s) const noexcept { SSL_free(s); }
};
using ssl_ptr = std::unique_ptr<SSL, ssl_free>;

// Both ends of a connection, as texts; empty once it is closed.
struct socket_addresses {
    std::string peer, own;
    std::uint16_t peer_port = 0, own_port = 0;
};

class transport {
  public:
    // `socket` is connected, of `home` or of another context.
    transport(boost::asio::io_context& home, tcp::socket socket,
              const config::keepalive_settings& keepalive);

    // Reads what there is, at most buffer.size() bytes. `got` is set for ok alone.
    [[nodiscard]] io_status read(std::span<char> buffer, std::size_t& got);
    // Looks at the first byte without taking it.
    [[nodiscard]] io_status peek(char& first);
    // Sends the pieces in order, or keeps what the socket does not take. False: the peer is gone.
    [[nodiscard]] bool write(const std::vector<std::string_view>& pieces);
    [[nodiscard]] bool flush();  // after the socket became writable
    // Decrypted bytes are waiting: no readiness will tell of them.
    [[nodiscard]] bool buffered() const noexcept { return tls_ && SSL_has_pending(tls_.get()); }
    [[nodiscard]] std::size_t pending() const noexcept { return output_.size() - sent_; }

    void on_readable(wait_handler f) { socket_->on_readable(std::move(f)); }
    void on_writable(wait_handler f) { socket_->on_writable(std::move(f)); }

    // Nobody is called for the waits under way; with Asio's sockets with operation_aborted.
    void forget_waits() { socket_->forget_waits(); }
    // On its way to another io_context: nobody waits, and nothing else may be called until settle()
    // is, on the other one's thread.
    [[nodiscard]] tcp::socket leave_for(boost::asio::io_context& next);
    void settle(boost::asio::io_context& home, tcp::socket socket);

    // `accepting`: this side is the TLS server. Then handshake() until it is ok or closed; while it
    // would block, wants_write() says what to wait for.
    void start_tls(ssl_ptr tls, bool accepting);
    [[nodiscard]] io_status handshake();
    [[nodiscard]] bool wants_write() const noexcept { return wants_write_; }
    // Until then nobody else may read: OpenSSL would take its messages there.
    [[nodiscard]] bool shaking_hands() const noexcept {
        return tls_ && !SSL_is_init_finished(tls_.get());
    }
    [[nodiscard]] bool encrypted() const noexcept { return tls_ != nullptr; }
    [[nodiscard]] SSL* tls() const noexcept { return tls_.get(); }

    [[nodiscard]] socket_addresses addresses();
    // Version and cipher; empty without TLS.
    [[nodiscard]] std::string tls_text() const;

    void close() noexcept;
    [[nodiscard]] bool is_open() const { return socket_->is_open(); }

  private:
    [[nodiscard]] io_status write_some(std::span<const std::string_view> pieces,
                                       std::size_t& written);
    [[nodiscard]] io_status tls_status(int result);

    std::unique_ptr<stream_socket> socket_;
    ssl_ptr tls_;
    std::string output_;
    std::size_t sent_ = 0;
    bool wants_write_ = false;
};

}  // namespace pgsidecar::io
