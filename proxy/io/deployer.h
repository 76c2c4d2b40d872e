// What `deploy green`, `deploy switch` and `deploy status` share: the configuration, the file with
// the state, and who is where. deploy.cpp has the verbs.
#pragma once
#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include "proxy/io/deploy.h"
#include "proxy/io/serving_lock.h"
#include "proxy/ops/deployment.h"

namespace pgsidecar::io {

class deployer {
  public:
    deployer(const config::sources& from, const deploy_request& request,
             std::string program_version, std::ostream& out, std::ostream& err)
        : from_{from},
          request_{request},
          program_version_{std::move(program_version)},
          out_{out},
          err_{err} {}

    // 0, or the exit code after it has been said why. `lock`: nobody else may work on it meanwhile.
    [[nodiscard]] int open(bool lock);
    [[nodiscard]] int green();
    [[nodiscard]] int switch_over();
    [[nodiscard]] int status();

    [[nodiscard]] const config::settings& settings() const noexcept { return loaded_.value; }
    [[nodiscard]] const std::string& state_path() const noexcept { return state_path_; }

  private:
    int fail(const std::string& why);
    void say(const std::string& what);
    // Why the state could not be written; then no step is taken.
    [[nodiscard]] bool save(ops::deploy_phase phase);

    // green
    [[nodiscard]] std::string green_socket() const {
        return loaded_.value.takeover_socket + ".green";
    }
    [[nodiscard]] std::vector<std::string> green_overrides() const;
    [[nodiscard]] std::string fingerprint_of(const std::string& config,
                                             const std::vector<std::string>& overrides,
                                             const std::string& program);
    [[nodiscard]] bool green_answers() const;
    [[nodiscard]] int choose_ports();
    [[nodiscard]] int start_green();
    void stop_green();

    // switch
    [[nodiscard]] int check_ready();
    [[nodiscard]] int checkpoint();
    [[nodiscard]] bool place_taken(bool resumed, const std::function<bool()>& taken);
    [[nodiscard]] int take_over(bool resumed);
    [[nodiscard]] int drain();
    [[nodiscard]] int begin_next();

    [[nodiscard]] std::vector<std::string> run_arguments() const;
    [[nodiscard]] std::string log_path() const;
    void show_log(std::size_t from);
    // Who answers at a takeover_socket; 0: nobody.
    [[nodiscard]] int serving_at(const std::string& path) const;
    // True once it is so; false: the time is over, or `child` ended before (its code is said).
    [[nodiscard]] bool wait_for(unsigned seconds, int child, const std::function<bool()>& is_so);

    const config::sources& from_;
    const deploy_request& request_;
    const std::string program_version_;
    std::ostream& out_;
    std::ostream& err_;
    config::load_result loaded_;
    std::string state_path_;
    std::unique_ptr<serving_lock> lock_;
    ops::deployment d_;
};

}  // namespace pgsidecar::io
