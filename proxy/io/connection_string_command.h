// The command line of `pgsidecar connection-string`. Built before the arguments are parsed, asked
// after it. It needs no configuration: the file that it works on is the application's.
#pragma once
#include <string>
#include <vector>

#include "proxy/io/connection_string.h"

namespace CLI {
class App;
}

namespace pgsidecar::io {

class connection_string_command {
  public:
    explicit connection_string_command(CLI::App& program);
    connection_string_command(const connection_string_command&) =
        delete;  // the parser writes into request_
    connection_string_command& operator=(const connection_string_command&) = delete;

    [[nodiscard]] bool chosen() const;
    [[nodiscard]] int run(char** environment) const;  // the exit code

  private:
    CLI::App* command_;
    connection_string_request request_;
};

}  // namespace pgsidecar::io
