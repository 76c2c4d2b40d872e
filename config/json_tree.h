// JSON as the tree that config/tree.h describes, so that the layers above know one form only.
// json_tree.cpp is the only file of this room that names Boost.JSON. As .NET has it: comments and
// trailing commas are allowed, every scalar is a text whatever its type, and two keys of one object
// that differ in case alone are the same key.
#pragma once
#include <string_view>

#include "config/tree.h"

namespace pgsidecar::config {

inline constexpr int max_json_depth = 64;  // what System.Text.Json follows

// Never throws for what the text holds, and works in time and memory that its length bounds.
[[nodiscard]] tree_result read_json(std::string_view text);

}  // namespace pgsidecar::config
