// The text of console commands as words: separators, quotes, comments and statements as SQL has
// them. Views live as long as the text.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace pgsidecar::ops {

// The parts between semicolons that hold more than space and comments.
[[nodiscard]] std::vector<std::string_view> split_commands(std::string_view text);

// Walks over one command.
class word_reader {
  public:
    explicit word_reader(std::string_view text) noexcept : text_{text} { skip_space(); }

    [[nodiscard]] bool at_end() const noexcept { return at_ == text_.size(); }
    // The next word is that one, in any case; it is taken then. `word` is in lower case.
    bool take(std::string_view word);
    // The next word as it stands, empty when it is quoted or there is none; not taken.
    [[nodiscard]] std::string_view peek() const noexcept;
    // A name: a word, or something in '' or "" with its quotes undone. False: there is none, or its
    // quotes do not end.
    [[nodiscard]] bool take_name(std::string& out);
    bool take_char(char c);
    // What is left, without the space at its end.
    [[nodiscard]] std::string_view rest() const noexcept;

  private:
    void skip_space() noexcept;

    std::string_view text_;
    std::size_t at_ = 0;
};

}  // namespace pgsidecar::ops
