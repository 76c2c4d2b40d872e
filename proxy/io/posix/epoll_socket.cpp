#include "proxy/io/epoll_socket.h"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/post.hpp>
#include <cassert>
#include <cerrno>
#include <system_error>
#include <utility>

namespace pgsidecar::io {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr std::uint32_t trouble = EPOLLERR | EPOLLHUP;  // always told, whatever was asked for
// Looks at our sockets before Asio's own work has its turn.
constexpr int turns = 8;

error_code last_error() { return {errno, boost::system::system_category()}; }

io_status failure() noexcept {
    return errno == EAGAIN || errno == EWOULDBLOCK ? io_status::would_block : io_status::closed;
}

}  // namespace

asio::execution_context::id epoll_loop::id;

epoll_loop::epoll_loop(asio::io_context& context)
    : service{context}, context_{context}, epoll_{context} {
    const int handle = ::epoll_create1(EPOLL_CLOEXEC);
    if (handle < 0) throw std::system_error(errno, std::system_category(), "epoll_create1");
    epoll_.assign(handle);
    wait();
}

// The io_context goes. Handlers keep their owners alive, and those their sockets: cut here.
void epoll_loop::shutdown() noexcept {
    shut_down_ = true;
    while (!sockets_.empty()) {
        auto& socket = sockets_.front();
        sockets_.pop_front();
        const auto readable = std::exchange(socket.readable_, {});
        const auto writable = std::exchange(socket.writable_, {});
    }
}

void epoll_loop::wait() {
    epoll_.async_wait(asio::posix::stream_descriptor::wait_read, [this](error_code error) {
        if (!error) look();
    });
}

void epoll_loop::look() {
    for (int turn = 0; turn < turns; ++turn) {
        const int count =
            ::epoll_wait(epoll_.native_handle(), told_.data(), static_cast<int>(told_.size()), 0);
        if (count <= 0) break;
        next_ = 0;
        end_ = static_cast<std::size_t>(count);
        while (next_ < end_) {
            const auto& event = told_[next_++];
            if (event.data.ptr) static_cast<epoll_socket*>(event.data.ptr)->on_events(event.events);
        }
        end_ = 0;
        // Under load there is more by now. With one event at a time it is cheaper to ask Asio.
        if (count == 1) break;
    }
    wait();
}

bool epoll_loop::tell(epoll_socket& socket, std::uint32_t events) noexcept {
    if (events == socket.told_) return true;
    epoll_event event{};
    event.events = events;
    event.data.ptr = &socket;
    const int what = events == 0         ? EPOLL_CTL_DEL
                     : socket.told_ == 0 ? EPOLL_CTL_ADD
                                         : EPOLL_CTL_MOD;
    if (events == 0) {
        // What was told of it and not yet looked at is about a socket that may not live then.
        for (auto i = next_; i < end_; ++i)
            if (told_[i].data.ptr == &socket) told_[i].data.ptr = nullptr;
    }
    if (::epoll_ctl(epoll_.native_handle(), what, socket.handle_, &event) != 0) return false;
    socket.told_ = events;
    return true;
}

epoll_socket::epoll_socket(asio::io_context& home, tcp::socket from)
    : loop_{asio::use_service<epoll_loop>(home)} {
    error_code error;
    from.non_blocking(true, error);
    if (!error) handle_ = from.release(error);
    loop_.sockets_.push_back(*this);
}

epoll_socket::~epoll_socket() {
    readable_ = {};
    writable_ = {};
    close();
}

// glibc's recv() and send() are points of cancellation, which costs a program with threads two
// atomic operations a call. Nothing here is ever cancelled: the kernel is called without them.
io_status epoll_socket::receive(std::span<char> buffer, std::size_t& got, bool peek) noexcept {
    ssize_t result = 0;
    do {
        result = ::syscall(SYS_recvfrom, handle_, buffer.data(), buffer.size(), peek ? MSG_PEEK : 0,
                           nullptr, nullptr);
    } while (result < 0 && errno == EINTR);
    if (result < 0) return failure();
    if (result == 0) return io_status::closed;
    got = static_cast<std::size_t>(result);
    return io_status::ok;
}

