// bench_load: a closed-loop load generator for the wire protocol.
//
// One thread, one epoll, one read buffer. Every connection keeps `pipeline` requests under way:
// a batch is one slice of the pre-built bytes, sent by one call; the next goes out when the last
// ReadyForQuery of the batch came. Keys are taken in turn over all connections. Every reply is
// walked frame by frame: an ErrorResponse or a wrong number of rows ends the run with exit code 1.
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "bench/requests.h"
#include "bench/support.h"

namespace pgsidecar::bench {
namespace {

struct options {
    std::string conninfo = "host=127.0.0.1 port=5432 user=postgres dbname=postgres";
    workload work;
    std::size_t connections = 16;
    std::size_t pipeline = 1;
    double seconds = 3;
    bool warm = false;       // one pass over all keys first, not measured
    bool no_repeat = false;  // stop once every key was asked for
    bool any_rows = false;   // do not check the number of rows
    int server_pid = 0;
};

struct client {
    login owner;
    int fd = -1;
    std::uint32_t pending = 0;  // ReadyForQuery still to come of the batch under way
    std::uint64_t sent_at = 0;
    frame_counter frames;
};

struct totals {
    std::uint64_t queries = 0;
    std::uint64_t bytes = 0;
    std::uint64_t rows = 0;
    histogram latency;
};

class generator {
  public:
    explicit generator(const options& o) : options_(o), set_(build(o.work)) {}

    void connect() {
        allow_sockets(options_.connections);
        poller_ = epoll_create1(EPOLL_CLOEXEC);
        clients_.resize(options_.connections);
        for (auto& c : clients_) {
            c.owner = log_in(options_.conninfo);
            c.fd = socket_of(c.owner);
            if (!set_.prepare.empty()) exchange(c.fd, set_.prepare, 1);
            epoll_event e{};
            e.events = EPOLLIN;
            e.data.ptr = &c;
            if (epoll_ctl(poller_, EPOLL_CTL_ADD, c.fd, &e) != 0) die("epoll_ctl failed");
        }
    }

    // Runs until the deadline, or until `limit` requests were begun; then drains what is owed.
    void run(std::uint64_t deadline, std::uint64_t limit) {
        totals_.queries = totals_.bytes = totals_.rows = 0;
        totals_.latency.clear();
        begun_ = 0;
        limit_ = limit;
        deadline_ = deadline;
        auto now = now_ns();
        for (auto& c : clients_) start_batch(c, now);
        std::vector<epoll_event> events(clients_.size());
        while (busy_ > 0) {
            const int n =
                epoll_wait(poller_, events.data(), static_cast<int>(events.size()), 10000);
            if (n == 0) die("no reply for 10 seconds");
            if (n < 0 && errno != EINTR) die("epoll_wait failed");
            for (int i = 0; i < n; ++i) {
                take(*static_cast<client*>(events[static_cast<std::size_t>(i)].data.ptr));
            }
        }
        for (auto& c : clients_) totals_.rows += std::exchange(c.frames.rows, 0);
    }

    [[nodiscard]] const totals& result() const { return totals_; }

  private:
    void start_batch(client& c, std::uint64_t now) {
        if (now >= deadline_ || begun_ >= limit_) return;
        const auto bytes = set_.slice(cursor_, options_.pipeline);
        cursor_ = (cursor_ + options_.pipeline) % options_.work.keys;
        begun_ += options_.pipeline;
        ++busy_;
        c.pending = static_cast<std::uint32_t>(options_.pipeline);
        c.sent_at = now;
        send_all(c.fd, bytes);
    }

    void take(client& c) {
        const auto n = receive_some(c.fd, buffer_.data(), buffer_.size());
        totals_.bytes += n;
        const auto ready = c.frames.feed({buffer_.data(), n});
        if (ready == 0) return;
        if (ready > c.pending) die("more ReadyForQuery than requests");
        const auto now = now_ns();
        totals_.queries += ready;
        for (std::uint32_t i = 0; i < ready; ++i) totals_.latency.add(now - c.sent_at);
        c.pending -= ready;
        if (c.pending > 0) return;
        --busy_;
        start_batch(c, now);
    }

