#include "bench/support.h"

#include <libpq-fe.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

namespace pgsidecar::bench {

void pg_conn_closer::operator()(pg_conn* c) const noexcept { PQfinish(c); }

login log_in(const std::string& conninfo) {
    // The socket is used raw afterwards, so nothing may be encrypted.
    login l(PQconnectdb((conninfo + " sslmode=disable gssencmode=disable").c_str()));
    if (PQstatus(l.get()) != CONNECTION_OK) die(PQerrorMessage(l.get()));
    return l;
}

int socket_of(const login& l) { return PQsocket(l.get()); }

void die(const std::string& why) {
    std::fprintf(stderr, "bench: %s\n", why.c_str());
    std::exit(1);
}

namespace {

void wait_for(int fd, short what) {
    pollfd p{fd, what, 0};
    while (poll(&p, 1, -1) < 0) {
        if (errno != EINTR) die(std::strerror(errno));
    }
}

std::uint32_t read_u32(const char* at) {
    std::uint32_t value = 0;
    for (int i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(at[i]);
    return value;
}

std::uint64_t stat_ticks(const std::string& path) {
    std::ifstream in(path);
    std::string text;
    if (!std::getline(in, text)) return 0;
    const auto close = text.rfind(')');  // the name may hold anything, spaces too
    if (close == std::string::npos) return 0;
    std::istringstream rest(text.substr(close + 1));
    std::string word;
    std::uint64_t ticks = 0;
    for (int field = 3; field <= 15 && rest >> word; ++field) {
        if (field >= 14) ticks += std::strtoull(word.c_str(), nullptr, 10);
    }
    return ticks;
}

}  // namespace

void send_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const auto n = send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (n >= 0) {
            bytes.remove_prefix(static_cast<std::size_t>(n));
        } else if (errno == EAGAIN) {
            wait_for(fd, POLLOUT);
        } else if (errno != EINTR) {
            die(std::string("send: ") + std::strerror(errno));
        }
    }
}

std::size_t receive_some(int fd, char* to, std::size_t room) {
    for (;;) {
        const auto n = recv(fd, to, room, 0);
        if (n > 0) return static_cast<std::size_t>(n);
        if (n == 0) die("the server closed a connection");
        if (errno == EAGAIN) {
            wait_for(fd, POLLIN);
        } else if (errno != EINTR) {
            die(std::string("recv: ") + std::strerror(errno));
        }
    }
}

std::uint32_t frame_counter::feed(std::string_view bytes) {
    std::uint32_t ready = 0;
    const char* at = bytes.data();
    const char* const end = at + bytes.size();
    for (;;) {
        if (skip_ > 0) {
            const auto step = std::min<std::uint64_t>(skip_, static_cast<std::uint64_t>(end - at));
            at += step;
            skip_ -= step;
            if (skip_ > 0) return ready;
        }
        if (have_ == header_.size()) {  // a whole frame has gone by
            if (header_[0] == 'Z') ++ready;
            have_ = 0;
        }
        while (have_ < header_.size()) {
            if (at == end) return ready;
            header_[have_++] = *at++;
        }
        const auto length = read_u32(&header_[1]);
        if (length < 4) die("a frame with a length below 4");
        skip_ = length - 4;
        if (header_[0] == 'D') ++rows;
        if (header_[0] == 'E') take_error({at, static_cast<std::size_t>(end - at)});
    }
}

// The benchmark's own queries hold no health data, so the server's words may be shown.
void frame_counter::take_error(std::string_view rest) {
    rest = rest.substr(0, std::min<std::size_t>(skip_, rest.size()));
    // A refusal comes in one piece: it is far shorter than a segment.
    if (refusals_awaited && rest.find("C55P03") != std::string_view::npos) {
        ++refusals;
        return;
    }
    std::string text = "the server answered with an error:";
    for (char c : rest) text += c == '\0' ? ' ' : c;
    die(text);
}

std::string exchange(int fd, std::string_view bytes, std::uint32_t count) {
    std::string received;
    frame_counter frames;
    std::array<char, 65536> buffer{};
    send_all(fd, bytes);
    while (count > 0) {
        const std::string_view piece(buffer.data(), receive_some(fd, buffer.data(), buffer.size()));
        received += piece;
        count -= std::min(count, frames.feed(piece));
    }
    return received;
}

void histogram::add(std::uint64_t nanoseconds) {
    const auto value = std::max<std::uint64_t>(nanoseconds, 64);
    const auto power =
        static_cast<std::size_t>(std::bit_width(value)) - 7;  // value >> power: 64..127
    const auto slot = power * 64 + ((value >> power) - 64);
    ++counts_[std::min<std::size_t>(slot, counts_.size() - 1)];
    ++total_;
}

std::uint64_t histogram::value_of(std::size_t slot) { return (64 + slot % 64) << (slot / 64); }

std::uint64_t histogram::quantile(double q) const {
    const auto want = static_cast<std::uint64_t>(q * static_cast<double>(total_));
    std::uint64_t seen = 0;
    for (std::size_t slot = 0; slot < counts_.size(); ++slot) {
        seen += counts_[slot];
        if (seen > want || (seen == total_ && total_ > 0)) {
            return value_of(slot);
        }
    }
    return 0;
}

std::string histogram::json() const {
    std::string out{"["};
    for (std::size_t slot = 0; slot < counts_.size(); ++slot) {
        if (counts_[slot] == 0) continue;
        if (out.size() > 1) out += ',';
        out += '[' + std::to_string(static_cast<double>(value_of(slot)) / 1e3) + ',' +
               std::to_string(counts_[slot]) + ']';
    }
    return out + ']';
}

void histogram::clear() {
    std::fill(counts_.begin(), counts_.end(), 0);
    total_ = 0;
}

std::uint64_t now_ns() {
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                          std::chrono::steady_clock::now().time_since_epoch())
                                          .count());
}

std::uint64_t cpu_us_of(int pid) {
    const auto base = "/proc/" + std::to_string(pid);
    auto ticks = stat_ticks(base + "/stat");
    std::ifstream children(base + "/task/" + std::to_string(pid) + "/children");
    for (int child = 0; children >> child;) {
        ticks += stat_ticks("/proc/" + std::to_string(child) + "/stat");
    }
    return ticks * 1000000 / static_cast<std::uint64_t>(sysconf(_SC_CLK_TCK));
}

std::uint64_t own_cpu_us() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<std::uint64_t>((usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 +
                                      usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

std::uint64_t rss_of(int pid) {
    std::ifstream in("/proc/" + std::to_string(pid) + "/status");
    for (std::string line; std::getline(in, line);) {
        if (line.starts_with("VmRSS:")) {
            return std::strtoull(line.c_str() + 6, nullptr, 10) * 1024;
        }
    }
    return 0;
}

void allow_sockets(std::size_t count) {
    rlimit limit{};
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, std::max<rlim_t>(limit.rlim_cur, count + 64));
    setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace pgsidecar::bench
