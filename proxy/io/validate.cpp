#include "proxy/io/validate.h"

#ifdef _WIN32
#include <io.h>
#else
#include <unistd.h>
#endif

#include <array>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <ostream>
#include <string_view>
#include <utility>

#include "config/values.h"
#include "protocol/ascii.h"
#include "proxy/io/console_tables.h"
#include "proxy/io/control_parameters.h"
#include "proxy/io/interruption.h"
#include "proxy/io/validate_run.h"
#include "proxy/ops/validation_report.h"

namespace pgsidecar::io {
namespace {

using std::chrono::milliseconds;

// Nothing was run: what was asked for makes no sense. One line for each reason.
struct unusable {
    std::string what;
};
constexpr int exit_failed = 1;
constexpr int exit_unusable = 2;
constexpr int exit_interrupted = 130;  // as shells have it

bool progress_on_terminal() {
#ifdef _WIN32
    return _isatty(_fileno(stderr)) != 0;
#else
    return isatty(STDERR_FILENO) == 1;
#endif
}

std::string now_in_utc() {
    const std::time_t now = std::time(nullptr);
    std::array<char, 32> out{};
    const auto length =
        std::strftime(out.data(), out.size(), "%Y-%m-%dT%H:%M:%SZ", std::gmtime(&now));
    return {out.data(), length};
}

std::string text_of(const std::string& path) {
    std::ifstream in{std::filesystem::path{path}, std::ios::binary};
    if (!in) throw unusable{protocol::printable(path) + ": cannot be read"};
    // One byte more than is allowed is enough to see that it is too much.
    std::string out(ops::max_workload_size + 1, '\0');
    in.read(out.data(), static_cast<std::streamsize>(out.size()));
    if (in.bad()) throw unusable{protocol::printable(path) + ": cannot be read"};
    out.resize(static_cast<std::size_t>(in.gcount()));
    return out;
}

std::string place_of(const std::string& file, int line) {
    return protocol::printable(file) + (line > 0 ? ":" + std::to_string(line) : "") + ": ";
}

milliseconds duration_of(const char* option, const std::string& text, config::bounds range) {
    milliseconds out{0};
    if (const auto wrong = config::read_duration(text, range, out); !wrong.empty())
        throw unusable{std::string{option} + ": " + wrong};
    return out;
}

connection_options parsed(const char* option, const std::string& conninfo) {
    if (const auto wrong = conninfo_problem(conninfo); !wrong.empty())
        throw unusable{std::string{option} + ": " + wrong};
    connection_options out;
    char* error = nullptr;
    const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> given{
        PQconninfoParse(conninfo.c_str(), &error), PQconninfoFree};
    PQfreemem(error);
    for (const auto* o = given.get(); o && o->keyword; ++o)
        if (o->val) out[o->keyword] = o->val;
    if (const auto db = out.find("dbname");
        db != out.end() && (is_uri(db->second) || db->second.find('=') != std::string::npos))
        throw unusable{std::string{option} + ": dbname is a connection string; give that one"};
    return out;
}

void set_default(connection_options& options, const char* key, const std::string& value) {
    if (!value.empty()) options.try_emplace(key, value);
}

// What both sides have, and what keeps the run from changing or holding anything.
void finish(connection_options& options, const validate_request& request, milliseconds timeout) {
    const auto variable = [](const char* name) {
        const char* value = std::getenv(name);
        return std::string{value ? value : ""};
    };
    set_default(options, "dbname", request.database);
    set_default(options, "dbname", variable("PGDATABASE"));
    set_default(options, "user", request.user);
    set_default(options, "connect_timeout", "10");
    set_default(options, "application_name", "pgsidecar validate");
    set_default(options, "gssencmode", "disable");
    options["client_encoding"] = "UTF8";
    set_default(options, "options", variable("PGOPTIONS"));
    auto& own = options["options"];
    if (!request.allow_writes) own += " -c default_transaction_read_only=on";
    own += " -c statement_timeout=" + std::to_string(timeout.count());
}

void find_sides(const config::settings& s, const validate_request& request, milliseconds timeout,
                run_options& out) {
    out.blue = parsed("--blue", request.blue);
    out.green = parsed("--green", request.green);
    set_default(out.blue, "host", s.upstream.host);
    set_default(out.blue, "port", std::to_string(s.upstream.port));
    set_default(out.blue, "sslmode", sslmode_of(s.upstream.tls.mode));
    set_default(out.blue, "sslrootcert", s.upstream.tls.ca_file);
    for (const char* key : {"dbname", "user", "password", "passfile", "options"})
        if (const auto at = out.blue.find(key); at != out.blue.end())
            set_default(out.green, key, at->second);
    if (out.green.find("port") == out.green.end() && s.listen_port == 0)
        throw unusable{"listen_port is 0, so where green listens is not known: --green 'port=...'"};
    set_default(out.green, "host", listening_host(s.listen_addr));
    set_default(out.green, "port", std::to_string(s.listen_port));
    set_default(out.green, "sslmode",
                s.client_tls.mode == config::tls_mode::disable ? "disable" : "prefer");
    finish(out.blue, request, timeout);
    finish(out.green, request, timeout);
}

connection_options console_of(const validate_request& request, const connection_options& green) {
    const auto& given = request.console.empty() ? request.from_console : request.console;
    connection_options out = parsed("--console", given);
    for (const char* key : {"host", "port", "user", "password", "passfile", "sslmode"})
        if (const auto at = green.find(key); at != green.end()) set_default(out, key, at->second);
    set_default(out, "dbname", "pgsidecar");
    set_default(out, "connect_timeout", "10");
    set_default(out, "application_name", "pgsidecar validate");
    return out;
}

void check_load(const config::settings& s, const ops::validation& run) {
    std::string what;
    if (run.clients > gentle_clients) what = std::to_string(run.clients) + " clients";
    if (run.rounds > gentle_rounds) what = std::to_string(run.rounds) + " rounds";
    if (run.duration > std::chrono::seconds{gentle_seconds})
        what = config::write_duration(run.duration);
    if (what.empty() || s.enable_load_testing) return;
    throw unusable{what +
                   " are a load on the server, which needs enable_load_testing: true in the "
                   "configuration; 2 clients, 20 rounds or 60s are allowed without it"};
}

void take_file(ops::validation& run, const validate_request& request) {
    auto read = ops::read_workload(text_of(request.workload), request.allow_writes);
    std::string wrong;
    for (const auto& p : read.problems)
        wrong += (wrong.empty() ? "" : "\n") + place_of(request.workload, p.line) + p.reason;
    if (!wrong.empty()) throw unusable{wrong};
    run.statements = std::move(read.statements);
    run.source = request.workload;
}

void take_console(ops::validation& run, const validate_request& request,
                  const connection_options& console, const run_options& options) {
    ops::workload_value_sets values;
    if (!request.values.empty()) {
        ops::workload_problem wrong;
        auto read = ops::read_value_sets(text_of(request.values), wrong);
        if (!read) throw unusable{place_of(request.values, wrong.line) + wrong.reason};
        values = std::move(*read);
    }
    run.source = "console";
    const auto database = options.green.find("dbname");
    if (database == options.green.end())
        throw unusable{"--from-console: statements of which database? Name it: --database"};
    std::string problem;
    const auto rows = ask_console(console, problem);
    if (!rows) {
        run.broken.push_back("console: " + problem);
        return;
    }
    auto read =
        ops::console_workload(*rows, database->second, request.top, values, request.allow_writes);
    if (!read.problems.empty()) run.broken.push_back("console: " + read.problems.front().reason);
    run.statements = std::move(read.statements);
    run.skipped = std::move(read.skipped);
    if (run.statements.empty() && run.broken.empty())
        run.broken.emplace_back("the console names no statement of this database that can be run");
}

std::optional<ops::cache_use> hits_now(const connection_options& console) {
    std::string problem;
    const auto rows = ask_console(console, problem);
    ops::cache_use out;
    if (!rows || !ops::count_hits(*rows, out.hits, out.calls)) return std::nullopt;
    return out;
}

std::optional<ops::cache_use> between(const std::optional<ops::cache_use>& before,
                                      const std::optional<ops::cache_use>& after) {
    if (!before || !after || after->calls < before->calls || after->hits < before->hits)
        return std::nullopt;
    return ops::cache_use{after->hits - before->hits, after->calls - before->calls};
}

ops::validation prepared(const validate_request& request, const std::string& version) {
    if (request.workload.empty() == request.from_console.empty())
        throw unusable{"what is to be run? Give one of --workload and --from-console"};
    if (!request.values.empty() && request.from_console.empty())
        throw unusable{"--values belongs to --from-console; in a file write -- params: [...]"};
    ops::validation run;
    run.program = version;
    run.started = now_in_utc();
    run.clients = request.clients;
    run.rounds = request.duration.empty() ? request.rounds : 0;
    if (!request.duration.empty())
        run.duration = duration_of("--duration", request.duration, {1, 86'400'000});
    run.seed = request.seed;
    run.allow_writes = request.allow_writes;
    return run;
}

}  // namespace

int validate(const config::settings& settings, const validate_request& request,
             const std::string& program_version, std::ostream& out, std::ostream& err) {
    try {
        auto run = prepared(request, program_version);
        check_load(settings, run);
        ops::validation_limits limits{settings.performance_target, request.max_slowdown,
                                      request.max_unstable};
        if (!request.target.empty())
            limits.target = duration_of("--target", request.target, {0, 3'600'000});
        run_options options;
        options.timeout = duration_of("--timeout", request.timeout, {1, 3'600'000});
        options.unprepared = request.unprepared;
        options.terminal = progress_on_terminal();
        find_sides(settings, request, options.timeout, options);
        run.blue = validate_connection{options.blue, options.timeout, false}.describe();
        run.green = validate_connection{options.green, options.timeout, false}.describe();
        const auto console = console_of(request, options.green);
        if (!request.workload.empty()) take_file(run, request);
        if (!request.from_console.empty()) take_console(run, request, console, options);
        const interruption watched;
        // Opened before anything runs, so that no report of another day is taken for this one's.
        std::ofstream report;
        if (!request.report.empty()) {
            report.open(std::filesystem::path{request.report}, std::ios::binary | std::ios::trunc);
            if (!report)
                throw unusable{protocol::printable(request.report) + ": cannot be written"};
        }

        run.interrupted = interruption::came();
        if (run.broken.empty() && !run.interrupted) {
            const auto before = hits_now(console);
            run_validation(run, options, err);
            if (before && !run.interrupted) run.cache = between(before, hits_now(console));
        }
        const auto result = ops::judge(run, limits);
        out << ops::text_report(run, limits, result);
        if (report.is_open()) {
            report << ops::json_report(run, limits, result);
            report.close();
            if (!report)
                throw unusable{protocol::printable(request.report) + ": cannot be written"};
        }
        if (run.interrupted) return exit_interrupted;
        return result.passed ? 0 : exit_failed;
    } catch (const unusable& wrong) {
        out.flush();
        std::string_view rest{wrong.what};
        while (!rest.empty()) {
            const auto line = rest.substr(0, rest.find('\n'));
            err << "pgsidecar: validate: " << line << '\n';
            rest.remove_prefix(std::min(line.size() + 1, rest.size()));
        }
        return exit_unusable;
    }
}

}  // namespace pgsidecar::io
