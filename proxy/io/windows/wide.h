// Text between the program, which is UTF-8, and Windows, which is UTF-16. What is not valid becomes
// the replacement character; nothing is lost in silence to a code page.
#pragma once
#include <string>
#include <string_view>

namespace pgsidecar::io {

[[nodiscard]] std::wstring widen(std::string_view text);
[[nodiscard]] std::string narrow(std::wstring_view text);

// What Windows says of an error of its own, with its number.
[[nodiscard]] std::string windows_error(unsigned long code);

}  // namespace pgsidecar::io
