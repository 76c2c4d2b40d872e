// The words of a file such as pg_hba.conf: lines joined where one ends with a backslash, comments
// left out, fields apart at blanks, the values of a field apart at commas.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "config/text_lines.h"

namespace pgsidecar::config {

struct hba_word {
    std::string text;     // without its quotes
    bool quoted = false;  // then no keyword
};

using hba_field = std::vector<hba_word>;  // never empty

struct hba_line {
    int number = 0;  // of its first line
    std::vector<hba_field> fields;
    std::string problem;  // the reason why it has no fields; empty when it could be read
};

// The next line with fields or a problem; false at the end of the text.
[[nodiscard]] bool next_hba_line(text_lines& in, hba_line& out);

}  // namespace pgsidecar::config
