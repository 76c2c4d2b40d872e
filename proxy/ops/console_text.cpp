#include "proxy/ops/console_text.h"

#include "protocol/ascii.h"

namespace pgsidecar::ops {
namespace {

using protocol::ascii_lower;

bool is_space(char c) noexcept { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool is_word(char c) noexcept {
    const auto lower = ascii_lower(c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.' || c == '$' || static_cast<unsigned char>(c) >= 0x80;
}

// Behind the comment that begins there; the same place if none does. One that does not end goes to
// the end of the text.
std::size_t behind_comment(std::string_view text, std::size_t at) noexcept {
    const auto two = text.substr(at, 2);
    if (two == "--") {
        const auto end = text.find('\n', at);
        return end == std::string_view::npos ? text.size() : end + 1;
    }
    if (two != "/*") return at;
    std::size_t depth = 0;
    while (at < text.size()) {
        const auto here = text.substr(at, 2);
        if (here == "/*") {
            ++depth, at += 2;
        } else if (here == "*/") {
            at += 2;
            if (--depth == 0) return at;
        } else {
            ++at;
        }
    }
    return text.size();
}

// Behind what is quoted from there on: '', "" or $tag$.
std::size_t behind_quotes(std::string_view text, std::size_t at) noexcept {
    const char c = text[at];
    if (c == '\'' || c == '"') {
        const auto end = text.find(c, at + 1);  // a doubled one begins the next part
        return end == std::string_view::npos ? text.size() : end + 1;
    }
    if (c != '$') return at;
    auto end = at + 1;
    while (end < text.size() && text[end] != '$' && is_word(text[end])) ++end;
    if (end == text.size() || text[end] != '$') return at;
    if (end > at + 1 && text[at + 1] >= '0' && text[at + 1] <= '9') return at;  // $1
    const auto tag = text.substr(at, end + 1 - at);
    const auto close = text.find(tag, end + 1);
    return close == std::string_view::npos ? text.size() : close + tag.size();
}

}  // namespace

std::vector<std::string_view> split_commands(std::string_view text) {
    std::vector<std::string_view> out;
    std::size_t begin = 0, at = 0;
    bool holds = false;
    const auto end_part = [&] {
        if (holds) out.push_back(text.substr(begin, at - begin));
        holds = false;
        begin = at + 1;
    };
    while (at < text.size()) {
        if (const auto next = behind_comment(text, at); next != at) {
            at = next;
        } else if (const auto behind = behind_quotes(text, at); behind != at) {
            holds = true;
            at = behind;
        } else {
            if (text[at] == ';')
                end_part();
            else
                holds = holds || !is_space(text[at]);
            ++at;
        }
    }
    end_part();
    return out;
}

void word_reader::skip_space() noexcept {
    while (at_ < text_.size()) {
        const auto next = behind_comment(text_, at_);
        if (next == at_ && !is_space(text_[at_])) return;
        at_ = next == at_ ? at_ + 1 : next;
    }
}

std::string_view word_reader::peek() const noexcept {
    auto end = at_;
    while (end < text_.size() && is_word(text_[end])) ++end;
    return text_.substr(at_, end - at_);
}

bool word_reader::take(std::string_view word) {
    const auto next = peek();
    if (next.empty() || !protocol::same_in_any_case(next, word)) return false;
    at_ += next.size();
    skip_space();
    return true;
}

bool word_reader::take_char(char c) {
    if (at_end() || text_[at_] != c) return false;
    ++at_;
    skip_space();
    return true;
}

bool word_reader::take_name(std::string& out) {
    out.clear();
    if (at_end()) return false;
    const char quote = text_[at_];
    if (quote != '\'' && quote != '"') {
        const auto word = peek();
        out = word;
        at_ += word.size();
        skip_space();
        return !word.empty();
    }
    auto at = at_ + 1;
    for (; at < text_.size(); ++at) {
        if (text_[at] == quote) {
            if (at + 1 >= text_.size() || text_[at + 1] != quote) break;
            ++at;
        }
        out += text_[at];
    }
    if (at == text_.size() || out.empty()) return false;
    at_ = at + 1;
    skip_space();
    return true;
}

std::string_view word_reader::rest() const noexcept {
    auto out = text_.substr(at_);
    while (!out.empty() && is_space(out.back())) out.remove_suffix(1);
    return out;
}

}  // namespace pgsidecar::ops
