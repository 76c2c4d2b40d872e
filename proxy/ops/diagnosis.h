// What leaves a machine in the file of `pgsidecar diagnose` is made fit for strangers here: no
// password, no literal, no name that a client made up. A scrubber is fed with what is known to be
// secret, and with the names that may stand in quotes, before it is asked; tenants and applications
// get numbers, the same ones throughout the file. In doubt it hides too much. Belongs to one
// thread.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace pgsidecar::ops {

struct text_table {
    std::vector<std::string> columns;
    std::vector<std::vector<std::string>> rows;
};

class scrubber {
  public:
    // Replaced wherever it stands, from 4 bytes on: less would be found everywhere.
    void add_secret(std::string_view text);
    // May be seen, also in double quotes: a database, a user, a rule, a key.
    void add_name(std::string_view text);
    // "tenant-1" for what is shown in place of `text`. Nothing of ours, as "(others)", is replaced.
    [[nodiscard]] std::string alias(const std::string& kind, std::string_view text);

    // YAML of ours, and command lines: secrets, and what passwords and tokens are called by.
    [[nodiscard]] std::string settings(std::string_view text) const;
    // Also quoted texts, what is no known name; and numbers in place of tenants and applications.
    [[nodiscard]] std::string log(std::string_view text);
    // SQL in its normal form: secrets, literals and comments, should there be any.
    [[nodiscard]] std::string statement(std::string_view text) const;
    // Of Prometheus: the labels that name a tenant.
    [[nodiscard]] std::string metrics(std::string_view text);
    // A table of the admin console as CSV.
    [[nodiscard]] std::string table(const text_table& table);

  private:
    [[nodiscard]] std::string without_secrets(std::string_view text) const;
    [[nodiscard]] std::string log_line(std::string_view line);
    [[nodiscard]] std::string words(std::string_view line);

    std::vector<std::string> secrets_;  // longest first
    std::unordered_set<std::string> names_;
    std::unordered_map<std::string, std::string> aliases_;  // kind, a zero byte, text
    std::unordered_map<std::string, std::string> by_text_;  // for words of the log
    std::map<std::string, int> counts_;
};

// The last lines of a text, whole ones, of at most that many bytes.
[[nodiscard]] std::string_view last_lines(std::string_view text, std::size_t at_most);

// Each "--set KEY=VALUE" without the value, all else as settings().
[[nodiscard]] std::string command_line(const std::vector<std::string>& arguments,
                                       const scrubber& scrub);

}  // namespace pgsidecar::ops
