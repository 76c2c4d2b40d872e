// The files that a configuration is made of, as far as they have to be read or looked for. Nothing
// here knows what they hold. Never throws for what the disk says.
#pragma once
#include <map>
#include <optional>
#include <string>

#include "config/environment.h"

namespace pgsidecar::config {

struct file_text {
    std::string text{};  // one byte more than max_file_size when there is more than that
    std::string why{};   // it cannot be read; empty = it was
};
[[nodiscard]] file_text read_file(const std::string& path);

// The overlay of `where` beside `main_file`, whatever the case of its letters.
struct overlay_file {
    std::string path{};  // empty = there is none
    std::string why{};   // it is an error that there is none, or more than one
    std::string note{};  // what to say about it otherwise
};
[[nodiscard]] overlay_file find_overlay(const std::string& main_file, const environment& where);

// Files as they were when they were asked for first.
struct file_memory {
    std::map<std::string, file_text> texts{};
    std::optional<overlay_file> overlay{};
};
[[nodiscard]] const file_text& read_file(const std::string& path, file_memory& memory);
[[nodiscard]] const overlay_file& find_overlay(const std::string& main_file,
                                               const environment& where, file_memory& memory);

// `path` as the file `from` means it: relative to that file's folder.
[[nodiscard]] std::string path_beside(const std::string& from, const std::string& path);

}  // namespace pgsidecar::config
