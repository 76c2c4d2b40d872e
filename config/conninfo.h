// libpq connection strings, as far as a configuration must understand them: is it one, and how may
// it be shown. Both forms of libpq's manual: "user=x dbname=y" and "postgresql://x@host/y".
#pragma once
#include <string>
#include <string_view>

namespace pgsidecar::config {

// Empty when libpq could split the text into options, else the reason. The reason holds no part of
// a value. Whether libpq knows the options is left to libpq.
[[nodiscard]] std::string check_conninfo(std::string_view text);

// The same text with every password replaced by asterisks. In doubt it hides too much: a text that
// cannot be split is hidden whole.
[[nodiscard]] std::string redact_conninfo(std::string_view text);

}  // namespace pgsidecar::config
