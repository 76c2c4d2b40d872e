// The command line of `pgsidecar service`: the program as a service of Windows. Built before the
// arguments are parsed, asked after it. What is done is the system's own (posix/, windows/):
// elsewhere than on Windows it says what to use instead.
#pragma once
#include <chrono>
#include <functional>
#include <string>

#include "config/load.h"

namespace CLI {
class App;
}

namespace pgsidecar::io {

struct service_request {
    enum class action { install, uninstall, start, stop, restart, status, reload, run };
    enum class start_kind { automatic, delayed, manual };
    action what = action::status;
    std::string name = "pgsidecar";
    std::string account;  // empty: the virtual account of the service, NT SERVICE\NAME
    bool password_on_input = false;
    start_kind start = start_kind::automatic;
    std::chrono::seconds wait{60};  // for a start or a stop
    config::sources from;           // of install and run
    std::string program;            // name and version
};

// The exit code. In posix/ or windows/.
[[nodiscard]] int carry_out(const service_request& request);

class service_command {
  public:
    // add_config: adds the options that every command with a configuration has.
    service_command(CLI::App& program, const std::function<void(CLI::App&)>& add_config);
    service_command(const service_command&) = delete;  // the parser writes into request_
    service_command& operator=(const service_command&) = delete;

    [[nodiscard]] bool chosen() const;
    [[nodiscard]] int run(config::sources from, std::string program) const;  // the exit code

  private:
    CLI::App* command_;
    service_request request_;
    std::string start_ = "auto";
    int wait_ = 60;
};

}  // namespace pgsidecar::io
