// The text of a configuration as a tree that remembers where everything stood. tree.cpp is the only
// file that names yaml-cpp. What a configuration has no use for is refused here, so that the layers
// above meet plain values only: anchors, aliases, tags, second documents, deep nesting, keys that
// are not names, keys given twice.
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace pgsidecar::config {

inline constexpr int max_depth = 16;
inline constexpr std::size_t max_nodes = 100'000;

enum class node_kind { null, scalar, sequence, map };

struct node {
    node_kind kind = node_kind::null;
    int line = 0;  // from 1
    int column = 0;
    std::string text;         // scalar
    std::vector<node> items;  // sequence; map: the values, in step with keys
    std::vector<node> keys;   // map: scalars
    std::string alias{};      // of a key that stands for another one: how its file calls it
};

struct text_problem {
    int line = 0;
    int column = 0;
    std::string key;  // for a key given twice, its path; else empty
    std::string reason;
};

struct tree_result {
    node root;  // complete only when there are no problems
    std::vector<text_problem> problems;
};

// Never throws for what the text holds. An empty text is an empty map.
[[nodiscard]] tree_result read_tree(std::string_view text);

// Of any settings file: too large, or UTF-16. Empty: neither.
[[nodiscard]] std::vector<text_problem> unreadable(std::string_view text);

// What is looked at before yaml-cpp sees the text: size, encoding, control characters, tabs, and
// nesting, which yaml-cpp would follow with memory and stack.
[[nodiscard]] std::vector<text_problem> prescan(std::string_view text);

}  // namespace pgsidecar::config
