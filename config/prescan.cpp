#include <cstddef>
#include <cstdint>

#include "config/load.h"
#include "config/text_lines.h"
#include "config/tree.h"
#include "protocol/utf8.h"

namespace pgsidecar::config {
namespace {

constexpr std::size_t max_reports = 20;

class scan {
  public:
    explicit scan(std::string_view text) : text_{text} {}

    std::vector<text_problem> run() {
        problems_ = unreadable(text_);
        if (problems_.empty()) lines();
        return std::move(problems_);
    }

  private:
    void add(int line, std::size_t column, std::string reason) {
        if (problems_.size() < max_reports) {
            problems_.push_back({line, static_cast<int>(column), {}, std::move(reason)});
        }
    }

    void lines() {
        text_lines in{text_};
        for (std::string_view one; problems_.size() < max_reports && in.next(one);) {
            indentation(one, in.number());
            if (!characters(one, in.number())) return;
        }
    }

    void indentation(std::string_view one, int line) {
        const std::size_t content = one.find_first_not_of(" \t");
        if (content == std::string_view::npos || one[content] == '#') return;
        const std::size_t tab = one.substr(0, content).find('\t');
        if (tab != std::string_view::npos) {
            add(line, tab + 1, "a tab in the indentation; YAML takes spaces only");
        }
    }

    // False when the text as a whole is refused. Brackets are counted wherever they stand, quotes
    // and comments included: a count that knew more could be led astray.
    bool characters(std::string_view one, int line) {
        for (std::size_t at = 0; at < one.size();) {
            const char c = one[at];
            const std::size_t length = protocol::utf8_length(one, at);
            const auto byte = static_cast<unsigned char>(c);
            if (length == 0) return add(line, at + 1, "is not UTF-8"), false;
            if ((byte < 0x20 && c != '\t') || byte == 0x7f) {
                return add(line, at + 1, "holds a control character"), false;
            }
            if (c == '[' || c == '{') ++open_;
            if ((c == ']' || c == '}') && open_ > 0) --open_;
            if (open_ > max_open) return add(line, at + 1, "is nested too deeply"), false;
            if (c == '[' || c == '{' || c == ',') ++separators_;
            if (separators_ > max_nodes) return add(line, at + 1, "holds too many values"), false;
            at += length;
        }
        return true;
    }

    static constexpr int max_open = 64;  // more than max_depth: a comment may hold a few, unpaired

    std::string_view text_;
    int open_ = 0;
    std::size_t separators_ = 0;
    std::vector<text_problem> problems_;
};

}  // namespace

std::vector<text_problem> unreadable(std::string_view text) {
    if (text.size() > max_file_size) return {{0, 0, {}, "is larger than 1MB"}};
    if (text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff")) {
        return {{1, 1, {}, "is UTF-16; save the file as UTF-8"}};
    }
    return {};
}

std::vector<text_problem> prescan(std::string_view text) { return scan{text}.run(); }

}  // namespace pgsidecar::config
