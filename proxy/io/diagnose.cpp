#include "proxy/io/diagnose.h"

#include <openssl/crypto.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <utility>

#include "config/auth_file.h"
#include "config/list.h"
#include "protocol/ascii.h"
#include "proxy/io/console_tables.h"
#include "proxy/io/machine.h"
#include "proxy/io/probe.h"
#include "proxy/io/replace_file.h"
#include "proxy/io/zip_file.h"

namespace pgsidecar::io {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

constexpr int exit_failure = 1;
constexpr int exit_usage = 2;
constexpr std::size_t most_secret_file = 1U << 20U;
constexpr const char* explanation =
    "What `pgsidecar diagnose` found. Passwords, tokens, literals and quoted texts of the log are "
    "replaced\n"
    "by ***; tenants and applications have numbers, the same ones in all files. Names of "
    "databases, users,\n"
    "hosts and rules stand as they are.\n\n"
    "version.txt, machine.txt    the program, the machine, its processes\n"
    "service.txt                 what the service manager says\n"
    "configuration.yaml          the settings in effect if the program began now, and where they "
    "come from\n"
    "configuration.txt           what is wrong with them, or worth knowing\n"
    "certificates.txt            subjects and dates of all that is configured\n"
    "ports.txt, upstream.txt     who answers, and what the server says of itself\n"
    "console/*.csv               tables of the admin console (proxy/ops/CONSOLE.md)\n"
    "http/*                      /metrics, /healthz, /readyz\n"
    "log/*                       the end of the log\n\n";

class diagnosis {
  public:
    diagnosis(const config::sources& from, const diagnose_request& request, std::ostream& progress)
        : from_{from},
          request_{request},
          progress_{progress},
          time_{request.timeout_seconds * 1000} {}

    void collect(const std::string& program_version);
    [[nodiscard]] std::string write(const std::string& path);

  private:
    void step(const char* what) {
        progress_ << "pgsidecar: diagnose: " << what << '\n' << std::flush;
    }
    void add(const std::string& name, std::string text) {
        files_.emplace_back(name, std::move(text));
    }
    void missing(const std::string& what, const std::string& why) {
        missing_ += what + ": " + scrub_.log(why);
    }
    void load();
    void learn_secrets();
    void learn_conninfo(const std::string& conninfo);
    void learn_names();
    void versions(const std::string& program_version);
    void certificates();
    void ports();
    void upstream();
    void console();
    void http();
    void logs();
    [[nodiscard]] std::string first_line_of(const std::string& file);