    options options_;
    request_set set_;
    std::vector<client> clients_;
    std::vector<char> buffer_ = std::vector<char>(std::size_t{1} << 18);
    int poller_ = -1;
    std::uint64_t cursor_ = 0, begun_ = 0, limit_ = 0, deadline_ = 0;
    std::size_t busy_ = 0;
    totals totals_;
};

void measure(const options& o) {
    generator g(o);
    g.connect();
    constexpr auto for_ever = ~std::uint64_t{0};
    if (o.warm) g.run(for_ever, o.work.keys);

    const auto server_before = o.server_pid > 0 ? cpu_us_of(o.server_pid) : 0;
    const auto own_before = own_cpu_us();
    const auto began = now_ns();
    g.run(began + static_cast<std::uint64_t>(o.seconds * 1e9),
          o.no_repeat ? o.work.keys - o.work.keys % o.pipeline : for_ever);
    const auto elapsed = static_cast<double>(now_ns() - began) / 1e9;
    const auto own = static_cast<double>(own_cpu_us() - own_before);
    const auto server =
        o.server_pid > 0 ? static_cast<double>(cpu_us_of(o.server_pid) - server_before) : 0.0;

    const auto& t = g.result();
    const auto queries = static_cast<double>(t.queries);
    if (!o.any_rows && t.rows != t.queries * rows_per_reply(o.work.what)) {
        die("wrong number of rows: " + std::to_string(t.rows) + " in " + std::to_string(t.queries) +
            " replies");
    }
    const auto us = [&t](double q) { return static_cast<double>(t.latency.quantile(q)) / 1e3; };
    std::printf(
        "{\"qps\":%.0f,\"queries\":%" PRIu64
        ",\"seconds\":%.3f,\"p50_us\":%.1f,"
        "\"p90_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f,\"bytes\":%" PRIu64 ",\"rows\":%" PRIu64
        ",\"client_cpu_us\":%.3f,\"client_cpu_share\":%.2f,"
        "\"server_cpu_us\":%.3f,\"server_cpu_share\":%.2f}\n",
        queries / elapsed, t.queries, elapsed, us(0.5), us(0.9), us(0.99), us(1), t.bytes, t.rows,
        own / queries, own / elapsed / 1e6, server / queries, server / elapsed / 1e6);
}

int run(int argc, char** argv) {
    options o;
    CLI::App app{"Closed-loop load over the PostgreSQL wire protocol; prints one line of JSON."};
    const std::map<std::string, shape> shapes{
        {"simple", shape::simple}, {"extended", shape::extended}, {"prepared", shape::prepared}};
    const std::map<std::string, query> queries{{"point", query::point}, {"list", query::list}};
    app.add_option("--conninfo", o.conninfo, "Where to connect, in libpq's words");
    app.add_option("--protocol", o.work.how, "simple, extended or prepared")
        ->transform(CLI::CheckedTransformer(shapes));
    app.add_option("--query", o.work.what, "point (one row by id) or list (a page of 100 rows)")
        ->transform(CLI::CheckedTransformer(queries));
    app.add_option("--keys", o.work.keys, "Distinct keys, used in turn")
        ->check(CLI::Range(1, 1 << 30));
    app.add_option("--first", o.work.first, "The first key");
    app.add_option("--rows", o.work.rows, "Rows in the table prescriptions")
        ->check(CLI::Range(20000, 1 << 30));
    app.add_option("--connections", o.connections, "Connections")->check(CLI::Range(1, 100000));
    app.add_option("--pipeline", o.pipeline, "Requests sent at once on each connection")
        ->check(CLI::Range(1, 1000));
    app.add_option("--seconds", o.seconds, "How long to measure");
    app.add_flag("--warm", o.warm, "Ask for every key once before measuring");
    app.add_flag("--no-repeat", o.no_repeat, "Stop when every key was asked for once");
    app.add_flag("--any-rows", o.any_rows, "Accept replies with any number of rows");
    app.add_option("--server-pid", o.server_pid, "Also report the CPU time of this process");
    CLI11_PARSE(app, argc, argv);
    o.work.wrap = o.pipeline;
    measure(o);
    return 0;
}

}  // namespace
}  // namespace pgsidecar::bench

int main(int argc, char** argv) { return pgsidecar::bench::run(argc, argv); }
