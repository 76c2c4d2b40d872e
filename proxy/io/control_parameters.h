// How the proxy itself connects to the server through libpq: the conninfo of control_connection,
// with the upstream's address and TLS where it names none.
#pragma once
#include <libpq-fe.h>

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "config/settings.h"

namespace pgsidecar::io {

struct connection_free {
    void operator()(PGconn* c) const noexcept { PQfinish(c); }
};
using connection_ptr = std::unique_ptr<PGconn, connection_free>;
struct result_free {
    void operator()(PGresult* r) const noexcept { PQclear(r); }
};
using result_ptr = std::unique_ptr<PGresult, result_free>;

class control_parameters {
  public:
    explicit control_parameters(const config::settings& s);
    control_parameters& database(const std::string& name) {
        items_["dbname"] = name;
        return *this;
    }
    control_parameters& application_name(const std::string& name) {
        items_["application_name"] = name;
        return *this;
    }
    control_parameters& replication() {
        items_["replication"] = "database";
        return *this;
    }
    // The database that control_connection names; empty: it names none.
    [[nodiscard]] std::string database() const;
    // Blocks for connect_timeout (10 s unless given) at most; ask PQstatus().
    [[nodiscard]] connection_ptr connect() const;
    // Only begins: PQconnectPoll() comes next.
    [[nodiscard]] connection_ptr start() const;

  private:
    [[nodiscard]] connection_ptr open(PGconn* (*by)(const char* const*, const char* const*,
                                                    int)) const;
    std::map<std::string, std::string> items_;
};

[[nodiscard]] bool is_uri(std::string_view conninfo) noexcept;
// Empty when libpq can read the connection string, else why not: a sentence of ours, for what libpq
// says may quote any part of the text.
[[nodiscard]] std::string conninfo_problem(const std::string& conninfo);
// libpq's word for it.
[[nodiscard]] const char* sslmode_of(config::tls_mode mode) noexcept;

// A message of libpq's as one line fit for a terminal.
[[nodiscard]] std::string one_line(std::string_view message);
// Of PQerrorMessage(): the rest may quote a statement.
[[nodiscard]] std::string first_line(const char* message);

}  // namespace pgsidecar::io
