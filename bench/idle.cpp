// bench_idle: what one idle client costs a proxy in resident memory.
//
// Opens connections, then lets each ask one query, and divides the growth of the proxy's resident
// memory by their number, both times. The first hundred are not counted: they pay for buffers and
// tables that every further client shares. Ask a fresh process only: one that has served as many
// clients before grows by nothing.
#include <CLI/CLI.hpp>
#include <cinttypes>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "bench/support.h"

namespace pgsidecar::bench {
namespace {

constexpr std::size_t uncounted = 100;

int run(int argc, char** argv) {
    using namespace std::string_view_literals;
    std::string conninfo;
    std::size_t connections = 2000;
    int pid = 0;
    CLI::App app{"Memory per idle client of a running proxy; prints one line of JSON."};
    app.add_option("--conninfo", conninfo, "The proxy, in libpq's words")->required();
    app.add_option("--connections", connections, "Idle clients to open");
    app.add_option("--pid", pid, "The proxy's process id")->required();
    CLI11_PARSE(app, argc, argv);

    allow_sockets(connections + uncounted);
    std::vector<login> clients;
    const auto open = [&](std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) clients.push_back(log_in(conninfo));
    };
    const auto ask_from = [&](std::size_t first) {
        for (std::size_t i = first; i < clients.size(); ++i) {
            exchange(socket_of(clients[i]), "Q\0\0\0\15SELECT 1\0"sv, 1);
        }
    };
    open(uncounted);
    ask_from(0);
    const auto before = rss_of(pid);
    if (before == 0) die("no process " + std::to_string(pid));
    open(connections);
    const auto logged_in = rss_of(pid);
    ask_from(uncounted);
    const auto asked = rss_of(pid);
    const auto per_client = [&](std::uint64_t bytes) {
        return (static_cast<double>(bytes) - static_cast<double>(before)) /
               static_cast<double>(connections);
    };
    std::printf("{\"connections\":%zu,\"rss_before\":%" PRIu64
                ",\"after_login\":%.0f,"
                "\"after_query\":%.0f}\n",
                connections, before, per_client(logged_in), per_client(asked));
    return 0;
}

}  // namespace
}  // namespace pgsidecar::bench

int main(int argc, char** argv) { return pgsidecar::bench::run(argc, argv); }