    const config::sources& from_;
    const diagnose_request& request_;
    std::ostream& progress_;
    const milliseconds time_;
    bool given_ = false;  // there is a configuration, valid or not
    config::load_result loaded_;
    ops::scrubber scrub_;
    std::vector<std::pair<std::string, std::string>> files_;
    std::string missing_;  // what could not be asked, and why
};

void diagnosis::collect(const std::string& program_version) {
    step("configuration");
    load();
    step("program, machine, service");
    versions(program_version);
    add("machine.txt", describe_machine() + "\n" + describe_processes(scrub_));
    add("service.txt", scrub_.settings(describe_service(request_.unit)));
    step("certificates");
    certificates();
    step("ports");
    ports();
    step("upstream");
    upstream();
    step("console");
    console();
    step("HTTP");
    http();
    step("log");
    logs();  // last: by now it is known what tenants and applications are called
}

// Settings of a configuration that is not valid are asked about as far as they could be read: a
// program that began with the file's former text may be running.
void diagnosis::load() {
    given_ = !from_.path.empty();
    if (!given_) {
        add("configuration.txt", "no configuration was given (-c)\n");
        return;
    }
    config::file_memory memory;
    loaded_ = config::load(from_, memory);
    learn_secrets();
    learn_names();
    std::string text =
        loaded_.ok() ? "valid\n" : "NOT VALID: the program would not begin with it\n";
    for (const auto& problem : loaded_.problems) text += config::to_string(problem) + "\n";
    for (const auto& note : loaded_.notes) text += "note: " + config::to_string(note) + "\n";
    for (const auto& [path, file] : memory.texts)
        text += "read: " + path + (file.why.empty() ? "" : " (" + file.why + ")") + "\n";
    add("configuration.txt", scrub_.log(text));
    auto shown = loaded_;
    for (const auto& setting : config::list_settings(shown.value))
        if (setting.key == "alerts.webhook_url") shown.value.alerts.webhook_url = setting.value;
    if (loaded_.ok())
        add("configuration.yaml", scrub_.settings(config::dump(shown)));
    else
        missing("configuration.yaml", "the configuration is not valid");
}

std::string diagnosis::first_line_of(const std::string& file) {
    if (file.empty()) return {};
    auto text = read_whole(file, most_secret_file).bytes;
    text.resize(std::min(text.find_first_of("\r\n"), text.size()));
    return text;
}

void diagnosis::learn_conninfo(const std::string& conninfo) {
    std::string problem;
    for (const auto& [key, value] : console_options(loaded_.value, conninfo, problem))
        if (key == "password" || key == "sslpassword") scrub_.add_secret(value);
}

void diagnosis::learn_secrets() {
    const auto& s = loaded_.value;
    for (const auto* conninfo : {&s.upstream.control_connection, &s.shared_cache.connection,
                                 &s.metrics.connection, &s.alerts.connection, &request_.console})
        learn_conninfo(*conninfo);
    for (const auto* file : {&s.http.token_file, &s.shared_cache.redis_password_file,
                             &s.shared_cache.encryption_key_file})
        scrub_.add_secret(first_line_of(*file));
    const auto host = s.alerts.webhook_url.find("://");
    if (host != std::string::npos) {
        const auto path = s.alerts.webhook_url.find('/', host + 3);
        if (path != std::string::npos) scrub_.add_secret(s.alerts.webhook_url.substr(path + 1));
    }
    if (s.auth_file.empty()) return;
    const auto read = config::read_auth_file(read_whole(s.auth_file, most_secret_file).bytes);
    for (std::size_t i = 0; i < std::min<std::size_t>(read.users.size(), 1000); ++i)
        scrub_.add_secret(read.users[i].secret);
}

void diagnosis::learn_names() {
    for (const auto& key : config::known_keys()) {
        scrub_.add_name(key);
        scrub_.add_name(key.substr(key.rfind('.') + 1));
    }
    for (const auto& rule : loaded_.value.cache.rules.rules) scrub_.add_name(rule.name);
    for (const auto& user : loaded_.value.admin_users) scrub_.add_name(user);
    for (const auto& user : loaded_.value.stats_users) scrub_.add_name(user);
    scrub_.add_name(loaded_.value.tenants.default_tenant);
    scrub_.add_name(loaded_.value.upstream.host);
    scrub_.add_name(listening_host(loaded_.value.listen_addr));
}

void diagnosis::versions(const std::string& program_version) {
    const std::time_t now = std::time(nullptr);
    std::array<char, 32> time{};
    if (const auto* utc = std::gmtime(&now); utc != nullptr)
        std::strftime(time.data(), time.size(), "%Y-%m-%dT%H:%M:%SZ", utc);
    std::string text = "pgsidecar " + program_version + "\ncompiler: " __VERSION__ "\n";
#ifdef NDEBUG
    text += "build: release\n";
#else
    text += "build: with assertions\n";
#endif
    text += "libpq: " + std::to_string(PQlibVersion()) + "\nzlib: " + zlibVersion() + "\n" +
            OpenSSL_version(OPENSSL_VERSION) + "\nmade at: " + time.data() + "\n";
    add("version.txt", text);
}

void diagnosis::certificates() {
    const auto& s = loaded_.value;
    std::string text;
    const auto describe = [&](const char* key, const std::string& file,
                              const std::string& key_file) {
        if (file.empty()) return;
        text += std::string{key} + " " + describe_certificates(file, key_file) + "\n";
    };
    for (const auto& [prefix, tls] : {std::pair{"client_tls", &s.client_tls},
                                      {"server_tls", &s.upstream.tls},
                                      {"redis_tls", &s.shared_cache.redis_tls}}) {
        describe((std::string{prefix} + "_cert_file").c_str(), tls->cert_file, tls->key_file);
        describe((std::string{prefix} + "_ca_file").c_str(), tls->ca_file, {});
    }
    add("certificates.txt", text.empty() ? "none is configured\n" : text);
}

void diagnosis::ports() {
    if (!given_) return missing("ports.txt", "no configuration was given");
    const auto& s = loaded_.value;
    const auto line = [&](const char* what, const std::string& host, std::uint16_t port) {
        const auto got = probe(host, port, {}, 0, time_);
        return std::string{what} + " " + host + ":" + std::to_string(port) + ": " +
               (got.connected ? "somebody listens" : "not reached: " + got.why) + "\n";
    };
    const std::string host = listening_host(s.listen_addr);
    std::string text = line("listen_addr", host, s.listen_port);
    text += "  to SSLRequest: " + describe_ssl_request(host, s.listen_port, time_) + "\n";
    if (s.http.listen_port != 0)
        text += line("http.listen_addr", listening_host(s.http.listen_addr), s.http.listen_port);
    else
        text += "http.listen_port is 0: no HTTP\n";
    add("ports.txt", text);
}

void diagnosis::upstream() {
    if (!given_) return missing("upstream.txt", "no configuration was given");
    const auto& s = loaded_.value;
    const auto got = probe(s.upstream.host, s.upstream.port, {}, 0, time_);
    std::string text = "TCP " + s.upstream.host + ":" + std::to_string(s.upstream.port) + ": " +
                       (got.connected ? "reached in " + std::to_string(got.took.count()) + " ms"
                                      : "not reached: " + got.why) +
                       "\n";
    text += "SSLRequest: " + describe_ssl_request(s.upstream.host, s.upstream.port, time_) + "\n";
    if (s.upstream.control_connection.empty()) {
        add("upstream.txt", text + "upstream.control_connection is empty: not logged in\n");
        return;
    }
    const auto connection = control_parameters{s}.application_name("pgsidecar diagnose").connect();
    PGconn* const c = connection.get();
    if (PQstatus(c) != CONNECTION_OK) {
        add("upstream.txt", text + "log-in: " + scrub_.log(one_line(PQerrorMessage(c))));
        return;
    }
    text += "log-in: ok\nserver_version: " + std::to_string(PQserverVersion(c)) + "\n";
    for (const char* name :
         {"in_hot_standby", "server_encoding", "TimeZone", "standard_conforming_strings"})
        if (const char* value = PQparameterStatus(c, name); value != nullptr)
            text += std::string{name} + ": " + value + "\n";
    const char* const protocol = PQsslAttribute(c, "protocol");
    text += std::string{"TLS: "} + (protocol != nullptr ? protocol : "none") + "\n";
    const result_ptr result{
        PQexec(c,
               "SELECT name || ': ' || setting FROM pg_catalog.pg_settings WHERE name IN "
               "('max_connections', "
               "'wal_level', 'max_replication_slots', 'max_wal_senders', 'statement_timeout', "
               "'idle_in_transaction_session_timeout', 'shared_buffers') ORDER BY name")};
    for (int r = 0; r < PQntuples(result.get()); ++r)
        text += std::string{PQgetvalue(result.get(), r, 0)} + "\n";
    add("upstream.txt", text);
}

void diagnosis::console() {
    if (!given_) return missing("console", "no configuration was given");
    const auto& s = loaded_.value;
    if (request_.console.empty() && s.admin_users.empty() && s.stats_users.empty())
        return missing("console", "admin_users and stats_users are empty: there is none");
    std::string problem;
    const auto options = console_options(s, request_.console, problem);
    console_client client{options, time_};
    if (!client.connect()) return missing("console", client.problem());
    for (const char* name : {"VERSION", "STATE", "DATABASES", "USERS", "POOLS", "CLIENTS",
                             "SERVERS", "LISTS", "MEM", "STATS", "STATS_TOTALS", "STATS_AVERAGES",
                             "CACHE", "TENANTS", "QUERIES", "FLAGS", "RULES", "CONFIG"}) {
        ops::text_table table;
        if (client.ask(std::string{"SHOW "} + name, table)) {
            for (std::size_t i = 0; i < table.columns.size(); ++i)
                if (table.columns[i] == "database" || table.columns[i] == "user")
                    for (const auto& row : table.rows) scrub_.add_name(row[i]);
            add("console/" + protocol::lower_case(name) + ".csv", scrub_.table(table));
        } else {
            missing(std::string{"console: SHOW "} + name, client.problem());
        }
    }
}

void diagnosis::http() {
    if (!given_) return missing("http", "no configuration was given");
    const auto& s = loaded_.value.http;
    if (s.listen_port == 0) return missing("http", "http.listen_port is 0: there is none");
    const std::string host = listening_host(s.listen_addr), token = first_line_of(s.token_file);
    for (const char* path : {"/healthz", "/readyz", "/metrics"}) {
        const auto got = http_get(host, s.listen_port, path, token, time_);
        if (got.status.empty()) {
            missing(std::string{"http: "} + path, got.why);
            continue;
        }
        const std::string text = got.status + "\n\n" + got.body;
        const bool metrics = std::string_view{path} == "/metrics";
        add("http" + std::string{path} + ".txt",
            metrics ? scrub_.metrics(text) : scrub_.settings(text));
    }
}

void diagnosis::logs() {
    const std::size_t most = std::size_t{request_.log_kilobytes} << 10U;
    std::vector<std::string> names = request_.logs;
    if (!loaded_.value.log.file.empty()) names.push_back(loaded_.value.log.file);
    for (const auto& name : names) {
        std::error_code ignored;
        std::ifstream in{fs::path{name}, std::ios::binary | std::ios::ate};
        if (!in || !fs::is_regular_file(name, ignored)) {
            missing("log " + name, "cannot be read");
            continue;
        }
        const auto size = static_cast<std::size_t>(in.tellg());
        std::string text(std::min(size, most + 1), '\0');
        in.seekg(static_cast<std::streamoff>(size - text.size()));
        in.read(text.data(), static_cast<std::streamsize>(text.size()));
        text.resize(static_cast<std::size_t>(in.gcount()));
        add("log/" + fs::path{name}.filename().string(), scrub_.log(ops::last_lines(text, most)));
    }
    const std::string kept = service_log(request_.unit, most);
    if (!kept.empty()) add("log/service.log", scrub_.log(kept));
    if (names.empty() && kept.empty())
        missing("log", "log.file is empty, and the service manager has none; --log names a file");
}

std::string diagnosis::write(const std::string& path) {
    zip_file zip{path};
    zip.add("README.txt",
            explanation + (missing_.empty() ? std::string{"Everything was to be had.\n"}
                                            : "What could not be asked, and why:\n" + missing_));
    for (const auto& [name, text] : files_) zip.add(name, text);
    return zip.finish();
}

// Any other file that lies there stays: somebody may have named the wrong one.
std::string bad_place(const std::string& path) {
    std::error_code ignored;
    if (!fs::exists(path, ignored)) return {};
    std::array<char, 2> begin{};
    std::ifstream in{path, std::ios::binary};
    in.read(begin.data(), begin.size());
    const bool zip = in && begin[0] == 'P' && begin[1] == 'K';
    return zip ? std::string{} : "there is another file at this place, which is no ZIP";
}

}  // namespace

int diagnose(const config::sources& from, const diagnose_request& request,
             const std::string& program_version, std::ostream& progress) {
    const auto refuse = [&](const std::string& option, const std::string& why) {
        progress << "pgsidecar: " << option << ": " << why << '\n';
        return exit_usage;
    };
    if (!fit_unit_name(request.unit)) return refuse("--unit", "is no name of a unit");
    if (const auto why = bad_place(request.out); !why.empty()) return refuse(request.out, why);
    if (const auto why = conninfo_problem(request.console); !why.empty())
        return refuse("--console", why);
    diagnosis all{from, request, progress};
    all.collect(program_version);
    if (const auto why = all.write(request.out); !why.empty()) {
        progress << "pgsidecar: " << request.out << ": " << why << '\n';
        return exit_failure;
    }
    progress << "pgsidecar: " << request.out << " is written: look through it before you send it\n";
    return 0;
}

}  // namespace pgsidecar::io
