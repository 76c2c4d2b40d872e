// Where this program lies, and what a path means when it is looked at from here. UTF-8.
#pragma once
#include <string>

namespace pgsidecar::io {

[[nodiscard]] std::string program_path();
[[nodiscard]] std::string absolute_path(const std::string& path);
// The folder that relative names are of from here on. False: it is not there.
[[nodiscard]] bool work_in_folder_of(const std::string& file);

}  // namespace pgsidecar::io
