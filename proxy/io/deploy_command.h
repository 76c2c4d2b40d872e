// The command line of `pgsidecar deploy`. Built before the arguments are parsed, asked after it.
#pragma once
#include <functional>
#include <string>

#include "proxy/io/deploy.h"

namespace CLI {
class App;
}

namespace pgsidecar::io {

class deploy_command {
  public:
    // add_config: adds the options that every command with a configuration has.
    deploy_command(CLI::App& program, const std::function<void(CLI::App&)>& add_config);
    deploy_command(const deploy_command&) = delete;  // the parser writes into request_
    deploy_command& operator=(const deploy_command&) = delete;

    [[nodiscard]] bool chosen() const;
    // The exit code.
    [[nodiscard]] int run(const config::sources& from, const std::string& program_version) const;

  private:
    CLI::App* add(CLI::App& to, deploy_request::action what, const char* name, const char* text,
                  const std::function<void(CLI::App&)>& add_config);
    void add_green(const std::function<void(CLI::App&)>& add_config);
    void add_switch(const std::function<void(CLI::App&)>& add_config);
    void add_rollback(const std::function<void(CLI::App&)>& add_config);

    CLI::App* command_;
    deploy_request request_;
};

}  // namespace pgsidecar::io
