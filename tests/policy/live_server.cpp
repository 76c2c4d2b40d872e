#include "tests/policy/live_server.h"

#include <libpq-fe.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <stdexcept>
#include <string_view>
#include <thread>

namespace pgsidecar::policy::testing {
namespace {

namespace fs = std::filesystem;

std::string binaries() {
    if (const char* given = std::getenv("PGSIDECAR_POSTGRES_BIN")) return given;
    std::string newest;
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", ignored)) {
        const auto bin = (entry.path() / "bin").string();
        if (fs::exists(bin + "/initdb") && bin > newest) newest = bin;
    }
    if (newest.empty()) throw std::runtime_error("no PostgreSQL: set PGSIDECAR_POSTGRES_BIN");
    return newest;
}

// The server refuses to run as root.
void shell(const std::string& command) {
    const std::string line =
        (geteuid() == 0 ? "runuser -u postgres -- " : "") + command + " >/dev/null 2>&1 </dev/null";
    if (std::system(line.c_str()) != 0) throw std::runtime_error("failed: " + command);
}

struct connection {
    PGconn* handle;
    explicit connection(const std::string& info) : handle{PQconnectdb(info.c_str())} {
        if (PQstatus(handle) != CONNECTION_OK) {
            const std::string why = PQerrorMessage(handle);
            PQfinish(handle);
            throw std::runtime_error(why);
        }
        PQsetNoticeProcessor(
            handle, [](void*, const char*) {}, nullptr);
    }
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;
    ~connection() { PQfinish(handle); }
};

struct result {
    PGresult* handle;
    result(connection& c, const std::string& sql) : handle{PQexec(c.handle, sql.c_str())} {
        const auto status = PQresultStatus(handle);
        if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) return;
        const std::string why = PQresultErrorMessage(handle);
        PQclear(handle);
        throw std::runtime_error(why + sql.substr(0, 200));
    }
    result(const result&) = delete;
    result& operator=(const result&) = delete;
    ~result() { PQclear(handle); }
};

}  // namespace

live_server& live_server::instance() {
    static live_server server;
    return server;
}

live_server::live_server() {
    std::string pattern = (fs::temp_directory_path() / "pgsidecar-policy-XXXXXX").string();
    if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp");
    directory_ = pattern;
    try {
        if (geteuid() == 0 && std::system(("chown postgres " + directory_).c_str()) != 0) {
            throw std::runtime_error("chown");
        }
        const auto bin = binaries();
        shell(bin + "/initdb -N -A trust -U postgres -D " + directory_ + "/data");
        shell(bin + "/pg_ctl -w -D " + directory_ + "/data -l " + directory_ +
              "/log -o \"-c listen_addresses= -c fsync=off -c unix_socket_directories=" +
              directory_ + "\" start");
        started_ = true;
    } catch (...) {
        stop();
        throw;
    }
}

live_server::~live_server() { stop(); }

void live_server::stop() noexcept {
    try {
        if (started_) shell(binaries() + "/pg_ctl -w -m immediate -D " + directory_ + "/data stop");
        std::error_code ignored;
        fs::remove_all(directory_, ignored);
    } catch (const std::exception&) {
        started_ = false;  // nothing more can be done at exit
    }
}

std::string live_server::conninfo(const std::string& database, const std::string& user) const {
    return "host=" + directory_ + " dbname=" + database + " user=" + user;
}

std::vector<std::string> live_server::run(const std::string& sql, const std::string& database,
                                          const std::string& user) {
    connection c{conninfo(database, user)};
    const result r{c, sql};
    std::vector<std::string> values;
    for (int i = 0; i < PQntuples(r.handle); ++i) values.emplace_back(PQgetvalue(r.handle, i, 0));
    return values;
}

void live_server::settle() {
    for (int i = 0; i < 6000; ++i) {
        const auto others =
            run("SELECT count(*) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                "AND backend_type = 'client backend'");
        if (others.at(0) == "0") return;
        std::this_thread::sleep_for(std::chrono::milliseconds{10});
    }
    throw std::runtime_error("a server process does not end");
}

std::shared_ptr<const catalog> live_server::load(const std::string& database,
                                                 const std::string& user, bool told,
                                                 const std::string& first) const {
    connection c{conninfo(database, user)};
    result{c, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL search_path = ''"};
    if (!first.empty()) result{c, first};
    catalog_builder builder;
    const auto queries = catalog_queries();
    for (std::size_t q = 0; q < queries.size(); ++q) {
        if (told && queries[q].name == "other_changes") continue;
        const result r{c, std::string{queries[q].sql}};
        const int width = PQnfields(r.handle);
        if (static_cast<std::size_t>(width) != queries[q].columns) {
            throw std::runtime_error("width of " + std::string{queries[q].name});
        }
        std::vector<std::optional<std::string_view>> row(queries[q].columns);
        for (int i = 0; i < PQntuples(r.handle); ++i) {
            for (int f = 0; f < width; ++f) {
                auto& value = row[static_cast<std::size_t>(f)];
                value = PQgetvalue(r.handle, i, f);
                if (PQgetisnull(r.handle, i, f) != 0) value.reset();
            }
            builder.row(q, row);
        }
    }
    auto snapshot = builder.finish(1);
    if (snapshot == nullptr) throw std::runtime_error("refused: " + std::string{builder.problem()});
    return snapshot;
}

}  // namespace pgsidecar::policy::testing
