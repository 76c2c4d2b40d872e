#include "proxy/io/packet_socket.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <system_error>

namespace pgsidecar::io {

namespace {

[[noreturn]] void fail(const std::string& path, const char* step) {
    throw std::runtime_error("takeover_socket " + path + ": " + step + ": " +
                             std::generic_category().message(errno));
}

descriptor open_socket(const std::string& path) {
    descriptor out{::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
    if (!out) fail(path, "socket");
    return out;
}

sockaddr_un address_of(const std::string& path) {
    sockaddr_un out{};
    out.sun_family = AF_UNIX;
    if (path.size() >= sizeof out.sun_path)
        throw std::runtime_error("takeover_socket " + path + ": is too long");
    std::memcpy(out.sun_path, path.data(), path.size());
    return out;
}

template <class F>
auto with_address(const std::string& path, F call) {
    const auto address = address_of(path);
    return call(reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

std::optional<ucred> peer_of(int fd) {
    ucred out{};
    socklen_t size = sizeof out;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &out, &size) != 0) return std::nullopt;
    return out;
}

// Root may ask anybody; whoever is root lets himself be asked by root alone.
bool may_speak(int fd, bool asking) {
    const auto peer = peer_of(fd);
    const auto own = ::geteuid();
    return peer && (peer->uid == 0 || peer->uid == own || (asking && own == 0));
}

}  // namespace

void descriptor::reset(int fd) noexcept {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
}

descriptor listen_for_packets(const std::string& path) {
    auto out = open_socket(path);
    const std::string fresh = path + ".new." + std::to_string(::getpid());
    ::unlink(fresh.c_str());
    // Before it has a name: there is no moment at which others may connect.
    if (::fchmod(out.get(), S_IRUSR | S_IWUSR) != 0) fail(path, "fchmod");
    const auto bind = [&](const sockaddr* a, socklen_t n) { return ::bind(out.get(), a, n); };
    if (with_address(fresh, bind) != 0) fail(path, "bind");
    if (::listen(out.get(), SOMAXCONN) != 0 || ::rename(fresh.c_str(), path.c_str()) != 0) {
        const int why = errno;
        ::unlink(fresh.c_str());
        errno = why;
        fail(path, "listen");
    }
    return out;
}

descriptor accept_packets(int listener) {
    descriptor out{::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (out && !may_speak(out.get(), false)) out.reset();
    return out;
}

descriptor connect_packets(const std::string& path) {
    auto out = open_socket(path);
    const auto connect = [&](const sockaddr* a, socklen_t n) { return ::connect(out.get(), a, n); };
    if (with_address(path, connect) != 0) {
        if (errno == ENOENT || errno == ECONNREFUSED) return {};
        fail(path, "connect");
    }
    if (!may_speak(out.get(), true))
        throw std::runtime_error("takeover_socket " + path + ": another user's process is there");
    return out;
}

int peer_process(int fd) {
    const auto peer = peer_of(fd);
    return peer ? peer->pid : 0;
}

bool send_packet(int fd, std::string_view text, int pass) noexcept {
    iovec piece{const_cast<char*>(text.data()), text.size()};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    if (pass >= 0) {
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* head = CMSG_FIRSTHDR(&message);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(head), &pass, sizeof pass);
    }
    return ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) ==
           static_cast<ssize_t>(text.size());
}

std::optional<packet> receive_packet(int fd) {
    std::array<char, packet_limit> text{};
    iovec piece{text.data(), text.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const auto got = ::recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return std::nullopt;
    packet out;
    if (got <= 0) return out;
    for (cmsghdr* head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
        if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS) continue;
        int passed = -1;
        std::memcpy(&passed, CMSG_DATA(head), sizeof passed);
        out.passed.reset(passed);
    }
    out.text.assign(text.data(), static_cast<std::size_t>(got));
    return out;
}

std::optional<packet> await_packet(int fd, std::chrono::milliseconds at_most) {
    const auto end = std::chrono::steady_clock::now() + at_most;
    while (true) {
        if (auto got = receive_packet(fd)) return got;
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            end - std::chrono::steady_clock::now());
        if (left.count() <= 0) return std::nullopt;
        pollfd wait{fd, POLLIN, 0};
        (void)::poll(&wait, 1, static_cast<int>(left.count()) + 1);
    }
}

}  // namespace pgsidecar::io
