// What drivers say of their own accord: when they connect, when a connection goes back to their
// pool, to see whether it is alive. It has no meaning at the console and must not fail there. Each
// function takes words only if it answers.
#pragma once
#include <optional>
#include <string_view>

#include "proxy/ops/console_command.h"
#include "proxy/ops/console_text.h"

namespace pgsidecar::ops {

// A whole command: BEGIN, DISCARD ALL, SELECT 1 ...
[[nodiscard]] std::optional<console_command> read_chatter(const word_reader& in);
// Behind SET: a setting of the server's.
[[nodiscard]] std::optional<console_command> read_ignored_set(const word_reader& in);
// Behind SHOW, likewise.
[[nodiscard]] std::optional<console_command> read_parameter(const word_reader& in);

// The version that the console says it has, for drivers choose their words by it.
inline constexpr std::string_view spoken_version = "15.0";

}  // namespace pgsidecar::ops
