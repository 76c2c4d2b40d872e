// A private PostgreSQL for the tests of the catalog: started once for the whole executable in a
// directory of its own, reached by Unix socket alone, stopped and removed at exit.
//     live_server& server = live_server::instance();
//     server.run("CREATE TABLE ...");              // any SQL, throws on error
//     auto snapshot = server.load("database");     // reads the catalog as the proxy does
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "policy/catalog.h"

namespace pgsidecar::policy::testing {

class live_server {
  public:
    static live_server& instance();
    live_server(const live_server&) = delete;
    live_server& operator=(const live_server&) = delete;
    ~live_server();

    // Values of the first column, as text.
    std::vector<std::string> run(const std::string& sql, const std::string& database = "postgres",
                                 const std::string& user = "postgres");
    // `told`: as where somebody tells of definitions. `first`: SQL to be run in the same
    // transaction before.
    [[nodiscard]] std::shared_ptr<const catalog> load(const std::string& database = "postgres",
                                                      const std::string& user = "postgres",
                                                      bool told = false,
                                                      const std::string& first = {}) const;
    // Until no other session is there, and the server has counted what those before have done.
    void settle();

  private:
    live_server();
    [[nodiscard]] std::string conninfo(const std::string& database, const std::string& user) const;
    void stop() noexcept;

    std::string directory_;
    bool started_ = false;
};

}  // namespace pgsidecar::policy::testing
