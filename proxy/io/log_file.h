// A file that lines are appended to, and that may be taken away while it is open: whoever renames
// or removes it (logrotate, an administrator) gets a fresh one in its place within a second or at
// the next line after that. One thread at a time. In posix/ and windows/.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace pgsidecar::io {

class log_file {
  public:
    explicit log_file(std::string path);  // throws std::runtime_error
    ~log_file();
    log_file(const log_file&) = delete;
    log_file& operator=(const log_file&) = delete;

    void append(std::string_view lines) noexcept;

  private:
    [[nodiscard]] bool open() noexcept;
    void close() noexcept;
    // The path names another file than the one that is open, or none.
    [[nodiscard]] bool replaced() const noexcept;
    void look(std::chrono::steady_clock::time_point now) noexcept;

    static constexpr std::intptr_t none = -1;
    const std::string path_;
    std::intptr_t file_ = none;  // a descriptor, or a HANDLE
    std::chrono::steady_clock::time_point looked_{};
};

}  // namespace pgsidecar::io
