// The part of a deployment that clients could notice, and must not.
#include <array>
#include <ctime>
#include <ostream>

#include "proxy/io/console_tables.h"
#include "proxy/io/deployer.h"
#include "proxy/io/probe.h"
#include "proxy/io/process.h"
#include "proxy/io/replace_file.h"

namespace pgsidecar::io {
namespace {

using ops::deploy_phase;

constexpr int exit_failure = 1;
constexpr int exit_usage = 2;
constexpr std::size_t most_log = std::size_t{1} << 40U;
constexpr std::chrono::milliseconds probe_time{5000};
constexpr int most_attempts = 5;
constexpr unsigned between_attempts = 2;  // seconds

std::string utc_now() {
    const std::time_t now = std::time(nullptr);
    std::array<char, 32> text{};
    if (const auto* utc = std::gmtime(&now); utc != nullptr)
        std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", utc);
    return text.data();
}

}  // namespace

int deployer::check_ready() {
    if (fingerprint_of(d_.config, d_.overrides, d_.program) != d_.fingerprint)
        return fail(
            "the configuration or the program has changed since green was tried out: `deploy "
            "green` "
            "again");
    if (!runs(d_.green) || !green_answers())
        return fail("green does not answer any more: `deploy green` again");
    return 0;
}

int deployer::checkpoint() {
    if (request_.no_validate) {
        if (!ops::passed(d_)) d_.validated = "left out (--no-validate) at " + utc_now();
        return 0;
    }
    validate_request wanted = request_.validation;
    if (wanted.workload.empty() && ops::passed(d_)) return 0;
    if (wanted.workload.empty()) {
        (void)fail("what is green to be asked? Give --workload FILE, or --no-validate");
        return exit_usage;
    }
    say("validate: the server and green are asked the same");
    wanted.green = "host=127.0.0.1 port=" + std::to_string(d_.green_port);
    const int code = validate(loaded_.value, wanted, program_version_, out_, err_);
    if (code != 0) {
        (void)fail("the checkpoint was not passed: nothing is switched");
        return code;
    }
    d_.validated = "PASS at " + utc_now();
    return save(deploy_phase::ready) ? 0 : exit_failure;
}

int deployer::switch_over() {
    if (d_.phase == deploy_phase::none || d_.phase == deploy_phase::starting)
        return fail("there is no green that was seen to answer: `deploy green` first");
    const bool resumed = d_.phase == deploy_phase::switching;
    if (d_.phase == deploy_phase::ready) {
        if (const int code = check_ready(); code != 0) return code;
        if (const int code = checkpoint(); code != 0) return code;
        d_.blue = mark_of(serving_at(loaded_.value.takeover_socket));
        d_.serving = {};
        if (!save(deploy_phase::switching)) return exit_failure;
    }
    if (d_.phase == deploy_phase::switching) {
        if (const int code = take_over(resumed); code != 0) return code;
    }
    if (d_.phase == deploy_phase::draining) return drain();
    say("the switch is done");
    return 0;
}

int deployer::begin_next() {
    if (!request_.start.empty()) {
        const std::string command = ops::start_command(request_.start, d_);
        say("starting generation " + std::to_string(d_.generation) + ": " + command);
        const int code = run_command(command, log_path());
        if (code == 0) return 0;
        say("it ended with exit code " + std::to_string(code));
        return -1;
    }
    say("starting generation " + std::to_string(d_.generation) +
        " in the place of the one that serves");
    auto arguments = run_arguments();
    arguments.insert(arguments.begin() + 2, "--take-over");
    std::string problem;
    const int child = start_detached(arguments, log_path(), problem);
    if (child == 0) say(d_.program + ": " + problem);
    return child == 0 ? -1 : child;
}

// One attempt; and more of them when an earlier run of this command was killed: the process that it
// has begun may be asking for the place now, and then another one is refused until that has it or
// is gone.
bool deployer::place_taken(bool resumed, const std::function<bool()>& taken) {
    for (int attempt = 1; attempt <= (resumed ? most_attempts : 1); ++attempt) {
        if (taken()) return true;
        const int child = begin_next();
        if (child >= 0 && wait_for(request_.timeout_seconds, child, taken)) return true;
        if (resumed && wait_for(between_attempts, 0, taken)) return true;
    }
    return false;
}

// Whether it was done is seen at who serves: so it does not matter at which moment an earlier run
// of this command was killed. At worst the new one is started twice, and the second takes the place
// of the first.
int deployer::take_over(bool resumed) {
    const auto& s = loaded_.value;
    const std::size_t log_begin = read_whole(log_path(), most_log).bytes.size();
    const auto taken = [&] {
        const int now = serving_at(s.takeover_socket);
        return now != 0 && now != d_.blue.id;
    };
    if (!place_taken(resumed, taken)) {
        show_log(log_begin);
        if (!save(deploy_phase::ready)) return exit_failure;
        return fail(runs(d_.blue) ? "the place was not taken: blue serves on"
                                  : "the place was not taken, and nobody is in it");
    }
    const std::string host = listening_host(s.listen_addr);
    const auto answers = [&] {
        const auto said = describe_ssl_request(host, s.listen_port, probe_time);
        return said.starts_with("S:") || said.starts_with("N:");
    };
    if (!wait_for(request_.timeout_seconds, 0, answers))
        return fail("the new one has the place and does not answer at " + host + ":" +
                    std::to_string(s.listen_port) +
                    "; run this again, or `deploy green` with what served before");
    d_.serving = mark_of(serving_at(s.takeover_socket));
    if (!save(deploy_phase::draining)) return exit_failure;
    say("process " + std::to_string(d_.serving.id) + " serves; new clients are its own");
    return 0;
}

int deployer::drain() {
    stop_green();
    if (runs(d_.blue)) {
        say("blue (process " + std::to_string(d_.blue.id) + ") serves the clients that it has");
        if (!wait_for(request_.drain_seconds, 0, [&] { return !runs(d_.blue); })) {
            say("blue still has clients and ends when the last has gone, or at handover_timeout; "
                "until then "
                "nothing is cached. `deploy status` tells");
            return 0;
        }
    }
    if (!save(deploy_phase::done)) return exit_failure;
    say("done");
    return 0;
}

}  // namespace pgsidecar::io
