// Users and their secrets from a file in the format of PgBouncer's auth_file (userlist.txt):
//
//     "user" "secret" what follows is ignored
//
// A quote inside quotes is written twice. Empty lines and lines that begin with ';' or '#' are
// skipped. A secret is a plain password, "md5" and 32 hex digits, or the SCRAM verifier that
// pg_authid holds; an empty one lets nobody in. Names and secrets are bytes, in whatever encoding.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "config/tree.h"

namespace pgsidecar::config {

inline constexpr std::size_t max_auth_file_size = 64u << 20;  // bytes
inline constexpr int max_auth_file_lines = 1'000'000;
inline constexpr std::size_t max_name_size = 63;              // bytes, NAMEDATALEN - 1
inline constexpr unsigned max_scram_iterations = 10'000'000;  // a log-in must end some day

struct auth_user {
    std::string name;
    std::string secret;
};

struct auth_file_result {
    std::vector<auth_user> users;        // sorted by name, bytewise; empty when there are problems
    std::vector<text_problem> problems;  // by line, the first 20; none shows any part of a line

    // Null for a user that the file does not have. The pointer lives as long as `users`.
    [[nodiscard]] const auth_user* find(std::string_view name) const noexcept;
};

// Never throws for what the text holds.
[[nodiscard]] auth_file_result read_auth_file(std::string_view text);

}  // namespace pgsidecar::config
