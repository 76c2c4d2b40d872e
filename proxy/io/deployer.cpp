#include "proxy/io/deployer.h"

#include <algorithm>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <filesystem>
#include <ostream>
#include <stdexcept>
#include <thread>

#include "proxy/io/console_tables.h"
#include "proxy/io/packet_socket.h"
#include "proxy/io/probe.h"
#include "proxy/io/process.h"
#include "proxy/io/replace_file.h"

namespace pgsidecar::io {
namespace {

namespace fs = std::filesystem;
using ops::deploy_phase;
using std::chrono::milliseconds;
using clock = std::chrono::steady_clock;

constexpr int exit_failure = 1;
constexpr int exit_usage = 2;
constexpr std::size_t most_state = 1U << 20U;
constexpr std::size_t most_program = std::size_t{1} << 30U;
constexpr std::size_t most_log = std::size_t{1} << 40U;
constexpr milliseconds pause{50}, probe_time{5000};

// Of this moment: somebody else may take it before green does, and then green says so.
std::uint16_t free_port() {
    boost::asio::io_context context;
    const boost::asio::ip::tcp::acceptor probe{context,
                                               {boost::asio::ip::address_v4::loopback(), 0}};
    return probe.local_endpoint().port();
}

std::string absolute(const std::string& path) {
    std::error_code ignored;
    const auto out = fs::absolute(path, ignored);
    return out.empty() ? path : out.lexically_normal().string();
}

}  // namespace

int deployer::fail(const std::string& why) {
    err_ << "pgsidecar: " << why << '\n' << std::flush;
    return exit_failure;
}

void deployer::say(const std::string& what) { err_ << "deploy: " << what << '\n' << std::flush; }

bool deployer::save(deploy_phase phase) {
    d_.phase = phase;
    const auto why = replace_file(state_path_, ops::write_deployment(d_), {});
    if (!why.empty()) (void)fail(state_path_ + ": " + why + "; nothing more is done");
    return why.empty();
}

int deployer::open(bool lock) {
    loaded_ = config::load_file(from_.path, from_.overrides, from_.where);
    for (const auto& problem : loaded_.problems) (void)fail(config::to_string(problem));
    if (!loaded_.ok()) return exit_usage;
    const std::string& place = loaded_.value.takeover_socket;
    if (place.empty() || loaded_.value.listen_port == 0) {
        (void)fail(from_.path +
                   ": deploy needs a takeover_socket, by which one process takes the place "
                   "of another, and a listen_port");
        return exit_usage;
    }
    state_path_ = request_.state.empty() ? place + ".deploy.yaml" : request_.state;
    if (lock) {
        try {
            lock_ = std::make_unique<serving_lock>(state_path_ + ".lock");
        } catch (const std::runtime_error& error) {
            return fail(error.what());
        }
        if (!lock_->serve_alone()) return fail("another deploy works on " + state_path_ + " now");
    }
    const auto file = read_whole(state_path_, most_state);
    if (file.missing) return 0;
    if (!file.why.empty()) return fail(state_path_ + ": " + file.why);
    const auto read = ops::read_deployment(file.bytes);
    if (!read.value) return fail(state_path_ + ": " + read.problem);
    d_ = *read.value;
    return 0;
}

int deployer::serving_at(const std::string& path) const {
    try {
        const auto there = connect_packets(path);
        return there ? peer_process(there.get()) : 0;
    } catch (const std::runtime_error&) {
        return 0;  // another user's; whoever starts there is told
    }
}

bool deployer::wait_for(unsigned seconds, int child, const std::function<bool()>& is_so) {
    const auto until = clock::now() + std::chrono::seconds{seconds};
    while (!is_so()) {
        if (child != 0) {
            if (const auto code = exit_code_of(child)) {
                if (is_so()) return true;
                say("process " + std::to_string(child) + " ended with exit code " +
                    std::to_string(*code));
                return false;
            }
        }
        if (clock::now() > until) {
            say("not so within " + std::to_string(seconds) + " s");
            return false;
        }
        std::this_thread::sleep_for(pause);
    }
    return true;
}

std::string deployer::log_path() const {
    return request_.log.empty() ? state_path_ + ".log" : request_.log;
}

void deployer::show_log(std::size_t from) {
    const auto log = read_whole(log_path(), most_log);
    if (log.bytes.size() > from)
        err_ << ops::last_lines(log.bytes.substr(from), 4096) << std::flush;
}

std::vector<std::string> deployer::run_arguments() const {
    std::vector<std::string> out{d_.program, "run", "-c", d_.config};
    for (const auto& one : d_.overrides) out.insert(out.end(), {"--set", one});
    return out;
}

// Nobody but this command may find green, and it may leave no trace where the one that serves
// works.
std::vector<std::string> deployer::green_overrides() const {
    std::vector<std::string> out = d_.overrides;
    out.insert(out.end(), {"listen_addr=127.0.0.1", "listen_port=" + std::to_string(d_.green_port),
                           "takeover_socket=" + green_socket(), "http.listen_addr=127.0.0.1",
                           "http.listen_port=" + std::to_string(d_.green_http_port),
                           "metrics.enable_performance_metrics=false", "alerts.enable_alerts=false",
                           "log.file=" + log_path()});
    if (!loaded_.value.cache.persistent_slot.empty()) out.emplace_back("cache.persistent_slot=");
    if (loaded_.value.cache.provider != config::cache_provider::memory)
        out.emplace_back("cache.cache_provider=memory");
    return out;
}

std::string deployer::fingerprint_of(const std::string& config,
                                     const std::vector<std::string>& overrides,
                                     const std::string& program) {
    config::file_memory memory;
    const auto loaded = config::load({config, overrides, from_.where}, memory);
    std::string all;
    for (const auto& [path, file] : memory.texts) all.append(path + '\0' + file.text + '\0');
    for (const auto& one : overrides) all.append(one + '\0');
    const auto binary = read_whole(program, most_program);
    return sha256_hex(all + sha256_hex(binary.bytes));
}

bool deployer::green_answers() const {
    const auto ready = http_get("127.0.0.1", d_.green_http_port, "/readyz", {}, probe_time);
    if (ready.status.find(" 200") == std::string::npos) return false;
    const auto said = describe_ssl_request("127.0.0.1", d_.green_port, probe_time);
    return said.starts_with("S:") || said.starts_with("N:");
}

int deployer::choose_ports() {
    try {
        d_.green_port = request_.port != 0 ? request_.port : free_port();
        d_.green_http_port = free_port();
    } catch (const std::exception& error) {
        return fail(std::string{"no free port: "} + error.what());
    }
    // The very settings that green will have: what they do not allow is said before anything
    // begins.
    auto overrides = green_overrides();
    const auto loaded = config::load_file(d_.config, overrides, from_.where);
    for (const auto& problem : loaded.problems) (void)fail("green: " + config::to_string(problem));
    return loaded.ok() ? 0 : exit_usage;
}

int deployer::green() {
    if (d_.phase == deploy_phase::switching)
        return fail("a switch was begun and not ended: `deploy switch` goes on with it");
    const std::string config = absolute(from_.path);
    const std::string program =
        request_.program.empty() ? own_program() : absolute(request_.program);
    const std::string now = fingerprint_of(config, from_.overrides, program);
    const bool begun = d_.phase == deploy_phase::starting || d_.phase == deploy_phase::ready;
    const bool same = begun && d_.fingerprint == now && d_.config == config &&
                      d_.program == program &&
                      (request_.port == 0 || request_.port == d_.green_port);
    if (!same) {
        stop_green();
        ops::deployment fresh;
        fresh.generation = d_.generation + 1;
        fresh.config = config;
        fresh.overrides = from_.overrides;
        fresh.program = program;
        fresh.fingerprint = now;
        d_ = fresh;
        if (const int code = choose_ports(); code != 0) return code;
    }
    if (!same || d_.phase == deploy_phase::starting || !runs(d_.green)) {
        d_.validated.clear();  // it was another process that was asked
        if (!save(deploy_phase::starting)) return exit_failure;
    }
    return start_green();
}

// Whoever holds green's own takeover_socket is green, also if whoever started it was killed before
// it could write that down; of two that start at once one is refused by the lock beside it.
int deployer::start_green() {
    const std::size_t log_begin = read_whole(log_path(), most_log).bytes.size();
    int child = 0;
    if (serving_at(green_socket()) == 0) {
        say("starting green on port " + std::to_string(d_.green_port));
        std::vector<std::string> arguments{d_.program, "run", "-c", d_.config};
        for (const auto& one : green_overrides()) arguments.insert(arguments.end(), {"--set", one});
        std::string problem;
        child = start_detached(arguments, log_path(), problem);
        if (child == 0) return fail(d_.program + ": " + problem);
    } else {
        say("green runs already");
    }
    say("waiting until green answers");
    if (!wait_for(request_.timeout_seconds, child, [&] { return green_answers(); }) &&
        !(serving_at(green_socket()) != 0 &&
          wait_for(request_.timeout_seconds, 0, [&] { return green_answers(); }))) {
        show_log(log_begin);
        stop_green();
        return fail("green does not answer; the one that serves was not touched");
    }
    d_.green = mark_of(serving_at(green_socket()));
    if (!save(deploy_phase::ready)) return exit_failure;
    say("green is ready: process " + std::to_string(d_.green.id) + ", port " +
        std::to_string(d_.green_port));
    return 0;
}

void deployer::stop_green() {
    const auto there = mark_of(serving_at(green_socket()));
    const auto& ends = there.id != 0 ? there : d_.green;
    if (!ask_to_end(ends)) return;
    say("ending the green that was tried out: process " + std::to_string(ends.id));
    if (!wait_for(request_.timeout_seconds, 0, [&] { return !runs(ends); })) return;
}

int deployer::status() {
    ops::deploy_facts now;
    now.place = loaded_.value.takeover_socket;
    now.address =
        listening_host(loaded_.value.listen_addr) + ":" + std::to_string(loaded_.value.listen_port);
    now.serving = serving_at(now.place);
    now.green_runs = runs(d_.green);
    now.blue_runs = runs(d_.blue);
    now.green_answers = now.green_runs && green_answers();
    std::error_code ignored;
    now.pending = fs::exists(state_path_ + ".rollback", ignored);
    now.changed = d_.phase == deploy_phase::ready &&
                  fingerprint_of(d_.config, d_.overrides, d_.program) != d_.fingerprint;
    out_ << ops::describe(d_, now);
    return 0;
}

}  // namespace pgsidecar::io
