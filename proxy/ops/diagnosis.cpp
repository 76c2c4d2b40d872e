#include "proxy/ops/diagnosis.h"

#include <algorithm>
#include <array>

#include "protocol/ascii.h"

namespace pgsidecar::ops {
namespace {

constexpr std::string_view hidden = "***";
constexpr std::size_t shortest_secret = 4, shortest_word = 2;

constexpr bool is_word(char c) noexcept {
    const char l = protocol::ascii_lower(c);
    return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' ||
           c == ':' || static_cast<unsigned char>(c) >= 0x80;
}
constexpr bool is_letter(char c) noexcept {
    const char l = protocol::ascii_lower(c);
    return (l >= 'a' && l <= 'z') || (c >= '0' && c <= '9') || c == '_';
}
constexpr bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; }

template <class Use>
void each_line(std::string_view text, Use use) {
    while (!text.empty()) {
        const auto end = text.find('\n');
        use(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
}

// What a secret stands behind. Longer words first where one begins another.
constexpr std::array<std::string_view, 11> secret_keys{
    "authorization", "password", "passwd", "passphrase", "secret", "api_key",
    "apikey",        "token",    "bearer", "pwd",        "psw"};

// The place behind a key of secret_keys that begins at `at`, with what follows it up to the value;
// `at` itself when none does. "redis_password_file: x" names a file, and is none.
std::size_t behind_secret_key(std::string_view line, std::size_t at, bool& rest_of_line) {
    for (const auto key : secret_keys) {
        if (!protocol::same_in_any_case(line.substr(at, key.size()), key)) continue;
        std::size_t end = at + key.size();
        if (end < line.size() && (line[end] == '"' || line[end] == '\'')) ++end;
        const std::size_t blanks = end;
        while (end < line.size() && is_blank(line[end])) ++end;
        const bool separated = end < line.size() && (line[end] == '=' || line[end] == ':');
        if (!separated && !(key == "bearer" && end > blanks)) continue;
        if (separated) ++end;
        while (end < line.size() && is_blank(line[end])) ++end;
        rest_of_line = key == "authorization";
        return end;
    }
    return at;
}

std::size_t end_of_value(std::string_view line, std::size_t at) {
    if (at < line.size() && (line[at] == '"' || line[at] == '\'')) {
        const char quote = line[at++];
        while (at < line.size() && line[at] != quote) at += line[at] == '\\' ? 2 : 1;
        return std::min(at + 1, line.size());
    }
    while (at < line.size() && !is_blank(line[at]) &&
           std::string_view{";,&)\"'"}.find(line[at]) == std::string_view::npos)
        ++at;
    return at;
}

// key=value of secrets, and the password of a URI.
std::string without_passwords(std::string_view line) {
    std::string out;
    for (std::size_t at = 0; at < line.size();) {
        bool rest = false;
        const std::size_t value = behind_secret_key(line, at, rest);
        if (value > at) {
            out.append(line.substr(at, value - at));
            const std::size_t end = rest ? line.size() : end_of_value(line, value);
            if (end > value) out.append(hidden);
            at = end;
            continue;
        }
        if (line.substr(at, 3) == "://") {
            const auto end = std::min(line.find_first_of("/?# \t\"'", at + 3), line.size());
            const auto host = line.substr(0, end).rfind('@');
            if (host != std::string_view::npos && host > at) {
                out.append("://").append(hidden);
                at = host;
                continue;
            }
        }
        out += line[at++];
    }
    return out;
}

// The end of a literal of SQL that begins at `at`, or `at`.
std::size_t end_of_literal(std::string_view text, std::size_t at) {
    if (text[at] == '\'') {
        // An apostrophe within a word is none; E'', B'', X'' and N'' have one letter before it.
        if (at > 0 && is_letter(text[at - 1]) && at > 1 && is_letter(text[at - 2])) return at;
        std::size_t end = at + 1;
        while (end < text.size() && (text[end] != '\'' || text.substr(end + 1, 1) == "'")) {
            const bool two = text[end] == '\'' || text[end] == '\\';
            end += two ? 2 : 1;
        }
        return std::min(end + 1, text.size());
    }
    if (text[at] != '$') return at;
    std::size_t tag = at + 1;
    while (tag < text.size() && is_letter(text[tag])) ++tag;
    const bool parameter = tag > at + 1 && text[at + 1] >= '0' && text[at + 1] <= '9';
    if (parameter || tag >= text.size() || text[tag] != '$') return at;
    const auto mark = text.substr(at, tag + 1 - at);
    const auto end = text.find(mark, tag + 1);
    return end == std::string_view::npos ? text.size() : end + mark.size();
}

std::string without_literals(std::string_view text) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = end_of_literal(text, at);
        if (end > at) {
            out.append("'***'");
            at = end;
        } else {
            out += text[at++];
        }
    }
    return out;
}

std::string without_comments(std::string_view text) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        const bool block = text.substr(at, 2) == "/*";
        if (block || text.substr(at, 2) == "--") {
            const auto end = text.find(block ? "*/" : "\n", at + 2);
            at = end == std::string_view::npos ? text.size() : end + (block ? 2 : 0);
            out += ' ';
        } else {
            out += text[at++];
        }
    }
    return out;
}

void append_cell(std::string& out, std::string_view text) {
    if (text.find_first_of(",\"\r\n") == std::string_view::npos) {
        out.append(text);
        return;
    }
    out += '"';
    for (const char c : text) out.append(c == '"' ? 2 : 1, c);
    out += '"';
}

