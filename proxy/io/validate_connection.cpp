#include "proxy/io/validate_connection.h"

#ifdef _WIN32
#include <winsock2.h>
#else
#include <poll.h>
#endif

#include <algorithm>
#include <string_view>
#include <utility>

#include "proxy/io/interruption.h"

namespace pgsidecar::io {
namespace {

// The server's own time-out comes first, and its answer says so.
constexpr std::chrono::seconds beyond_timeout{5};
// A signal may come to any thread, so each looks for itself.
constexpr std::chrono::milliseconds longest_sleep{100};

std::string sqlstate_of(const PGresult* r) {
    const char* state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    return state ? state : std::string{ops::answer::lost};
}

std::vector<ops::answer_column> columns_of(const PGresult* r) {
    std::vector<ops::answer_column> out;
    out.reserve(static_cast<std::size_t>(PQnfields(r)));
    for (int c = 0; c < PQnfields(r); ++c)
        out.push_back({PQfname(r, c), PQftype(r, c), PQfmod(r, c),
                       static_cast<std::int16_t>(PQfformat(r, c))});
    return out;
}

std::string statement_name(std::size_t index) {
    return "pgsidecar_validate_" + std::to_string(index);
}

}  // namespace

connection_ptr connect_with(const connection_options& options) {
    std::vector<const char*> keys, values;
    for (const auto& [key, value] : options) {
        keys.push_back(key.c_str());
        values.push_back(value.c_str());
    }
    keys.push_back(nullptr);
    values.push_back(nullptr);
    return connection_ptr{PQconnectdbParams(keys.data(), values.data(), 0)};
}

bool validate_connection::connect() {
    prepared_.clear();
    problem_.clear();
    connection_ = connect_with(options_);
    if (PQstatus(connection_.get()) != CONNECTION_OK) {
        problem_ = "cannot connect: " + one_line(PQerrorMessage(connection_.get()));
        return false;
    }
    PQsetNoticeProcessor(
        connection_.get(), [](void*, const char*) {}, nullptr);
    PQsetnonblocking(connection_.get(), 1);
    return true;
}

ops::side validate_connection::describe() const {
    const auto of = [this](const char* key) {
        const auto at = options_.find(key);
        return at == options_.end() ? std::string{} : at->second;
    };
    ops::side out{of("host") + ":" + of("port"), of("dbname"), of("user"), {}};
    if (!connection_ || PQstatus(connection_.get()) != CONNECTION_OK) return out;
    out.database = PQdb(connection_.get());
    out.user = PQuser(connection_.get());
    if (const char* version = PQparameterStatus(connection_.get(), "server_version"))
        out.version = version;
    return out;
}

validate_connection::timed validate_connection::ask(const ops::workload_statement& statement,
                                                    std::size_t index,
                                                    const ops::workload_values* values) {
    timed out;
    if (PQstatus(connection_.get()) != CONNECTION_OK && !connect()) {
        out.answer.fail(ops::answer::lost);
        return out;
    }
    deadline_ = clock::now() + timeout_ + beyond_timeout;
    if (values && !unprepared_ && !prepare(statement, index, out.answer)) return out;
    const auto begun = clock::now();
    if (send(statement, index, values)) {
        PQsetSingleRowMode(connection_.get());
        receive(out.answer);
    } else {
        out.answer.fail(ops::answer::lost);
        connection_.reset();
    }
    out.took = std::chrono::duration_cast<std::chrono::microseconds>(clock::now() - begun);
    return out;
}

bool validate_connection::prepare(const ops::workload_statement& statement, std::size_t index,
                                  ops::answer& out) {
    if (index < prepared_.size() && prepared_[index]) return true;
    if (PQsendPrepare(connection_.get(), statement_name(index).c_str(), statement.sql.c_str(), 0,
                      nullptr) == 0) {
        out.fail(ops::answer::lost);
        connection_.reset();
        return false;
    }
    ops::answer made;
    receive(made);
    if (made.failed()) {
        out.fail(made.failure());
        return false;
    }
    if (index >= prepared_.size()) prepared_.resize(index + 1);
    prepared_[index] = true;
    return true;
}

bool validate_connection::send(const ops::workload_statement& statement, std::size_t index,
                               const ops::workload_values* values) {
    if (!values) return PQsendQuery(connection_.get(), statement.sql.c_str()) == 1;
    std::vector<const char*> given;
    for (const auto& value : *values) given.push_back(value ? value->c_str() : nullptr);
    const auto count = static_cast<int>(given.size());
    const int format = statement.binary ? 1 : 0;
    if (unprepared_)
        return PQsendQueryParams(connection_.get(), statement.sql.c_str(), count, nullptr,
                                 given.data(), nullptr, nullptr, format) == 1;
    return PQsendQueryPrepared(connection_.get(), statement_name(index).c_str(), count,
                               given.data(), nullptr, nullptr, format) == 1;
}

void validate_connection::receive(ops::answer& out) {
    while (true) {
        const auto result = next(out);
        if (!result) {
            connection_.reset();
            return;
        }
        if (!*result) return;
        take(result->get(), out);
    }
}

std::optional<result_ptr> validate_connection::next(ops::answer& out) {
    PGconn* const c = connection_.get();
    for (int left = PQflush(c); left != 0; left = PQflush(c)) {
        if (left < 0) return out.fail(ops::answer::lost), std::nullopt;
        if (!wait(true)) return out.fail(ops::answer::silent), std::nullopt;
        if (PQconsumeInput(c) == 0) break;  // what it says is in the next result
    }
    while (PQisBusy(c) == 1) {
        if (!wait(false)) return out.fail(ops::answer::silent), std::nullopt;
        if (PQconsumeInput(c) == 0) break;
    }
    return result_ptr{PQgetResult(c)};
}

void wait_for_socket(const PGconn* connection, bool to_send, std::chrono::milliseconds at_most) {
    const auto time = static_cast<int>(at_most.count());
    const auto events = static_cast<short>(to_send ? POLLIN | POLLOUT : POLLIN);
#ifdef _WIN32
    WSAPOLLFD socket{static_cast<SOCKET>(PQsocket(connection)), events, 0};
    (void)WSAPoll(&socket, 1, time);
#else
    pollfd socket{PQsocket(connection), events, 0};
    (void)poll(&socket, 1, time);
#endif
}

bool validate_connection::wait(bool to_send) const {
    const auto left = std::min(
        longest_sleep, std::chrono::ceil<std::chrono::milliseconds>(deadline_ - clock::now()));
    if (left.count() <= 0 || interruption::came()) return false;
    wait_for_socket(connection_.get(), to_send, left);
    return true;  // whoever asks looks again, and at the clock
}

void validate_connection::take(const PGresult* result, ops::answer& out) {
    switch (PQresultStatus(result)) {
        case PGRES_SINGLE_TUPLE:
        case PGRES_TUPLES_OK: {
            if (out.columns().empty()) out.columns(columns_of(result));
            std::vector<ops::answer_cell> cells(static_cast<std::size_t>(PQnfields(result)));
            for (int r = 0; r < PQntuples(result); ++r) {
                for (int c = 0; c < PQnfields(result); ++c) {
                    auto& cell = cells[static_cast<std::size_t>(c)];
                    cell.reset();
                    if (PQgetisnull(result, r, c) == 0)
                        cell =
                            std::string_view{PQgetvalue(result, r, c),
                                             static_cast<std::size_t>(PQgetlength(result, r, c))};
                }
                out.row(cells);
            }
            if (PQresultStatus(result) == PGRES_TUPLES_OK)
                out.complete(PQcmdStatus(const_cast<PGresult*>(result)));
            break;
        }
        case PGRES_COMMAND_OK:
            out.complete(PQcmdStatus(const_cast<PGresult*>(result)));
            break;
        default:
            if (!out.failed()) out.fail(sqlstate_of(result));
            break;
    }
}

std::optional<ops::console_rows> ask_console(const connection_options& options,
                                             std::string& problem) {
    const auto connection = connect_with(options);
    if (PQstatus(connection.get()) != CONNECTION_OK) {
        problem = "cannot connect: " + one_line(PQerrorMessage(connection.get()));
        return std::nullopt;
    }
    const result_ptr r{PQexec(connection.get(), "SHOW QUERIES LIMIT 100000")};
    if (PQresultStatus(r.get()) != PGRES_TUPLES_OK) {
        problem = "SHOW QUERIES failed with SQLSTATE " + sqlstate_of(r.get());
        return std::nullopt;
    }
    ops::console_rows out;
    for (int c = 0; c < PQnfields(r.get()); ++c) out.columns.emplace_back(PQfname(r.get(), c));
    for (int i = 0; i < PQntuples(r.get()); ++i) {
        auto& row = out.rows.emplace_back();
        for (int c = 0; c < PQnfields(r.get()); ++c) row.emplace_back(PQgetvalue(r.get(), i, c));
    }
    return out;
}

}  // namespace pgsidecar::io
