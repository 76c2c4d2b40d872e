// One side of `pgsidecar validate`: a connection of libpq's that asks statements, takes their rows
// one by one into an ops::answer, and times them. It never waits longer than the time-out allows,
// whatever the other side does, nor after an interruption, and connects again by itself when a
// connection was lost. Belongs to one thread.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "proxy/io/control_parameters.h"
#include "proxy/ops/answer.h"
#include "proxy/ops/validation.h"
#include "proxy/ops/workload.h"
#include "proxy/ops/workload_console.h"

namespace pgsidecar::io {

using connection_options = std::map<std::string, std::string>;  // libpq's keywords

// Blocks for connect_timeout at most; ask PQstatus().
[[nodiscard]] connection_ptr connect_with(const connection_options& options);

// Until there is something to read (or room to send), at most so long; whoever asks looks again.
void wait_for_socket(const PGconn* connection, bool to_send, std::chrono::milliseconds at_most);

class validate_connection {
  public:
    // timeout: of one answer; the server has been told the same, so that it is given some time
    // more. unprepared: values are sent with a Parse each time, as drivers do that prepare nothing.
    validate_connection(connection_options options, std::chrono::milliseconds timeout,
                        bool unprepared)
        : options_{std::move(options)}, timeout_{timeout}, unprepared_{unprepared} {}

    [[nodiscard]] bool connect();
    // Why there is no connection; empty as long as there is one, or one may be made.
    [[nodiscard]] const std::string& problem() const noexcept { return problem_; }
    [[nodiscard]] ops::side describe() const;

    struct timed {
        ops::answer answer;
        std::chrono::microseconds took{0};  // preparing left out
    };
    // index: of the statement in its workload, which its prepared statement is named after.
    [[nodiscard]] timed ask(const ops::workload_statement& statement, std::size_t index,
                            const ops::workload_values* values);

  private:
    using clock = std::chrono::steady_clock;
    [[nodiscard]] bool prepare(const ops::workload_statement& statement, std::size_t index,
                               ops::answer& out);
    [[nodiscard]] bool send(const ops::workload_statement& statement, std::size_t index,
                            const ops::workload_values* values);
    void receive(ops::answer& out);
    // The next result, null when there is no more of them; nothing: the connection is of no use.
    [[nodiscard]] std::optional<result_ptr> next(ops::answer& out);
    [[nodiscard]] bool wait(bool to_send) const;
    void take(const PGresult* result, ops::answer& out);

    connection_options options_;
    std::chrono::milliseconds timeout_;
    bool unprepared_;
    connection_ptr connection_;
    std::vector<bool> prepared_;  // by index
    clock::time_point deadline_{};
    std::string problem_;
};

// SHOW QUERIES of an admin console, all that it counts; nothing: `problem` says why.
[[nodiscard]] std::optional<ops::console_rows> ask_console(const connection_options& options,
                                                           std::string& problem);

}  // namespace pgsidecar::io
