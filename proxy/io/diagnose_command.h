// The command line of `pgsidecar diagnose`. Built before the arguments are parsed, asked after it.
#pragma once
#include <functional>
#include <string>

#include "proxy/io/diagnose.h"

namespace CLI {
class App;
}

namespace pgsidecar::io {

class diagnose_command {
  public:
    // add_config: adds the options that every command with a configuration has; here none must be
    // given.
    diagnose_command(CLI::App& program, const std::function<void(CLI::App&)>& add_config);
    diagnose_command(const diagnose_command&) = delete;  // the parser writes into request_
    diagnose_command& operator=(const diagnose_command&) = delete;

    [[nodiscard]] bool chosen() const;
    // The exit code.
    [[nodiscard]] int run(const config::sources& from, const std::string& program_version) const;

  private:
    CLI::App* command_;
    diagnose_request request_;
};

}  // namespace pgsidecar::io
