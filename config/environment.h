// Which environment the program runs in, and the file that belongs to it: beside pgsidecar.yaml the
// overlay pgsidecar.<Environment>.yaml. Nothing here reads the process's variables or a disk:
// proxy/main.cpp hands in what the variables say.
#pragma once
#include <span>
#include <string>
#include <string_view>

namespace pgsidecar::config {

struct environment {
    std::string name{};      // as its variable has it; empty = none
    std::string variable{};  // the variable that said so, for messages
};

// PGSIDECAR_ENVIRONMENT if it says something, else ASPNETCORE_ENVIRONMENT; null = not set.
[[nodiscard]] environment choose_environment(const char* pgsidecar, const char* aspnetcore);

[[nodiscard]] std::span<const std::string_view> known_environments() noexcept;

// The known name that `name` is in some case, or empty.
[[nodiscard]] std::string_view known_environment(std::string_view name) noexcept;

// Why `name` can be no part of a file's name; empty when it can: 1 to 64 letters, digits, - and _.
[[nodiscard]] std::string bad_environment(std::string_view name);

// "pgsidecar.yaml" and "Test" make "pgsidecar.Test.yaml"; neither has a folder.
[[nodiscard]] std::string overlay_name(std::string_view file, std::string_view name);

// "Development, Test, ...", for messages.
[[nodiscard]] std::string environment_list();

}  // namespace pgsidecar::config
