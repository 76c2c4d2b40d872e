#include "config/json_tree.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <exception>
#include <string>
#include <unordered_map>
#include <utility>

#include "config/load.h"
#include "protocol/ascii.h"
#include "protocol/utf8.h"

namespace pgsidecar::config {
namespace {

namespace json = boost::json;

constexpr std::size_t max_reports = 20;

// Events in, tree out. The parser is given one line at a time: it does not say where it is, and no
// key or value goes over the end of a line.
class json_builder {
  public:
    // Names that the parser asks for. The tree has its own bounds.
    static constexpr std::size_t max_object_size = max_file_size;
    static constexpr std::size_t max_array_size = max_file_size;
    static constexpr std::size_t max_key_size = 4096;  // bytes; messages are made of keys
    static constexpr std::size_t max_string_size = max_file_size;

    node root;
    std::vector<text_problem> problems;
    std::string refused;  // why the parser was told to stop
    int line = 1;         // of what is being fed

    static bool on_document_begin(json::error_code&) { return true; }
    static bool on_document_end(json::error_code&) { return true; }
    bool on_object_begin(json::error_code& e) { return open(node_kind::map, e); }
    bool on_array_begin(json::error_code& e) { return open(node_kind::sequence, e); }
    bool on_object_end(std::size_t, json::error_code&) { return close(); }
    bool on_array_end(std::size_t, json::error_code&) { return close(); }
    bool on_key_part(json::string_view part, std::size_t, json::error_code&) { return keep(part); }
    bool on_key(json::string_view part, std::size_t, json::error_code& e) {
        keep(part);
        return key(std::exchange(text_, {}), e);
    }
    bool on_string_part(json::string_view part, std::size_t, json::error_code&) {
        return keep(part);
    }
    bool on_string(json::string_view part, std::size_t, json::error_code& e) {
        keep(part);
        return add(node_kind::scalar, e) != nullptr;
    }
    bool on_number_part(json::string_view part, json::error_code&) { return keep(part); }
    bool on_int64(std::int64_t, json::string_view part, json::error_code& e) {
        return on_string(part, 0, e);
    }
    bool on_uint64(std::uint64_t, json::string_view part, json::error_code& e) {
        return on_string(part, 0, e);
    }
    bool on_double(double, json::string_view part, json::error_code& e) {
        return on_string(part, 0, e);
    }
    bool on_bool(bool value, json::error_code& e) {
        return on_string(value ? "true" : "false", 0, e);
    }
    bool on_null(json::error_code& e) { return add(node_kind::null, e) != nullptr; }
    static bool on_comment_part(json::string_view, json::error_code&) { return true; }
    static bool on_comment(json::string_view, json::error_code&) { return true; }

  private:
    struct open_node {
        node* at;
        std::unordered_map<std::string, int> keys;  // in lower case, with their lines
    };

    bool keep(json::string_view part) {
        text_.append(part.data(), part.size());
        return true;
    }
    bool refuse(const char* why, json::error_code& e) {
        refused = why;
        e = json::error::exception;
        return false;
    }
    // Pointers in open_ stay good: a collection grows only while it is the innermost one.
    node* add(node_kind kind, json::error_code& e) {
        if (++nodes_ > max_nodes) return refuse("holds too many values", e), nullptr;
        node fresh{kind, line, 0, std::exchange(text_, {}), {}, {}};
        if (open_.empty()) return &(root = std::move(fresh));
        return &open_.back().at->items.emplace_back(std::move(fresh));
    }
    bool open(node_kind kind, json::error_code& e) {
        node* const fresh = add(kind, e);
        if (fresh == nullptr) return false;
        open_.push_back({fresh, {}});
        return true;
    }
    bool close() {
        open_.pop_back();
        return true;
    }
    bool key(std::string name, json::error_code& e) {
        if (++nodes_ > max_nodes) return refuse("holds too many values", e);
        auto& [at, keys] = open_.back();
        const auto [first, fresh] = keys.emplace(protocol::lower_case(name), line);
        if (!fresh && problems.size() < max_reports) {
            problems.push_back(
                {line, 0, path(name),
                 "is given twice; the first is in line " + std::to_string(first->second)});
        }
        at->keys.push_back({node_kind::scalar, line, 0, std::move(name), {}, {}});
        return true;
    }

    // Of a key in the innermost map, for a message.
    [[nodiscard]] std::string path(const std::string& name) const {
        std::string out;
        for (std::size_t i = 0; i + 1 < open_.size(); ++i) {
            if (!open_[i].at->keys.empty()) out.append(open_[i].at->keys.back().text).append(".");
        }
        return out.append(name);
    }

    std::vector<open_node> open_;
    std::string text_;  // of a key or scalar that came in parts
    std::size_t nodes_ = 0;
};

// Also in comments, which the parser passes over: what is no text is no settings file.
std::vector<text_problem> bad_text(std::string_view text) {
    if (auto whole = unreadable(text); !whole.empty()) return whole;
    int line = 1;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t length = protocol::utf8_length(text, at);
        if (length == 0) return {{line, 0, {}, "is not UTF-8"}};
        if (text[at] == '\n') ++line;
        at += length;
    }
    return {};
}

std::string syntax(const json::error_code& error) {
    if (error == json::error::too_deep) return "is nested too deeply";
    if (error == json::error::incomplete) return "is not valid JSON: it ends too early";
    if (error == json::error::extra_data) return "is not valid JSON: something follows its end";
    return "is not valid JSON: " + error.message();
}

}  // namespace

tree_result read_json(std::string_view text) {
    tree_result out;
    out.problems = bad_text(text);
    if (!out.problems.empty()) return out;
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
    json::parse_options options;
    options.allow_comments = true;
    options.allow_trailing_commas = true;
    options.max_depth = max_json_depth;
    json::basic_parser<json_builder> parser{options};
    json_builder& build = parser.handler();
    json::error_code error;
    try {
        while (!error && !text.empty()) {
            const std::size_t length = std::min(text.find('\n'), text.size() - 1) + 1;
            const bool more = length < text.size();
            // The parser finds its way back through what is open for each piece that it is given.
            const bool blank =
                text.substr(0, length).find_first_not_of(" \t\r\n") == std::string_view::npos;
            const std::size_t taken =
                more && blank ? length : parser.write_some(more, text.data(), length, error);
            if (!error && taken < length) error = json::error::extra_data;
            if (!error && more) ++build.line;
            text.remove_prefix(length);
        }
        if (!error && !parser.done()) error = json::error::incomplete;
    } catch (const std::exception& e) {
        build.problems.push_back({build.line, 0, {}, std::string{"cannot be read: "} + e.what()});
    }
    if (error) {
        const bool ours = !build.refused.empty();
        build.problems.push_back({build.line, 0, {}, ours ? build.refused : syntax(error)});
    }
    out.root = std::move(build.root);
    out.problems = std::move(build.problems);
    return out;
}

}  // namespace pgsidecar::config
