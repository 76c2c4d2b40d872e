// Who may log in, where the proxy itself asks for passwords (auth_type): the HBA rules, the users
// of auth_file, and for those that it does not name auth_query. The files are read once, when the
// program starts. Called from any thread.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/auth_file.h"
#include "config/hba_file.h"
#include "config/settings.h"
#include "proxy/core/authenticator.h"
#include "proxy/io/stored_secrets.h"

namespace pgsidecar::io {

class users {
  public:
    struct question {
        std::string user, database;
        bool encrypted = false;
        config::ip_address client{};
    };
    // Without a log-in: nobody could be asked. The caller adds what is random and the binding.
    using handler = std::function<void(core::auth_method, std::optional<core::client_login>)>;

    // Throws std::runtime_error: a file that cannot be read or is not valid, with its line.
    users(const config::settings& settings, stored_secrets& secrets);
    // `done` comes at once, or from another thread.
    void look_up(question q, handler done);
    // Of the admin console, which asks for passwords also with auth_type relay.
    void look_up_for_console(question q, handler done);
    // What is wrong with the files that the settings name, one a line; empty: nothing.
    [[nodiscard]] static std::string problems(const config::settings& settings);

  private:
    [[nodiscard]] core::auth_method method_for(const question& q) const;
    void look_up_by(core::auth_method method, std::string user, handler done);
    [[nodiscard]] core::client_login login_of(std::string user) const;

    const config::settings& settings_;
    stored_secrets& secrets_;
    config::auth_file_result known_;
    std::vector<std::string> scram_;  // of plain passwords, by their place among the users
    config::hba_rules rules_;
    std::string mock_seed_;
};

}  // namespace pgsidecar::io
