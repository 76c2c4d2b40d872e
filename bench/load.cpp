// bench_load: a load generator for the wire protocol.
//
// One thread, one epoll, one read buffer. Every connection keeps `pipeline` requests under way:
// a batch is one slice of the pre-built bytes, sent by one call. Keys are taken in turn over all
// connections. Every reply is walked frame by frame: an ErrorResponse or a wrong number of rows
// ends the run with exit code 1.
//
// Closed loop: the next batch goes out when the last ReadyForQuery of the one before came. With a
// rate: each batch has its time, whatever became of those before; it goes out on the first
// connection that is idle from then on, and its latency counts from that time.
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <deque>
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
    double rate = 0;             // requests a second of all connections; 0 = closed loop
    std::uint64_t requests = 0;  // after which the measurement ends; 0 = by time alone
    bool refusals = false;       // a tenant's limits may refuse requests
    bool warm = false;           // one pass over all keys first, not measured
    bool no_repeat = false;      // stop once every key was asked for
    bool any_rows = false;       // do not check the number of rows
    bool histogram = false;      // print it too
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
    std::uint64_t refusals = 0;
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
            if (!set_.prepare.empty()) exchange(c.fd, set_.prepare, set_.prepares);
            c.frames.refusals_awaited = options_.refusals;
            epoll_event e{};
            e.events = EPOLLIN;
            e.data.ptr = &c;
            if (epoll_ctl(poller_, EPOLL_CTL_ADD, c.fd, &e) != 0) die("epoll_ctl failed");
        }
    }

    // Runs until the deadline, or until `limit` requests were begun; then drains what is owed.
    // `rate`: requests a second; 0 = closed loop.
    void run(std::uint64_t deadline, std::uint64_t limit, double rate) {
        totals_ = {};
        begun_ = 0;
        limit_ = limit;
        rate_ = rate;
        deadline_ = deadline;
        began_ = now_ns();
        idle_.clear();
        for (auto& c : clients_) idle_.push_back(&c);
        std::vector<epoll_event> events(clients_.size());
        while (true) {
            const auto pause = start_what_is_due();
            if (busy_ == 0 && pause == never) break;
            const auto longest = std::min(pause, silence);
            const timespec timeout{static_cast<time_t>(longest / 1000000000),
                                   static_cast<long>(longest % 1000000000)};
            const int n = epoll_pwait2(poller_, events.data(), static_cast<int>(events.size()),
                                       &timeout, nullptr);
            if (n == 0 && longest == silence) die("no reply for 10 seconds");
            if (n < 0 && errno != EINTR) die("epoll_pwait2 failed");
            for (int i = 0; i < n; ++i) {
                take(*static_cast<client*>(events[static_cast<std::size_t>(i)].data.ptr));
            }
        }
        for (auto& c : clients_) {
            totals_.rows += std::exchange(c.frames.rows, 0);
            totals_.refusals += std::exchange(c.frames.refusals, 0);
        }
    }

    [[nodiscard]] const totals& result() const { return totals_; }

  private:
    static constexpr auto never = ~std::uint64_t{0};
    static constexpr std::uint64_t silence = 10'000'000'000;  // ns

    // When the next batch is to go out.
    [[nodiscard]] std::uint64_t next_due(std::uint64_t now) const {
        if (rate_ <= 0) return now;
        return began_ + static_cast<std::uint64_t>(static_cast<double>(begun_) * 1e9 / rate_);
    }

    // Returns the nanoseconds until an idle connection has something to send again; never: not
    // before a reply came.
    std::uint64_t start_what_is_due() {
        while (!idle_.empty()) {
            const auto now = now_ns();
            const auto due = next_due(now);
            if (due >= deadline_ || begun_ >= limit_) return never;
            if (due > now) return due - now;
            auto& c = *idle_.front();
            idle_.pop_front();
            start_batch(c, due);
        }
        return never;
    }

    void start_batch(client& c, std::uint64_t due) {
        const auto bytes = set_.slice(cursor_, options_.pipeline);
        cursor_ = (cursor_ + options_.pipeline) % options_.work.keys;
        begun_ += options_.pipeline;
        ++busy_;
        c.pending = static_cast<std::uint32_t>(options_.pipeline);
        c.sent_at = due;
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
        idle_.push_back(&c);
        if (rate_ <= 0) start_what_is_due();
    }

    options options_;
    request_set set_;
    std::vector<client> clients_;
    std::deque<client*> idle_;  // who waits longest in front
    std::vector<char> buffer_ = std::vector<char>(std::size_t{1} << 18);
    int poller_ = -1;
    std::uint64_t cursor_ = 0, begun_ = 0, limit_ = 0, began_ = 0, deadline_ = 0;
    std::size_t busy_ = 0;
    double rate_ = 0;
    totals totals_;
};

