// The command line of `pgsidecar validate`. Built before the arguments are parsed, asked after it.
#pragma once
#include <functional>
#include <string>

#include "config/settings.h"
#include "proxy/io/validate.h"

namespace CLI {
class App;
}

namespace pgsidecar::io {

class validate_command {
  public:
    // add_config: adds the options that every command with a configuration has.
    validate_command(CLI::App& program, const std::function<void(CLI::App&)>& add_config);
    validate_command(const validate_command&) = delete;  // the parser writes into request_
    validate_command& operator=(const validate_command&) = delete;

    [[nodiscard]] bool chosen() const;
    // The exit code.
    [[nodiscard]] int run(const config::settings& settings,
                          const std::string& program_version) const;

  private:
    CLI::App* command_;
    validate_request request_;
};

}  // namespace pgsidecar::io
