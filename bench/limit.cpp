// bench_limit: the least work that a server can do and still answer, the roof under which a cache
// hit must stay.
//
// At start it asks the real server for one reply, then answers every Query and every Sync with
// those bytes. It knows frames by type and length only: no key, no look-up, no state but "was
// there an Execute since the last Sync" (a Parse alone is answered as a Parse). One thread, one
// epoll. Also used as an upstream that costs next to nothing, to see what a proxy adds.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/requests.h"
#include "bench/support.h"

namespace pgsidecar::bench {
namespace {

using namespace std::string_view_literals;

constexpr std::size_t repeats = 64;  // replies that one send() can carry
constexpr auto ready_frame = "Z\0\0\0\5I"sv;
constexpr auto parse_complete = "1\0\0\0\4"sv;

struct peer {
    int fd = -1;
    bool started = false;
    bool executed = false;  // an Execute or Query since the last Sync
    bool watching_out = false;
    std::uint32_t parses = 0;
    std::uint64_t owed = 0;  // octets of the repeated reply not sent yet
    std::string rest;        // an incomplete frame
};

std::uint32_t read_u32(std::string_view in, std::size_t at) {
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) value = value << 8 | static_cast<unsigned char>(in[at + i]);
    return value;
}

void put_frame(std::string& out, char type, std::string_view body) {
    const auto length = static_cast<std::uint32_t>(body.size() + 4);
    out.push_back(type);
    for (int shift = 24; shift >= 0; shift -= 8) {
        out.push_back(static_cast<char>((length >> shift) & 0xff));
    }
    out.append(body);
}

std::string greeting() {
    constexpr std::pair<std::string_view, std::string_view> parameters[] = {
        {"server_version", "15.0"},    {"server_encoding", "UTF8"},
        {"client_encoding", "UTF8"},   {"DateStyle", "ISO, MDY"},
        {"IntervalStyle", "postgres"}, {"TimeZone", "Etc/UTC"},
        {"integer_datetimes", "on"},   {"standard_conforming_strings", "on"},
        {"is_superuser", "off"},       {"session_authorization", "bench"},
        {"application_name", ""},      {"default_transaction_read_only", "off"},
        {"in_hot_standby", "off"},
    };
    std::string out;
    put_frame(out, 'R', "\0\0\0\0"sv);
    for (const auto& [name, value] : parameters) {
        put_frame(out, 'S', std::string(name) + '\0' + std::string(value) + '\0');
    }
    put_frame(out, 'K', "\0\0\0\1\0\0\0\1"sv);
    return out.append(ready_frame);
}

class limit_server {
  public:
    limit_server(std::string_view reply, int port) : reply_size_(reply.size()) {
        for (std::size_t i = 0; i <= repeats; ++i) replies_ += reply;
        poller_ = epoll_create1(EPOLL_CLOEXEC);
        listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        const int on = 1;
        setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(static_cast<std::uint16_t>(port));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
            ::listen(listener_, 4096) != 0) {
            die("cannot listen on port " + std::to_string(port));
        }
        watch(listener_, nullptr, EPOLL_CTL_ADD, EPOLLIN);
        std::fprintf(stderr, "listening on 127.0.0.1:%d\n", port);
    }

    [[noreturn]] void serve() {
        std::vector<epoll_event> events(256);
        for (;;) {
            const int n = epoll_wait(poller_, events.data(), static_cast<int>(events.size()), -1);
            for (int i = 0; i < n; ++i) {
                const auto& e = events[static_cast<std::size_t>(i)];
                auto* p = static_cast<peer*>(e.data.ptr);
                if (p == nullptr) {
                    accept_all();
                } else if (!((e.events & EPOLLOUT) == 0 || flush(*p)) || !read(*p)) {
                    close(p->fd);
                    delete p;
                }
            }
        }
    }

  private:
    void watch(int fd, peer* p, int operation, std::uint32_t what) const {
        epoll_event e{};
        e.events = what;
        e.data.ptr = p;
        epoll_ctl(poller_, operation, fd, &e);
    }

