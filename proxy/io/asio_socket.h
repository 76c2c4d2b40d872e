// A socket that waits as Asio has it; stream_socket.h has the contract. Nothing in it belongs to
// one system: on Windows Asio emulates the waits.
//
// It stays a socket of the io_context that made it, for Windows lets no socket change its
// completion port before 8.1, and wine none at all. Waits end there and are told on the home's
// thread, so that one which is at home costs no detour; the io_context that made it has to outlive
// it.
#pragma once
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <cstddef>
#include <span>
#include <string_view>

#include "proxy/io/socket_words.h"

namespace pgsidecar::io {

class asio_socket {
  public:
    asio_socket(boost::asio::io_context& home, tcp::socket from);
    asio_socket(const asio_socket&) = delete;
    asio_socket& operator=(const asio_socket&) = delete;

    // `got` and `sent`, in bytes, are set for ok alone. receive() of `peek` leaves them there.
    [[nodiscard]] io_status receive(std::span<char> buffer, std::size_t& got, bool peek = false);
    [[nodiscard]] io_status send(std::span<const std::string_view> pieces, std::size_t& sent);
    void on_readable(wait_handler f) { wait(tcp::socket::wait_read, std::move(f)); }
    void on_writable(wait_handler f) { wait(tcp::socket::wait_write, std::move(f)); }
    // Whoever waits is called with operation_aborted.
    void forget_waits();
    // Goes on under another io_context, of another thread. Nobody waits.
    [[nodiscard]] tcp::socket release_to(boost::asio::io_context& next);
    void finish_sending();
    void close();
    [[nodiscard]] bool is_open() const { return socket_.is_open(); }
    [[nodiscard]] tcp::socket::native_handle_type native_handle() {
        return socket_.native_handle();
    }

    // An accepted socket is best made where it will live.
    static constexpr bool stays_where_it_was_made = true;

  private:
    void wait(tcp::socket::wait_type what, wait_handler f) {
        socket_.async_wait(what, boost::asio::bind_executor(home_, std::move(f)));
    }

    tcp::socket socket_;
    boost::asio::io_context::executor_type home_;
};

}  // namespace pgsidecar::io