void measure(const options& o) {
    generator g(o);
    g.connect();
    constexpr auto for_ever = ~std::uint64_t{0};
    if (o.warm) g.run(for_ever, o.work.keys, 0);

    const auto server_before = o.server_pid > 0 ? cpu_us_of(o.server_pid) : 0;
    const auto own_before = own_cpu_us();
    const auto began = now_ns();
    auto most = o.requests > 0 ? o.requests : for_ever;
    if (o.no_repeat) most = std::min(most, o.work.keys - o.work.keys % o.pipeline);
    g.run(began + static_cast<std::uint64_t>(o.seconds * 1e9), most, o.rate);
    const auto elapsed = static_cast<double>(now_ns() - began) / 1e9;
    const auto own = static_cast<double>(own_cpu_us() - own_before);
    const auto server =
        o.server_pid > 0 ? static_cast<double>(cpu_us_of(o.server_pid) - server_before) : 0.0;

    const auto& t = g.result();
    const auto queries = static_cast<double>(t.queries);
    if (!o.any_rows && t.rows != (t.queries - t.refusals) * rows_per_reply(o.work.what)) {
        die("wrong number of rows: " + std::to_string(t.rows) + " in " + std::to_string(t.queries) +
            " replies, of which " + std::to_string(t.refusals) + " refusals");
    }
    const auto us = [&t](double q) { return static_cast<double>(t.latency.quantile(q)) / 1e3; };
    const auto all = o.histogram ? ",\"latencies_us\":" + t.latency.json() : std::string{};
    std::printf("{\"qps\":%.0f,\"queries\":%" PRIu64
                ",\"seconds\":%.3f,\"p50_us\":%.1f,"
                "\"p90_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f,\"bytes\":%" PRIu64
                ",\"rows\":%" PRIu64 ",\"refusals\":%" PRIu64
                ",\"client_cpu_us\":%.3f,\"client_cpu_share\":%.2f,"
                "\"server_cpu_us\":%.3f,\"server_cpu_share\":%.2f%s}\n",
                queries / elapsed, t.queries, elapsed, us(0.5), us(0.9), us(0.99), us(1), t.bytes,
                t.rows, t.refusals, own / queries, own / elapsed / 1e6, server / queries,
                server / elapsed / 1e6, all.c_str());
}

int run(int argc, char** argv) {
    options o;
    CLI::App app{"Load over the PostgreSQL wire protocol; prints one line of JSON."};
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
    app.add_option("--rows", o.work.rows, "Rows in the table prescriptions, or in each of --tables")
        ->check(CLI::Range(1, 1 << 30));
    app.add_option("--tables", o.work.tables,
                   "Point selects of so many tables in turn: prescriptions_0, prescriptions_1 ...")
        ->check(CLI::Range(1, 1000000));
    app.add_option("--connections", o.connections, "Connections")->check(CLI::Range(1, 100000));
    app.add_option("--pipeline", o.pipeline, "Requests sent at once on each connection")
        ->check(CLI::Range(1, 1000));
    app.add_option("--seconds", o.seconds, "How long to measure");
    app.add_option("--requests", o.requests, "End after so many requests, if the time is not over");
    app.add_option("--rate", o.rate, "Requests a second of all connections, sent when they are due")
        ->check(CLI::Range(1.0, 1e9));
    app.add_flag("--refusals", o.refusals, "Count what a tenant's limits refuse, and go on");
    app.add_flag("--warm", o.warm, "Ask for every key once before measuring");
    app.add_flag("--no-repeat", o.no_repeat, "Stop when every key was asked for once");
    app.add_flag("--histogram", o.histogram, "Also print how many answers took how long");
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
