// The program's log: spdlog behind functions that take text which holds no statement, parameter or
// row. Control characters from outside (names, server messages) are escaped: one line a thing.
#pragma once
#include <string>
#include <string_view>

#include "config/settings.h"

namespace pgsidecar::io {

// Throws std::runtime_error when the file cannot be opened.
void open_log(const config::log_settings& wanted);

// From any thread.
void set_log_level(config::log_level wanted);

void log_debug(std::string_view line);
void log_info(std::string_view line);
void log_warning(std::string_view line);
void log_error(std::string_view line);

}  // namespace pgsidecar::io
