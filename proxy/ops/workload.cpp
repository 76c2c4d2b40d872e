#include "proxy/ops/workload.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "config/json_tree.h"
#include "policy/analyze.h"
#include "policy/analyze_scan.h"
#include "policy/volatility.h"
#include "protocol/ascii.h"

namespace pgsidecar::ops {
namespace {

using policy::statement_kind;
using policy::token;
using policy::token_kind;
using protocol::same_in_any_case;

constexpr std::size_t max_problems = 20;
constexpr std::string_view blanks = " \t\r\n\f\v";

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(blanks) + 1 - first);
}

enum class word : std::uint8_t { name, weight, params, order, format };
struct directive {
    word is = word::name;
    std::string_view value;
};

// "-- weight: 5". Any other comment is none.
std::optional<directive> directive_of(std::string_view comment) {
    constexpr std::array<std::pair<std::string_view, word>, 5> words{{{"name", word::name},
                                                                      {"weight", word::weight},
                                                                      {"params", word::params},
                                                                      {"order", word::order},
                                                                      {"format", word::format}}};
    const auto colon = comment.find(':');
    if (colon == std::string_view::npos) return std::nullopt;
    const auto before = trimmed(comment.substr(0, colon));
    const auto* const found =
        std::ranges::find(words, before, &std::pair<std::string_view, word>::first);
    if (found == words.end()) return std::nullopt;
    return directive{found->second, trimmed(comment.substr(colon + 1))};
}

// Reads the file token by token; what lies between two tokens is blanks and comments.
class file_reader {
  public:
    file_reader(std::string_view text, bool allow_writes)
        : text_{text}, allow_writes_{allow_writes}, scan_{text} {}

    workload read() {
        std::size_t end_of_last = 0;
        for (token t = scan_.next();; t = scan_.next()) {
            const auto begin = static_cast<std::size_t>(t.text.data() - text_.data());
            comments(end_of_last, t.kind == token_kind::bad ? end_of_last : begin);
            end_of_last = begin + t.text.size();
            if (t.kind == token_kind::end) break;
            if (t.kind == token_kind::bad) {
                problem(line_at(begin), "a quote or a comment that begins here is never closed");
                return std::move(out_);
            }
            if (t.kind == token_kind::punctuation && t.text == ";")
                finish(begin);
            else if (!inside_)
                begin_statement(begin);
            if (out_.problems.size() >= max_problems) return std::move(out_);
        }
        finish(text_.size());
        if (given_at_ > 0 && out_.problems.empty())
            problem(given_at_, "no statement follows this line");
        if (out_.statements.empty() && out_.problems.empty()) problem(1, "there is no statement");
        return std::move(out_);
    }

  private:
    // Asked in the order of the text.
    int line_at(std::size_t byte) {
        line_ +=
            static_cast<int>(std::count(text_.begin() + static_cast<std::ptrdiff_t>(counted_),
                                        text_.begin() + static_cast<std::ptrdiff_t>(byte), '\n'));
        counted_ = byte;
        return line_;
    }
    void problem(int line, std::string reason) {
        out_.problems.push_back({line, std::move(reason)});
    }

    void comments(std::size_t at, std::size_t end) {
        bool own_line = at == 0;  // nothing but blanks stands before it in its line
        while (at < end) {
            const auto rest = text_.substr(at, end - at);
            if (rest.starts_with("--")) {
                const auto length = std::min(rest.find_first_of("\r\n"), rest.size());
                if (const auto found = directive_of(rest.substr(2, length - 2))) {
                    const auto problems = out_.problems.size();
                    take(*found, line_at(at), own_line);
                    wrong_before_ = wrong_before_ || out_.problems.size() > problems;
                }
                at += length;
            } else if (rest.starts_with("/*")) {
                at += block_comment(rest);
            } else {
                own_line = own_line || rest.front() == '\n';
                ++at;
            }
        }
    }
    static std::size_t block_comment(std::string_view text) {
        std::size_t depth = 0, at = 0;
        do {
            const auto pair = text.substr(at, 2);
            if (pair == "/*")
                ++depth, at += 2;
            else if (pair == "*/")
                --depth, at += 2;
            else
                ++at;
        } while (depth > 0 && at < text.size());
        return at;
    }

