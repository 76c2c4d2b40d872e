#include "proxy/io/console_tables.h"

#include <algorithm>
#include <memory>

namespace pgsidecar::io {
namespace {

using std::chrono::milliseconds;
using clock = std::chrono::steady_clock;

void take(const PGresult* from, ops::text_table& out) {
    out = {};
    for (int c = 0; c < PQnfields(from); ++c) out.columns.emplace_back(PQfname(from, c));
    for (int r = 0; r < PQntuples(from); ++r) {
        auto& row = out.rows.emplace_back();
        for (int c = 0; c < PQnfields(from); ++c)
            row.emplace_back(PQgetvalue(from, r, c),
                             static_cast<std::size_t>(PQgetlength(from, r, c)));
    }
}

}  // namespace

std::string listening_host(const std::string& listen_addr) {
    if (listen_addr == "*" || listen_addr == "0.0.0.0") return "127.0.0.1";
    return listen_addr == "::" ? "::1" : listen_addr;
}

connection_options console_options(const config::settings& s, const std::string& given,
                                   std::string& problem) {
    connection_options out;
    problem = conninfo_problem(given);
    if (!problem.empty()) return out;
    char* error = nullptr;
    const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options{
        PQconninfoParse(given.c_str(), &error), PQconninfoFree};
    PQfreemem(error);
    for (const auto* o = options.get(); o != nullptr && o->keyword != nullptr; ++o)
        if (o->val != nullptr) out[o->keyword] = o->val;
    out.try_emplace("host", listening_host(s.listen_addr));
    out.try_emplace("port", std::to_string(s.listen_port));
    out.try_emplace("dbname", "pgsidecar");
    const auto& users = s.admin_users.empty() ? s.stats_users : s.admin_users;
    if (!users.empty()) out.try_emplace("user", users.front());
    out.try_emplace("sslmode",
                    s.client_tls.mode == config::tls_mode::disable ? "disable" : "prefer");
    out.try_emplace("gssencmode", "disable");
    out.try_emplace("connect_timeout", "5");
    out.try_emplace("application_name", "pgsidecar");
    return out;
}

bool console_client::connect() {
    connection_ = connect_with(options_);
    problem_ = PQstatus(connection_.get()) == CONNECTION_OK
                   ? std::string{}
                   : one_line(PQerrorMessage(connection_.get()));
    PQsetNoticeProcessor(
        connection_.get(), [](void*, const char*) {}, nullptr);
    return problem_.empty();
}

bool console_client::wait(clock::time_point until, bool to_write) {
    const auto left = std::chrono::ceil<milliseconds>(until - clock::now());
    if (left.count() > 0) {
        wait_for_socket(connection_.get(), to_write, std::min(left, milliseconds{100}));
        return true;
    }
    problem_ = "no answer in " + std::to_string(time_.count()) + " ms";
    connection_.reset();  // its answer would be taken for the next one's
    return false;
}

bool console_client::ask(const std::string& command, ops::text_table& out) {
    problem_.clear();
    if (connection_ == nullptr && !connect()) return false;
    const auto until = clock::now() + time_;
    PGconn* const c = connection_.get();
    bool ok = PQsendQuery(c, command.c_str()) == 1;
    while (ok && PQflush(c) == 1) {
        if (!wait(until, true)) return false;
        ok = PQconsumeInput(c) == 1;
    }
    bool answered = false;
    while (ok) {
        while (PQisBusy(c) == 1) {
            if (!wait(until, false)) return false;
            if (PQconsumeInput(c) != 1) break;
        }
        const result_ptr result{PQgetResult(c)};
        if (result == nullptr) break;
        const auto status = PQresultStatus(result.get());
        if (status == PGRES_TUPLES_OK) take(result.get(), out);
        if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
            answered = true;
        else
            problem_ = first_line(PQresultErrorMessage(result.get()));
    }
    if (!answered && problem_.empty()) problem_ = one_line(PQerrorMessage(c));
    if (PQstatus(c) != CONNECTION_OK) connection_.reset();
    return answered && problem_.empty();
}

}  // namespace pgsidecar::io