io_status epoll_socket::send(std::span<const std::string_view> pieces, std::size_t& sent) noexcept {
    std::array<iovec, gather_limit> parts;
    const auto count = std::min(pieces.size(), parts.size());
    for (std::size_t i = 0; i < count; ++i)
        parts[i] = {const_cast<char*>(pieces[i].data()), pieces[i].size()};
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = count;
    ssize_t result = 0;
    do {
        // One piece is the usual case, and the shorter way.
        result = count == 1 ? ::syscall(SYS_sendto, handle_, pieces[0].data(), pieces[0].size(),
                                        MSG_NOSIGNAL, nullptr, 0)
                            : ::syscall(SYS_sendmsg, handle_, &message, MSG_NOSIGNAL);
    } while (result < 0 && errno == EINTR);
    if (result < 0) return failure();
    sent = static_cast<std::size_t>(result);
    return io_status::ok;
}

void epoll_socket::on_readable(wait_handler f) {
    assert(!readable_);
    readable_ = std::move(f);
    tell_what_is_wanted();
}

void epoll_socket::on_writable(wait_handler f) {
    assert(!writable_);
    writable_ = std::move(f);
    tell_what_is_wanted();
}

// Adds what is waited for to what epoll was asked for already.
void epoll_socket::tell_what_is_wanted() {
    const std::uint32_t wanted = told_ | (readable_ ? std::uint32_t{EPOLLIN} : 0) |
                                 (writable_ ? std::uint32_t{EPOLLOUT} : 0);
    if (handle_ >= 0 && loop_.tell(*this, wanted)) return;
    const auto error = handle_ >= 0 ? last_error() : error_code{asio::error::bad_descriptor};
    for (auto* waiting : {&readable_, &writable_}) {
        if (!*waiting || loop_.shut_down_) continue;
        asio::post(loop_.context_, [f = std::exchange(*waiting, {}), error] { f(error); });
    }
}

void epoll_socket::on_events(std::uint32_t events) {
    const bool read = readable_ && (events & (EPOLLIN | trouble)) != 0;
    const bool write = writable_ && (events & (EPOLLOUT | trouble)) != 0;
    if (!read && !write) {
        // Told of what nobody waits for: a peer that is not read at present, or a drained output.
        (void)loop_.tell(*this, (readable_ ? std::uint32_t{EPOLLIN} : 0) |
                                    (writable_ ? std::uint32_t{EPOLLOUT} : 0));
        return;
    }
    // The first call may close or destroy this socket; the second handler knows what has ended.
    const auto readable = read ? std::exchange(readable_, {}) : wait_handler{};
    const auto writable = write ? std::exchange(writable_, {}) : wait_handler{};
    if (writable) writable({});
    if (readable) readable({});
}

void epoll_socket::forget_waits() noexcept {
    readable_ = {};
    writable_ = {};
}

tcp::socket epoll_socket::release_to(asio::io_context& next) noexcept {
    tcp::socket out{next};
    if (handle_ < 0) return out;
    (void)loop_.tell(*this, 0);
    error_code ignored;
    // Which of the protocols it is matters to open() alone.
    out.assign(tcp::v4(), std::exchange(handle_, -1), ignored);
    told_ = 0;
    return out;
}

void epoll_socket::finish_sending() noexcept {
    if (handle_ >= 0) ::shutdown(handle_, SHUT_WR);
}

void epoll_socket::abort(wait_handler f) {
    if (!f || loop_.shut_down_) return;
    asio::post(loop_.context_, [f = std::move(f)] { f(asio::error::operation_aborted); });
}

void epoll_socket::close() noexcept {
    if (handle_ < 0) return;
    (void)loop_.tell(*this, 0);
    ::close(handle_);
    handle_ = -1;
    told_ = 0;
    abort(std::exchange(readable_, {}));
    abort(std::exchange(writable_, {}));
}

}  // namespace pgsidecar::io
