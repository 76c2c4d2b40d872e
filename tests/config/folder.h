// A folder of files that a test writes; gone with the object.
#pragma once
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "tests/config/support.h"

namespace pgsidecar::config {

class folder {
  public:
    folder() {
        static int made = 0;
        path_ = std::filesystem::temp_directory_path() /
                ("pgsidecar_config_" + std::to_string(::getpid()) + "_" + std::to_string(++made));
        std::filesystem::create_directories(path_);
    }
    ~folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    folder(const folder&) = delete;
    folder& operator=(const folder&) = delete;

    void write(const std::string& name, std::string_view text) const {
        std::filesystem::create_directories((path_ / name).parent_path());
        std::ofstream{path_ / name, std::ios::binary} << text;
    }
    [[nodiscard]] std::string at(const std::string& name) const { return (path_ / name).string(); }

    // The folder's own name is left out of what is shown.
    [[nodiscard]] std::string without_path(std::string text) const {
        const std::string prefix = path_.string() + "/";
        for (std::size_t at = 0; (at = text.find(prefix, at)) != std::string::npos;) {
            text.erase(at, prefix.size());
        }
        return text;
    }
    [[nodiscard]] lines shown(const std::vector<problem>& problems) const {
        lines out;
        for (const problem& p : problems) out.push_back(without_path(to_string(p)));
        return out;
    }

  private:
    std::filesystem::path path_;
};

}  // namespace pgsidecar::config
