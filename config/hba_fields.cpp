#include "config/hba_fields.h"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace pgsidecar::config {
namespace {

constexpr std::string_view blanks = " \t";
constexpr std::string_view ends_of_word = " \t,#";

bool is_control(char c) noexcept {
    return (static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f;
}

// A backslash at the end continues whatever it ends: words, quotes, comments.
bool next_joined(text_lines& in, std::string& out, int& first) {
    out.clear();
    std::string_view line;
    if (!in.next(line)) return false;
    first = in.number();
    out = line;
    while (line.ends_with('\\')) {
        out.pop_back();
        if (!in.next(line)) break;
        out += line;
    }
    return true;
}

// Reads the word that begins at `at` and leaves `at` behind it. Returns the reason if there is
// none.
std::string read_word(std::string_view text, std::size_t& at, hba_word& out) {
    constexpr const char* inside = "a quote inside a word; quotes stand around all of it";
    out.quoted = text[at] == '"';
    if (!out.quoted) {
        const std::size_t end = std::min(text.find_first_of(ends_of_word, at), text.size());
        out.text = text.substr(at, end - at);
        at = end;
        return out.text.find('"') == std::string::npos ? std::string{} : inside;
    }
    for (++at; at < text.size(); ++at) {
        if (text[at] == '"') {
            if (!text.substr(at + 1).starts_with('"')) break;
            ++at;
        }
        out.text += text[at];
    }
    if (at == text.size()) return "a quote that is not closed in its line";
    ++at;
    const bool ended = at == text.size() || ends_of_word.find(text[at]) != std::string_view::npos;
    return ended ? std::string{} : inside;
}

std::string split(std::string_view text, std::vector<hba_field>& out) {
    if (std::ranges::any_of(text, is_control)) return "a control character";
    bool joined = false;  // a comma awaits its next value
    for (std::size_t at = 0;;) {
        at = std::min(text.find_first_not_of(blanks, at), text.size());
        if (at == text.size() || text[at] == '#') break;
        if (text[at] == ',') return "a comma that does not follow a value";
        hba_word word;
        std::string reason = read_word(text, at, word);
        if (!reason.empty()) return reason;
        if (!joined) out.emplace_back();
        out.back().push_back(std::move(word));
        joined = at < text.size() && text[at] == ',';
        if (joined) ++at;
    }
    return joined ? "a comma without a value behind it" : std::string{};
}

}  // namespace

bool next_hba_line(text_lines& in, hba_line& out) {
    for (std::string text; next_joined(in, text, out.number);) {
        out.fields.clear();
        out.problem = split(text, out.fields);
        if (!out.problem.empty() || !out.fields.empty()) return true;
    }
    return false;
}

}  // namespace pgsidecar::config
