#include "proxy/io/service_manager.h"

#include <charconv>
#include <cstdlib>
#include <stdexcept>

#include "proxy/io/log.h"

#ifdef __linux__
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <ctime>
#include <system_error>
#endif

namespace pgsidecar::io {

#ifdef __linux__
namespace {

constexpr int first_passed = 3;  // SD_LISTEN_FDS_START
constexpr int most_passed = 4096;
constexpr timeval patience_with_manager{5, 0};

std::string variable(const char* name) {
    const char* found = std::getenv(name);
    return found ? found : "";
}

// Zero: it is not there, or no number.
std::uint64_t number(const char* name) {
    const auto text = variable(name);
    std::uint64_t out = 0;
    const char* end = text.data() + text.size();
    const auto got = std::from_chars(text.data(), end, out);
    return got.ec == std::errc{} && got.ptr == end ? out : 0;
}

std::uint64_t own_process() { return static_cast<std::uint64_t>(::getpid()); }

// A line is an assignment, so a text must not begin another one.
std::string one_line(std::string_view text) {
    std::string out{text};
    const auto ends_line = [](char c) { return static_cast<unsigned char>(c) < ' '; };
    std::ranges::replace_if(out, ends_line, ' ');
    return out;
}

std::string monotonic_usec() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const auto since = std::chrono::seconds{now.tv_sec} + std::chrono::nanoseconds{now.tv_nsec};
    return std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(since).count());
}

bool is_listening_stream(int fd) {
    int type = 0, listens = 0;
    socklen_t size = sizeof type;
    if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) != 0 || type != SOCK_STREAM)
        return false;
    size = sizeof listens;
    if (::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens == 0)
        return false;
    sockaddr_storage where{};
    size = sizeof where;
    return ::getsockname(fd, reinterpret_cast<sockaddr*>(&where), &size) == 0 &&
           (where.ss_family == AF_INET || where.ss_family == AF_INET6);
}

}  // namespace

service_manager::service_manager() : address_{variable("NOTIFY_SOCKET")} {
    if (!address_.empty() && address_.front() != '/' && address_.front() != '@') {
        log_warning("NOTIFY_SOCKET " + address_ + " is no path, nor an abstract one: not used");
        address_.clear();
    }
    // Both name the process that is meant: what its children inherit is not theirs.
    const auto watched = number("WATCHDOG_PID");
    if (watched == 0 || watched == own_process())
        patience_ = std::chrono::microseconds{number("WATCHDOG_USEC")};
    if (number("LISTEN_PID") != own_process()) return;
    passed_ = static_cast<int>(std::min<std::uint64_t>(number("LISTEN_FDS"), most_passed));
    first_ = first_passed;
    for (int i = 0; i < passed_; ++i) ::fcntl(first_ + i, F_SETFD, FD_CLOEXEC);
}

descriptor service_manager::take_listener() {
    if (passed_ == 0) return {};
    const auto names = variable("LISTEN_FDNAMES");
    const int count = std::exchange(passed_, 0);
    if (count > 1)
        throw std::runtime_error(
            "the service manager hands over " + std::to_string(count) + " sockets (" + names +
            "): one is taken, for listen_addr and listen_port, so the unit has one ListenStream=");
    descriptor out{first_};
    if (!is_listening_stream(out.get()))
        throw std::runtime_error("what the service manager hands over (" + names +
                                 ") is not a TCP socket that listens: the unit needs "
                                 "ListenStream= with a port, and Accept=no");
    return out;
}

void service_manager::say(const std::string& message, wait for_room) {
    if (address_.empty()) return;
    sockaddr_un to{};
    to.sun_family = AF_UNIX;
    const bool fits = address_.size() < sizeof to.sun_path;
    const descriptor channel{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    ssize_t sent = -1;
    errno = ENAMETOOLONG;
    if (fits && channel) {
        std::memcpy(to.sun_path, address_.data(), address_.size());
        if (to.sun_path[0] == '@') to.sun_path[0] = '\0';
        const auto size = offsetof(sockaddr_un, sun_path) + address_.size();
        ::setsockopt(channel.get(), SOL_SOCKET, SO_SNDTIMEO, &patience_with_manager,
                     sizeof patience_with_manager);
        sent = ::sendto(channel.get(), message.data(), message.size(),
                        MSG_NOSIGNAL | (for_room == wait::yes ? 0 : MSG_DONTWAIT),
                        reinterpret_cast<const sockaddr*>(&to), static_cast<socklen_t>(size));
    }
    if (sent < 0 && for_room == wait::yes)
        log_warning("the service manager at " + address_ +
                    " cannot be told: " + std::generic_category().message(errno));
}

void service_manager::ready(std::string_view status, place whose) {
    status_ = one_line(status);
    std::string message = "READY=1\nSTATUS=" + status_;
    if (whose == place::taken) message += "\nMAINPID=" + std::to_string(own_process());
    say(message, wait::yes);
}

void service_manager::reloading() {
    say("RELOADING=1\nMONOTONIC_USEC=" + monotonic_usec(), wait::yes);
}

void service_manager::stopping(std::string_view status, std::chrono::milliseconds at_most) {
    status_ = one_line(status);
    const auto usec = std::chrono::duration_cast<std::chrono::microseconds>(at_most).count();
    say("STOPPING=1\nSTATUS=" + status_ + "\nEXTEND_TIMEOUT_USEC=" + std::to_string(usec),
        wait::yes);
}

void service_manager::status(std::string_view text) {
    auto line = one_line(text);
    if (line == status_) return;
    status_ = std::move(line);
    say("STATUS=" + status_, wait::no);
}

void service_manager::alive() { say("WATCHDOG=1", wait::no); }

#else

service_manager::service_manager() = default;
descriptor service_manager::take_listener() { return {}; }
void service_manager::say(const std::string&, wait) {}
void service_manager::ready(std::string_view, place) {}
void service_manager::reloading() {}
void service_manager::stopping(std::string_view, std::chrono::milliseconds) {}
void service_manager::status(std::string_view) {}
void service_manager::alive() {}

#endif

}  // namespace pgsidecar::io
