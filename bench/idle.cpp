// bench_idle: what one idle client costs a proxy in resident memory.
//
// Opens connections, lets each ask one query if told to, and divides the growth of the proxy's
// resident memory by their number. The first hundred are not counted: they pay for buffers and
// tables that every further client shares.
#include <CLI/CLI.hpp>
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
    bool ask = false;
    CLI::App app{"Memory per idle client of a running proxy; prints one line of JSON."};
    app.add_option("--conninfo", conninfo, "The proxy, in libpq's words")->required();
    app.add_option("--connections", connections, "Idle clients to open");
    app.add_option("--pid", pid, "The proxy's process id")->required();
    app.add_flag("--ask", ask, "Each client asks one query before it idles");
    CLI11_PARSE(app, argc, argv);

    allow_sockets(connections + uncounted);
    std::vector<login> clients;
    const auto open = [&](std::size_t count) {
        for (std::size_t i = 0; i < count; ++i) {
            clients.push_back(log_in(conninfo));
            if (ask) exchange(socket_of(clients.back()), "Q\0\0\0\15SELECT 1\0"sv, 1);
        }
    };
    open(uncounted);
    const auto before = rss_of(pid);
    if (before == 0) die("no process " + std::to_string(pid));
    open(connections);
    const auto after = rss_of(pid);
    const auto growth = static_cast<double>(after) - static_cast<double>(before);
    std::printf(
        "{\"connections\":%zu,\"rss_before\":%llu,\"rss_after\":%llu,"
        "\"bytes_per_client\":%.0f}\n",
        connections, static_cast<unsigned long long>(before),
        static_cast<unsigned long long>(after), growth / static_cast<double>(connections));
    return 0;
}

}  // namespace
}  // namespace pgsidecar::bench

int main(int argc, char** argv) { return pgsidecar::bench::run(argc, argv); }
