// The arguments of the program as UTF-8, whatever the system has them in. Lives in main() for as
// long as its words are looked at.
#pragma once
#include <string>
#include <vector>

namespace pgsidecar::io {

class command_line {
  public:
    command_line(int argc, char** argv);
    command_line(const command_line&) = delete;
    command_line& operator=(const command_line&) = delete;

    [[nodiscard]] int count() const noexcept { return static_cast<int>(words_.size()); }
    [[nodiscard]] const char* const* words() const noexcept { return words_.data(); }

  private:
    std::vector<std::string> owned_;
    std::vector<const char*> words_;
};

}  // namespace pgsidecar::io