// Nobody knows where a name ends that has blanks: what comes up to `next`, or the line's end, goes.
void hide_behind(std::string& line, std::string_view mark, std::string_view next) {
    const auto at = line.find(mark);
    if (at == std::string::npos) return;
    const auto begin = at + mark.size();
    const auto end = next.empty() ? line.size() : std::min(line.rfind(next), line.size());
    if (end > begin) line.replace(begin, end - begin, hidden);
}

bool ours(std::string_view text) { return text.empty() || text.front() == '('; }

}  // namespace

void scrubber::add_secret(std::string_view text) {
    if (text.size() < shortest_secret) return;
    secrets_.emplace_back(text);
    std::ranges::sort(secrets_, std::ranges::greater{}, &std::string::size);
}

void scrubber::add_name(std::string_view text) { names_.emplace(text); }

std::string scrubber::alias(const std::string& kind, std::string_view text) {
    if (ours(text) || names_.contains(std::string{text})) return std::string{text};
    auto& known = aliases_[kind + '\0' + std::string{text}];
    if (known.empty()) {
        known = kind + "-" + std::to_string(++counts_[kind]);
        by_text_.emplace(text, known);
    }
    return known;
}

std::string scrubber::without_secrets(std::string_view text) const {
    std::string out{text};
    for (const auto& secret : secrets_) {
        for (auto at = out.find(secret); at != std::string::npos;
             at = out.find(secret, at + hidden.size()))
            out.replace(at, secret.size(), hidden);
    }
    return out;
}

std::string scrubber::settings(std::string_view text) const {
    std::string out;
    each_line(without_secrets(text),
              [&out](std::string_view line) { out.append(without_passwords(line)).append("\n"); });
    return out;
}

std::string scrubber::statement(std::string_view text) const {
    return without_literals(without_comments(without_secrets(text)));
}

// Whatever is known by a number, also where the log names it without quotes.
std::string scrubber::words(std::string_view line) {
    std::string out;
    for (std::size_t at = 0; at < line.size();) {
        if (line[at] == '"') {
            const auto end = std::min(line.find('"', at + 1), line.size());
            const std::string inside{line.substr(at + 1, end - at - 1)};
            const auto known = by_text_.find(inside);
            out += '"';
            out += known != by_text_.end()   ? known->second
                   : names_.contains(inside) ? inside
                                             : std::string{hidden};
            out += '"';
            at = end + 1;
            continue;
        }
        std::size_t end = at;
        while (end < line.size() && is_word(line[end])) ++end;
        std::string_view word = line.substr(at, std::max<std::size_t>(end - at, 1));
        at += word.size();
        std::string_view tail;
        while (word.size() > 1 && (word.back() == '.' || word.back() == ':')) {
            word.remove_suffix(1);
            tail = line.substr(at - 1 - tail.size(), tail.size() + 1);
        }
        const auto known =
            word.size() < shortest_word ? by_text_.end() : by_text_.find(std::string{word});
        out.append(known != by_text_.end() ? std::string_view{known->second} : word).append(tail);
    }
    return out;
}

std::string scrubber::log_line(std::string_view line) {
    std::string text = without_literals(without_passwords(line));
    hide_behind(text, "application_name=", {});
    hide_behind(text, "tenant=", " tier=");  // as alerts have it
    return words(text);
}

std::string scrubber::log(std::string_view text) {
    std::string out;
    each_line(without_secrets(text), [&](std::string_view line) {
        if (line.ends_with('\r')) line.remove_suffix(1);
        out.append(log_line(line)).append("\n");
    });
    return out;
}

std::string scrubber::metrics(std::string_view text) {
    constexpr std::string_view label = "tenant=\"";
    const std::string from = without_secrets(text);
    std::string out;
    for (std::size_t at = 0; at < from.size();) {
        const auto found = from.find(label, at);
        if (found == std::string::npos) return out.append(from, at);
        const auto begin = found + label.size();
        auto end = begin;
        while (end < from.size() && from[end] != '"') end += from[end] == '\\' ? 2 : 1;
        end = std::min(end, from.size());
        out.append(from, at, begin - at).append(alias("tenant", from.substr(begin, end - begin)));
        at = end;
    }
    return out;
}

std::string scrubber::table(const text_table& table) {
    std::string out;
    for (const auto& name : table.columns) {
        if (&name != &table.columns.front()) out += ',';
        append_cell(out, name);
    }
    out += '\n';
    for (const auto& row : table.rows) {
        for (std::size_t i = 0; i < row.size() && i < table.columns.size(); ++i) {
            const auto& column = table.columns[i];
            if (i > 0) out += ',';
            if (column == "tenant")
                append_cell(out, alias("tenant", row[i]));
            else if (column == "application_name")
                append_cell(out, alias("application", row[i]));
            else
                append_cell(out, column == "query" ? statement(row[i])
                                                   : without_passwords(without_secrets(row[i])));
        }
        out += '\n';
    }
    return out;
}

std::string_view last_lines(std::string_view text, std::size_t at_most) {
    if (text.size() <= at_most) return text;
    text.remove_prefix(text.size() - at_most);
    const auto end = text.find('\n');
    return end == std::string_view::npos ? text : text.substr(end + 1);
}

std::string command_line(const std::vector<std::string>& arguments, const scrubber& scrub) {
    std::string out;
    bool value = false;
    for (const auto& argument : arguments) {
        std::string shown = argument;
        const bool joined = shown.starts_with("--set=");
        if (value || joined) {
            const auto equals = shown.find('=', joined ? 6 : 0);
            if (equals != std::string::npos)
                shown = shown.substr(0, equals + 1) + std::string{hidden};
        }
        value = argument == "--set";
        out.append(out.empty() ? "" : " ").append(protocol::printable(shown));
    }
    std::string line = scrub.settings(out);
    if (line.ends_with('\n')) line.pop_back();
    return line;
}

}  // namespace pgsidecar::ops
