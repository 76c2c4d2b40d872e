// The connection strings that lie in an application's own files, with the place of each byte: what
// is changed in one changes nothing else of the file. One reader for each kind of file:
// appsettings_text.cpp (JSON as .NET reads it), web_config_text.cpp (XML), environment_text.cpp
// (NAME=value). `at` of a string says where in the file each of its bytes begins, so an escape or
// an entity that stands beside host and port keeps its spelling.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/tree.h"
#include "proxy/ops/connection_string.h"

namespace pgsidecar::ops {

inline constexpr std::size_t max_settings_size = 1U << 20;  // bytes of such a file

enum class settings_kind : std::uint8_t { json, xml, environment };

struct named_string {
    std::string name;             // "DefaultConnection"
    std::string shown;            // as the file calls it: "ConnectionStrings__DefaultConnection"
    std::string value;            // decoded
    std::vector<std::size_t> at;  // value.size() + 1 places in the file
    int line = 0;
    std::string other_driver{};  // what the file says that makes it none of PostgreSQL
};

struct named_strings {
    std::vector<named_string> found;             // in their order
    std::vector<config::text_problem> problems;  // then nothing in it may be changed
};

// By the file's name, or else by how the text begins.
[[nodiscard]] settings_kind kind_of_settings(std::string_view file_name, std::string_view text);

// Never throws for what the text holds; problems show none of its values.
[[nodiscard]] named_strings read_settings(std::string_view text, settings_kind kind);
[[nodiscard]] named_strings read_appsettings_strings(std::string_view text);
[[nodiscard]] named_strings read_web_config_strings(std::string_view text);
[[nodiscard]] named_strings read_environment_strings(std::string_view text);

// The name of a connection string that an environment variable holds; empty when it holds none.
[[nodiscard]] std::string connection_string_variable(std::string_view variable);

// Without a name the only one of PostgreSQL that there is.
struct chosen_string {
    const named_string* which = nullptr;
    std::string problem;
};
[[nodiscard]] chosen_string choose_string(std::span<const named_string> among,
                                          std::string_view name);

// The file with the edits of one of its strings.
[[nodiscard]] std::string with_edits(std::string_view file, const named_string& which,
                                     std::span<const text_edit> edits);

[[nodiscard]] int line_at(std::string_view text, std::size_t at);

// A character, of at most 0x10ffff, as UTF-8: what an escape or an entity stands for.
void append_utf8(std::string& out, std::uint32_t c);

}  // namespace pgsidecar::ops