    void take(const directive& d, int line, bool own_line) {
        if (inside_) {  // a remark may well begin so; values would be missed
            if (d.is == word::params)
                problem(line, "params stands inside a statement; it goes before it");
            return;
        }
        if (!own_line) return problem(line, "this needs a line of its own, before its statement");
        if (given_at_ == 0) given_at_ = line;
        std::string why;
        switch (d.is) {
            case word::name:
                next_.name = protocol::printable(d.value);
                break;
            case word::weight: {
                const auto* const end = d.value.data() + d.value.size();
                const auto got = std::from_chars(d.value.data(), end, next_.weight);
                if (got.ec != std::errc{} || got.ptr != end || next_.weight < 1 ||
                    next_.weight > max_workload_weight)
                    problem(line, "weight is a whole number from 1 to 100");
                break;
            }
            case word::order:
                any_order_ = d.value == "any";
                if (!any_order_) problem(line, "order knows one word: any");
                break;
            case word::format:
                next_.binary = d.value == "binary";
                if (!next_.binary && d.value != "text") problem(line, "format is text or binary");
                break;
            case word::params:
                if (auto values = read_values(d.value, why)) {
                    next_.parameters.push_back(std::move(*values));
                    parameter_lines_.push_back(line);
                } else {
                    problem(line, "params: " + why);
                }
                break;
        }
    }

    void begin_statement(std::size_t begin) {
        inside_ = true;
        begin_ = begin;
        next_.line = line_at(begin);
    }

    void finish(std::size_t end) {
        if (!inside_) return;
        inside_ = false;
        auto statement = std::exchange(next_, {});
        const auto lines = std::exchange(parameter_lines_, {});
        const bool any_order = std::exchange(any_order_, false);
        given_at_ = 0;
        // One mistake, one line: what is wrong before a statement makes no second problem of it.
        if (std::exchange(wrong_before_, false)) return;
        statement.sql = trimmed(text_.substr(begin_, end - begin_));
        statement.normalized = policy::normalize(statement.sql);
        statement.prepared = !statement.parameters.empty();
        statement.ordered = !any_order && orders_rows(statement.sql);
        if (statement.sql.starts_with('\\'))
            return problem(statement.line, "psql's own commands are not known here");
        const auto facts = policy::analyze(statement.sql);
        if (auto why = why_not_run(facts, allow_writes_); !why.empty())
            return problem(statement.line, std::move(why));
        const auto wanted = static_cast<std::size_t>(facts.statements.front().parameter_count);
        if (wanted > 0 && !statement.prepared)
            return problem(statement.line,
                           "the statement has parameters: write a line -- params: [...] before it");
        for (std::size_t i = 0; i < lines.size(); ++i)
            if (statement.parameters[i].size() != wanted)
                problem(lines[i], "params holds " + std::to_string(statement.parameters[i].size()) +
                                      " values, the statement has " + std::to_string(wanted) +
                                      " parameters");
        if (statement.binary && !statement.prepared)
            return problem(statement.line,
                           "format: binary needs a line -- params: [...], be it empty");
        if (out_.statements.size() == max_workload_statements)
            return problem(statement.line, "this is one statement too many: 10000 at most");
        out_.statements.push_back(std::move(statement));
    }

    std::string_view text_;
    bool allow_writes_;
    policy::sql_scanner scan_;
    workload out_;
    workload_statement next_;
    std::vector<int> parameter_lines_;
    bool any_order_ = false;
    bool wrong_before_ = false;
    int given_at_ = 0;  // line of the first directive that waits for its statement; 0: none does
    bool inside_ = false;
    std::size_t begin_ = 0;
    std::size_t counted_ = 0;
    int line_ = 1;
};

