// Variables in a file: a .env, an EnvironmentFile of systemd, an env_file of Docker. The readers of
// such files do not agree on everything, so what they would read differently is refused where it
// matters: in a line that holds a connection string.
#include "proxy/ops/settings_text.h"

namespace pgsidecar::ops {
namespace {

constexpr bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; }

// One line of the file; `at` goes on from what has been read to `end`.
struct rest_of_line {
    std::string_view file;
    std::size_t at, end;

    void skip_blanks() {
        while (at < end && is_blank(file[at])) ++at;
    }
    [[nodiscard]] std::string_view text() const { return file.substr(at, end - at); }
};

// These return why the value cannot be read; empty when it was.
std::string plain_value(rest_of_line in, named_string& out) {
    while (in.end > in.at && is_blank(in.file[in.end - 1])) --in.end;
    if (in.text().ends_with('\\')) return "goes on in the next line: write it in one";
    if (in.text().find(" #") != std::string_view::npos)
        return "has a # behind a blank, which some readers take for a comment: quote the value";
    out.value = in.text();
    for (; in.at <= in.end; ++in.at) out.at.push_back(in.at);
    return {};
}

std::string quoted_value(rest_of_line in, named_string& out) {
    const char quote = in.file[in.at++];
    for (; in.at < in.end && in.file[in.at] != quote; ++in.at) {
        out.at.push_back(in.at);
        const bool escaped =
            quote == '"' && in.file[in.at] == '\\' && in.at + 1 < in.end &&
            std::string_view{"\"\\$`"}.find(in.file[in.at + 1]) != std::string_view::npos;
        if (escaped) ++in.at;
        out.value += in.file[in.at];
    }
    out.at.push_back(in.at);
    if (in.at >= in.end) return "has a quote that is not closed in its line";
    ++in.at;
    in.skip_blanks();
    if (in.at < in.end && in.file[in.at] != '#') return "goes on behind its quote";
    return {};
}

void read_line(rest_of_line in, int number, named_strings& out) {
    in.skip_blanks();
    if (in.text().starts_with('#') || in.text().starts_with(';')) return;
    if (in.text().starts_with("export ")) {
        in.at += 7;
        in.skip_blanks();
    }
    const auto equals = in.text().find('=');
    if (equals == std::string_view::npos) return;
    std::string_view name = in.text().substr(0, equals);
    while (!name.empty() && is_blank(name.back())) name.remove_suffix(1);
    named_string one;
    one.name = connection_string_variable(name);
    if (one.name.empty()) return;
    one.shown = name;
    one.line = number;
    in.at += equals + 1;
    in.skip_blanks();
    const bool quoted = in.text().starts_with('"') || in.text().starts_with('\'');
    const std::string problem = quoted ? quoted_value(in, one) : plain_value(in, one);
    if (problem.empty())
        out.found.push_back(std::move(one));
    else
        out.problems.push_back({number, 0, one.shown, problem});
}

}  // namespace

named_strings read_environment_strings(std::string_view text) {
    named_strings out;
    out.problems = config::unreadable(text);
    if (!out.problems.empty()) return out;
    int number = 1;
    std::size_t at = text.starts_with("\xef\xbb\xbf") ? 3 : 0;
    for (; at < text.size(); ++number) {
        const std::size_t next = std::min(text.find('\n', at), text.size());
        std::size_t end = next;
        if (end > at && text[end - 1] == '\r') --end;
        read_line({text, at, end}, number, out);
        at = next + 1;
    }
    return out;
}

}  // namespace pgsidecar::ops
