// The admin console asked for its tables by libpq, within bounds of time: for `pgsidecar diagnose`
// and `pgsidecar deploy`. Not for more than one thread.
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "config/settings.h"
#include "proxy/io/control_parameters.h"
#include "proxy/io/validate_connection.h"
#include "proxy/ops/diagnosis.h"

namespace pgsidecar::io {

// Where the program listens, as one of this machine reaches it: "*" is 127.0.0.1.
[[nodiscard]] std::string listening_host(const std::string& listen_addr);

// What `given` says (a libpq connection string, may be empty), and where it says nothing the
// console of these settings: its address, the first admin user. `problem`: it is no connection
// string.
[[nodiscard]] connection_options console_options(const config::settings& s,
                                                 const std::string& given, std::string& problem);

class console_client {
  public:
    explicit console_client(connection_options options, std::chrono::milliseconds time)
        : options_{std::move(options)}, time_{time} {}

    [[nodiscard]] bool connect();
    // Why the last call failed, as one line.
    [[nodiscard]] const std::string& problem() const noexcept { return problem_; }
    // One command; false: problem(), and another connect() may be tried. Columns and rows, if any.
    [[nodiscard]] bool ask(const std::string& command, ops::text_table& out);
    [[nodiscard]] PGconn* connection() const noexcept { return connection_.get(); }

  private:
    [[nodiscard]] bool wait(std::chrono::steady_clock::time_point until, bool to_write);

    connection_options options_;
    std::chrono::milliseconds time_;
    connection_ptr connection_;
    std::string problem_;
};

}  // namespace pgsidecar::io
