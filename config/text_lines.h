// A text line by line: ends of lines are LF or CRLF, a byte order mark at the front is no part of
// the first line. Lines are views into the text.
#pragma once
#include <algorithm>
#include <string_view>

namespace pgsidecar::config {

class text_lines {
  public:
    explicit text_lines(std::string_view text) noexcept : rest_{text} {
        if (rest_.starts_with("\xef\xbb\xbf")) rest_.remove_prefix(3);
    }

    // False when there is none left. An end of line at the end of the text begins no further line.
    [[nodiscard]] bool next(std::string_view& line) noexcept {
        if (rest_.empty()) return false;
        line = rest_.substr(0, rest_.find('\n'));
        rest_.remove_prefix(std::min(line.size() + 1, rest_.size()));
        if (line.ends_with('\r')) line.remove_suffix(1);
        ++number_;
        return true;
    }

    [[nodiscard]] int number() const noexcept { return number_; }  // of the last line, from 1

  private:
    std::string_view rest_;
    int number_ = 0;
};

}  // namespace pgsidecar::config