    void accept_all() const {
        for (;;) {
            const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0) return;
            const int on = 1;
            setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            auto p = std::make_unique<peer>();
            p->fd = fd;
            watch(fd, p.release(), EPOLL_CTL_ADD, EPOLLIN);  // the poller's data owns it
        }
    }

    // False: the peer is gone.
    bool read(peer& p) {
        const auto n = recv(p.fd, buffer_.data(), buffer_.size(), 0);
        if (n == 0) return false;
        if (n < 0) return errno == EAGAIN || errno == EINTR;
        std::string_view in(buffer_.data(), static_cast<std::size_t>(n));
        std::string joined;
        if (!p.rest.empty()) {
            joined = p.rest.append(in);
            in = joined;
            p.rest.clear();
        }
        while (!in.empty()) {
            const std::size_t head = p.started ? 1 : 0;
            if (in.size() < head + 4) break;
            const std::size_t size = head + read_u32(in, head);
            if (in.size() < size) break;
            if (!take(p, in.substr(0, size))) return false;
            in.remove_prefix(size);
        }
        p.rest.assign(in);
        return flush(p);
    }

    bool take(peer& p, std::string_view frame) {
        if (!p.started) {
            constexpr std::uint32_t protocol_3 = 3 << 16;
            if (read_u32(frame, 4) < protocol_3 || read_u32(frame, 4) > protocol_3 + 100) {
                send_all(p.fd, "N");  // TLS or GSS asked for
            } else {
                p.started = true;
                send_all(p.fd, greeting());
            }
            return true;
        }
        switch (frame[0]) {
            case 'X':
                return false;
            case 'P':
                ++p.parses;
                break;
            case 'E':
                p.executed = true;
                break;
            case 'Q':
                p.owed += reply_size_;
                break;
            case 'S':
                sync(p);
                break;
            default:
                break;
        }
        return true;
    }

    void sync(peer& p) const {
        if (p.executed) {
            p.owed += reply_size_;
        } else {
            std::string out;
            for (; p.parses > 0; --p.parses) out += parse_complete;
            send_all(p.fd, out.append(ready_frame));
        }
        p.executed = false;
        p.parses = 0;
    }

    // The reply repeats itself, so what is owed says where in it the next octet is.
    bool flush(peer& p) {
        while (p.owed > 0) {
            const std::size_t from = (reply_size_ - p.owed % reply_size_) % reply_size_;
            const auto size = std::min<std::uint64_t>(p.owed, replies_.size() - from);
            const auto n = send(p.fd, replies_.data() + from, size, MSG_NOSIGNAL);
            if (n < 0 && errno != EAGAIN) return errno == EINTR;
            if (n < 0) {
                if (!p.watching_out) watch(p.fd, &p, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
                p.watching_out = true;
                return true;
            }
            p.owed -= static_cast<std::uint64_t>(n);
        }
        if (p.watching_out) watch(p.fd, &p, EPOLL_CTL_MOD, EPOLLIN);
        p.watching_out = false;
        return true;
    }

    std::size_t reply_size_;
    std::string replies_;
    std::vector<char> buffer_ = std::vector<char>(std::size_t{1} << 16);
    int poller_ = -1;
    int listener_ = -1;
};

int run(int argc, char** argv) {
    std::string conninfo = "host=127.0.0.1 port=5432 user=postgres dbname=postgres";
    workload work;
    int port = 6430;
    CLI::App app{"Answers every query with the bytes of one real reply."};
    const std::map<std::string, shape> shapes{
        {"simple", shape::simple}, {"extended", shape::extended}, {"prepared", shape::prepared}};
    const std::map<std::string, query> queries{{"point", query::point}, {"list", query::list}};
    app.add_option("--conninfo", conninfo, "The real server, in libpq's words");
    app.add_option("--protocol", work.how)->transform(CLI::CheckedTransformer(shapes));
    app.add_option("--query", work.what)->transform(CLI::CheckedTransformer(queries));
    app.add_option("--rows", work.rows, "Rows in the table prescriptions");
    app.add_option("--port", port, "Where to listen, on 127.0.0.1");
    CLI11_PARSE(app, argc, argv);

    const auto set = build(work);
    std::string reply;
    {
        const auto real = log_in(conninfo);
        if (!set.prepare.empty()) exchange(socket_of(real), set.prepare, 1);
        reply = exchange(socket_of(real), set.slice(0, 1), 1);
    }
    limit_server(reply, port).serve();
}

}  // namespace
}  // namespace pgsidecar::bench

int main(int argc, char** argv) { return pgsidecar::bench::run(argc, argv); }
