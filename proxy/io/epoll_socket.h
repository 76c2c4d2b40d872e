// A socket whose readiness a worker's own epoll instance tells; stream_socket.h has the contract.
// Registered level-triggered with what it waits for, and left so after an event: a session waits
// again before the next look. What nobody waits for any more is taken out when it is next told.
// epoll(7); Linux alone.
#pragma once
#include <sys/epoll.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/intrusive/list.hpp>
#include <cstddef>
#include <span>
#include <string_view>

#include "proxy/io/socket_words.h"

namespace pgsidecar::io {

class epoll_loop;
using epoll_hook =
    boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

class epoll_socket : public epoll_hook {
  public:
    epoll_socket(boost::asio::io_context& home, tcp::socket from);
    ~epoll_socket();
    epoll_socket(const epoll_socket&) = delete;
    epoll_socket& operator=(const epoll_socket&) = delete;

    // `got` and `sent`, in bytes, are set for ok alone. receive() of `peek` leaves them there.
    [[nodiscard]] io_status receive(std::span<char> buffer, std::size_t& got,
                                    bool peek = false) noexcept;
    [[nodiscard]] io_status send(std::span<const std::string_view> pieces,
                                 std::size_t& sent) noexcept;
    void on_readable(wait_handler f);
    void on_writable(wait_handler f);
    // Whoever waits is not called any more.
    void forget_waits() noexcept;
    // Goes on under another io_context, of another thread. Nobody waits.
    [[nodiscard]] tcp::socket release_to(boost::asio::io_context& next) noexcept;
    void finish_sending() noexcept;
    void close() noexcept;
    [[nodiscard]] bool is_open() const noexcept { return handle_ >= 0; }
    [[nodiscard]] int native_handle() const noexcept { return handle_; }
    static constexpr bool stays_where_it_was_made = false;

  private:
    friend class epoll_loop;

    void on_events(std::uint32_t events);
    void tell_what_is_wanted();
    void abort(wait_handler f);

    epoll_loop& loop_;
    int handle_ = -1;
    std::uint32_t told_ = 0;  // what epoll was asked for; 0 = not registered
    wait_handler readable_;
    wait_handler writable_;
};

// One for each io_context, which owns it as a service. Its epoll instance is itself waited for by
// the io_context: timers, posted work and other Asio objects run beside it.
class epoll_loop final : public boost::asio::execution_context::service {
  public:
    static boost::asio::execution_context::id id;  // Asio finds services by it
    explicit epoll_loop(boost::asio::io_context& context);

  private:
    friend class epoll_socket;

    void shutdown() noexcept override;
    void wait();
    void look();
    // False with errno set. `events` 0: tell nothing any more.
    [[nodiscard]] bool tell(epoll_socket& socket, std::uint32_t events) noexcept;

    boost::asio::io_context& context_;
    boost::asio::posix::stream_descriptor epoll_;
    std::array<epoll_event, 64> told_{};
    std::size_t next_ = 0;  // of told_, while look() goes through them
    std::size_t end_ = 0;
    boost::intrusive::list<epoll_socket, boost::intrusive::constant_time_size<false>> sockets_;
    bool shut_down_ = false;
};

}  // namespace pgsidecar::io