std::string_view changing_function(const policy::statement_facts& facts) {
    constexpr std::array more{"pg_terminate_backend", "pg_promote", "lo_import", "dblink_exec"};
    for (const auto& call : facts.functions) {
        const auto& name = call.name.name;
        const auto effect = policy::effect_of_builtin(name);
        const bool known =
            effect != policy::builtin_effect::none && effect != policy::builtin_effect::unknown;
        if (known || std::ranges::find(more, name) != more.end()) return name;
    }
    return {};
}

std::string why_not_read(const policy::statement_facts& facts) {
    if (facts.kind != statement_kind::select)
        return "only statements that read are run, and this one is of kind " +
               std::string{policy::to_string(facts.kind)};
    if (facts.modifying_cte) return "the SELECT writes inside its WITH";
    if (facts.writes_into) return "SELECT INTO makes a table";
    if (facts.locks_rows) return "the SELECT locks rows";
    if (const auto name = changing_function(facts); !name.empty())
        return "the SELECT calls " + std::string{name} + "(), which changes something";
    return {};
}

}  // namespace

std::string why_not_run(const policy::sql_facts& facts, bool allow_writes) {
    if (facts.too_long) return "the statement is longer than 1 MB";
    if (!facts.parsed) return "PostgreSQL's parser does not accept this statement";
    if (facts.statements.size() != 1) return "this is more than one statement";
    const auto& statement = facts.statements.front();
    if (!allow_writes) return why_not_read(statement);
    switch (statement.kind) {
        case statement_kind::select:
        case statement_kind::insert:
        case statement_kind::update:
        case statement_kind::delete_:
        case statement_kind::merge:
            return {};
        default:
            return "a statement of kind " + std::string{policy::to_string(statement.kind)} +
                   " is never run here";
    }
}

bool orders_rows(std::string_view sql) {
    policy::sql_scanner scan{sql};
    int depth = 0;
    bool after_order = false;
    for (token t = scan.next(); t.kind != token_kind::end; t = scan.next()) {
        if (t.kind == token_kind::bad) return false;
        if (t.kind == token_kind::punctuation && (t.text == "(" || t.text == "[")) ++depth;
        if (t.kind == token_kind::punctuation && (t.text == ")" || t.text == "]")) --depth;
        if (depth > 0) continue;
        if (after_order && t.kind == token_kind::word && same_in_any_case(t.text, "by"))
            return true;
        after_order = t.kind == token_kind::word && same_in_any_case(t.text, "order");
    }
    return false;
}

std::optional<workload_values> values_of(const config::node& array, std::string& why) {
    workload_values out;
    if (array.kind != config::node_kind::sequence) {
        why = "is not a JSON array";
        return std::nullopt;
    }
    for (const auto& item : array.items) {
        if (item.kind == config::node_kind::null) {
            out.emplace_back();
        } else if (item.kind != config::node_kind::scalar) {
            why = "a value is a string, a number, true, false or null";
            return std::nullopt;
        } else if (item.text.find('\0') != std::string::npos) {
            why = "a value holds a NUL character, which PostgreSQL does not take";
            return std::nullopt;
        } else {
            out.emplace_back(item.text);
        }
    }
    return out;
}

std::optional<workload_values> read_values(std::string_view json, std::string& why) {
    const auto tree = config::read_json(json);
    if (tree.problems.empty()) return values_of(tree.root, why);
    why = tree.problems.front().reason;
    return std::nullopt;
}

workload read_workload(std::string_view text, bool allow_writes) {
    workload out;
    if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
    if (text.size() > max_workload_size)
        out.problems.push_back({1, "the file is larger than 16 MB"});
    else if (const auto nul = text.find('\0'); nul != std::string_view::npos)
        out.problems.push_back(
            {1 + static_cast<int>(std::count(
                     text.begin(), text.begin() + static_cast<std::ptrdiff_t>(nul), '\n')),
             "holds a NUL character"});
    else
        return file_reader{text, allow_writes}.read();
    return out;
}

}  // namespace pgsidecar::ops
