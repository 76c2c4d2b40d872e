// Files that are there whole or not at all, whenever the program or the machine ends: written
// beside their place, brought to the disk, then renamed. Mode and owner are those of another file
// (`like`), and until they are the bytes can be read by nobody else. What the system is asked for
// is in these few functions alone. Each string that is returned says why it was not done; empty =
// it was.
#pragma once
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

namespace pgsidecar::io {

struct whole_file {
    std::string bytes{};
    std::string why{};     // it cannot be read, or is larger than it may be
    bool missing = false;  // `why`, because there is none
};
[[nodiscard]] whole_file read_whole(const std::filesystem::path& path, std::size_t at_most);

// An empty `like`: only the user may read it.
[[nodiscard]] std::string replace_file(const std::filesystem::path& path, std::string_view bytes,
                                       const std::filesystem::path& like);

// The same, and what is at that path already stays: then it was not done.
[[nodiscard]] std::string write_new_file(const std::filesystem::path& path, std::string_view bytes,
                                         const std::filesystem::path& like);

// No error when there is none.
[[nodiscard]] std::string remove_file(const std::filesystem::path& path);

// Hexadecimal digits.
[[nodiscard]] std::string sha256_hex(std::string_view bytes);

}  // namespace pgsidecar::io
