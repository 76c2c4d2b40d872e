// The command line of `pgsidecar migrate`. Built before the arguments are parsed, asked after it.
#pragma once
#include <functional>

#include "config/settings.h"
#include "proxy/io/migrate.h"

namespace CLI {
class App;
}

namespace pgsidecar::io {

class migrate_command {
  public:
    // add_config: adds the options that every command with a configuration has.
    migrate_command(CLI::App& program, const std::function<void(CLI::App&)>& add_config);
    migrate_command(const migrate_command&) = delete;  // the parser writes into request_
    migrate_command& operator=(const migrate_command&) = delete;

    [[nodiscard]] bool chosen() const;
    [[nodiscard]] int run(const config::settings& settings) const;  // the exit code

  private:
    CLI::App* command_;
    migrate_request request_;
};

}  // namespace pgsidecar::io
