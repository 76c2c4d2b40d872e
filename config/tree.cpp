#include "config/tree.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <cassert>
#include <exception>
#include <sstream>
#include <unordered_map>
#include <utility>

#include "config/values.h"

namespace pgsidecar::config {
namespace {

// Thrown by the builder through yaml-cpp when it makes no sense to read on.
struct refusal {
    text_problem what;
};

text_problem at(const YAML::Mark& mark, std::string reason) {
    if (mark.is_null()) return {0, 0, {}, std::move(reason)};
    return {mark.line + 1, mark.column + 1, {}, std::move(reason)};
}

// Events in, tree out. open_ is the path from the root to the collection being filled; a map in
// which a key waits for its value has one key more than it has items.
class builder final : public YAML::EventHandler {
  public:
    explicit builder(std::string_view text) : text_{text} {
        lines_.push_back(0);
        for (std::size_t i = 0; i < text.size(); ++i) {
            if (text[i] == '\n') lines_.push_back(i + 1);
        }
    }

    node root;
    std::vector<text_problem> problems;

    void OnDocumentStart(const YAML::Mark& mark) override {
        if (documents_++ > 0)
            throw refusal{at(mark, "a second document; one file is one document")};
    }
    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t) override { add(mark, node_kind::null, {}); }

    void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
        complain(mark, "an alias (*); write the value out");
        add(mark, node_kind::scalar, {});
    }
    void OnAnchor(const YAML::Mark& mark, const std::string&) override {
        complain(mark, "an anchor (&); write the value where it is needed");
    }

    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                  const std::string& value) override {
        no_tag(mark, tag);
        closed_quote(mark);
        add(mark, node_kind::scalar, value);
    }
    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                         YAML::EmitterStyle::value) override {
        no_tag(mark, tag);
        open_.push_back(&add(mark, node_kind::sequence, {}));
    }
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                    YAML::EmitterStyle::value) override {
        no_tag(mark, tag);
        open_.push_back(&add(mark, node_kind::map, {}));
    }
    void OnSequenceEnd() override { close(); }
    void OnMapEnd() override { close(); }

  private:
    void complain(const YAML::Mark& mark, std::string reason) {
        if (problems.size() >= 20) throw refusal{at(mark, std::move(reason))};
        problems.push_back(at(mark, std::move(reason)));
    }

    void no_tag(const YAML::Mark& mark, const std::string& tag) {
        // yaml-cpp's own marks for "plain" and "quoted"
        if (!tag.empty() && tag != "?" && tag != "!") {
            complain(mark, "a tag (!); values are read by their key");
        }
    }

    // yaml-cpp takes the end of the text for the end of a quote, so that one forgotten quote would
    // swallow every key after it in silence. No value here needs a quote over several lines.
    void closed_quote(const YAML::Mark& mark) {
        const auto line = static_cast<std::size_t>(mark.line);
        if (line >= lines_.size()) return;
        std::string_view rest = text_.substr(lines_[line]);
        rest = rest.substr(0, rest.find('\n'));
        const auto column = static_cast<std::size_t>(mark.column);
        if (column >= rest.size() || (rest[column] != '"' && rest[column] != '\'')) return;
        const char quote = rest[column];
        for (std::size_t i = column + 1; i < rest.size(); ++i) {
            const bool escaped = quote == '"' && rest[i] == '\\';
            const bool doubled = quote == '\'' && rest.substr(i).starts_with("''");
            if (escaped || doubled) {
                ++i;
            } else if (rest[i] == quote) {
                return;
            }
        }
        complain(mark, "a quote that is not closed in its line");
    }

    void close() {
        assert(!open_.empty());
        open_.pop_back();
    }

    // Pointers in open_ stay good: a collection grows only while it is the innermost one.
    node& add(const YAML::Mark& mark, node_kind kind, const std::string& text) {
        if (open_.size() >= static_cast<std::size_t>(max_depth)) {
            throw refusal{at(mark, "is nested too deeply")};
        }
        if (++nodes_ > max_nodes) throw refusal{at(mark, "holds too many values")};
        node fresh{kind, mark.line + 1, mark.column + 1, text, {}, {}};
        if (open_.empty()) return root = std::move(fresh);
        node& parent = *open_.back();
        if (parent.kind == node_kind::map && parent.keys.size() == parent.items.size()) {
            if (kind == node_kind::sequence || kind == node_kind::map) {
                // also what yaml-cpp makes of a bracket that is never closed
                throw refusal{at(mark, "a key must be a name; is a bracket not closed?")};
            }
            if (text.empty() || text.size() > max_key) {
                throw refusal{at(mark, "a key must be a name")};
            }
            return parent.keys.emplace_back(std::move(fresh));
        }
        return parent.items.emplace_back(std::move(fresh));
    }

    static constexpr std::size_t max_key = 100;  // bytes; paths are made of keys

    std::string_view text_;
    std::vector<std::size_t> lines_;  // where each line begins
    std::vector<node*> open_;
    std::size_t nodes_ = 0;
    int documents_ = 0;
};

// yaml-cpp keeps both values of a key given twice and says nothing.
void find_duplicates(const node& n, const std::string& path, std::vector<text_problem>& out) {
    std::unordered_map<std::string_view, int> seen;
    for (std::size_t i = 0; i < n.items.size(); ++i) {
        if (n.kind == node_kind::sequence) {
            find_duplicates(n.items[i], path + '[' + std::to_string(i) + ']', out);
            continue;
        }
        const node& key = n.keys[i];
        const std::string full = path.empty() ? key.text : path + '.' + key.text;
        const auto [first, fresh] = seen.emplace(key.text, key.line);
        if (!fresh) {
            out.push_back(
                {key.line, key.column, full,
                 "is given twice; the first is in line " + std::to_string(first->second)});
        }
        find_duplicates(n.items[i], full, out);
    }
}

}  // namespace

tree_result read_tree(std::string_view text) {
    tree_result out;
    out.problems = prescan(text);
    if (!out.problems.empty()) return out;
    // Without the mark of some editors, yaml-cpp's columns are offsets into the line.
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
    builder build{text};
    try {
        std::istringstream in{std::string{text}};
        YAML::Parser parser{in};
        while (parser.HandleNextDocument(build)) {
        }
        find_duplicates(build.root, {}, build.problems);
    } catch (const refusal& r) {
        build.problems.push_back(r.what);
    } catch (const YAML::Exception& e) {
        build.problems.push_back(at(e.mark, "is not valid YAML: " + e.msg));
    } catch (const std::exception& e) {
        build.problems.push_back({0, 0, {}, std::string{"cannot be read: "} + e.what()});
    }
    out.root = std::move(build.root);
    if (out.root.kind == node_kind::null) out.root.kind = node_kind::map;
    out.problems = std::move(build.problems);
    return out;
}

}  // namespace pgsidecar::config
