// SIGINT and SIGTERM for a command that has something to finish first: the first one is remembered,
// and the command asks for it; the second ends the program as ever. One object at a time. A signal
// that was ignored when the program began stays so.
#pragma once
#include <array>

namespace pgsidecar::io {

class interruption {
  public:
    interruption() noexcept;
    ~interruption();
    interruption(const interruption&) = delete;
    interruption& operator=(const interruption&) = delete;

    // Has one come since? Any thread.
    [[nodiscard]] static bool came() noexcept;

  private:
    using handler = void (*)(int);
    std::array<handler, 2> before_{};
};

}  // namespace pgsidecar::io
