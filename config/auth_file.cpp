#include "config/auth_file.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "config/text_lines.h"
#include "config/values.h"
#include "protocol/base64.h"
#include "protocol/sasl.h"

namespace pgsidecar::config {
namespace {

constexpr std::size_t max_reports = 20;
constexpr std::string_view blanks = " \t";

struct entry {
    auth_user user;
    int line;
};

void skip_blanks(std::string_view& rest) noexcept {
    rest.remove_prefix(std::min(rest.find_first_not_of(blanks), rest.size()));
}

// Takes the word in quotes at the front. False when its quote is never closed.
bool take_quoted(std::string_view& rest, std::string& out) {
    for (std::size_t at = 1; at < rest.size(); ++at) {
        if (rest[at] == '"') {
            if (!rest.substr(at + 1).starts_with('"')) {
                rest.remove_prefix(at + 1);
                return true;
            }
            ++at;
        }
        out += rest[at];
    }
    return false;
}

// The next part of a verifier, up to `end`, which is taken too. False without `end`.
bool take_part(std::string_view& rest, char end, std::string_view& out) noexcept {
    const std::size_t at = rest.find(end);
    if (at == std::string_view::npos) return false;
    out = rest.substr(0, at);
    rest.remove_prefix(at + 1);
    return true;
}

// "iterations:salt$StoredKey:ServerKey"
std::string check_verifier(std::string_view text) {
    std::string_view iterations;
    std::string_view salt;
    std::string_view stored_key;
    if (!take_part(text, ':', iterations) || !take_part(text, '$', salt) ||
        !take_part(text, ':', stored_key)) {
        return "a SCRAM verifier that is not of the form "
               "SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey";
    }
    std::uint64_t number = 0;
    if (!read_integer(iterations, {1, max_scram_iterations}, number).empty()) {
        return "a SCRAM verifier whose iterations are not a whole number from 1 to " +
               std::to_string(max_scram_iterations);
    }
    if (protocol::base64_decoded_size(salt).value_or(0) == 0) {
        return "a SCRAM verifier whose salt is empty or not base64";
    }
    for (const auto& [name, key] : {std::pair{"StoredKey", stored_key}, {"ServerKey", text}}) {
        if (protocol::base64_decoded_size(key) != protocol::scram_key_size) {
            return std::string{"a SCRAM verifier whose "} + name + " is not base64 of " +
                   std::to_string(protocol::scram_key_size) + " bytes";
        }
    }
    return {};
}

std::string check_secret(std::string_view secret) {
    // What PostgreSQL would take for a plain password is more likely a verifier cut short.
    if (!secret.starts_with(protocol::scram_sha_256)) return {};
    secret.remove_prefix(protocol::scram_sha_256.size());
    if (!secret.starts_with('$')) return {};
    return check_verifier(secret.substr(1));
}

std::string read_line(std::string_view line, auth_user& out) {
    if (line.find('\0') != std::string_view::npos) return "a zero byte";
    if (!line.starts_with('"')) return "does not begin with a user name in double quotes";
    if (!take_quoted(line, out.name)) return "a quote that is not closed in its line";
    skip_blanks(line);
    if (!line.starts_with('"')) return "no second word in double quotes behind the user name";
    if (!take_quoted(line, out.secret)) return "a quote that is not closed in its line";
    if (out.name.empty()) return "an empty user name";
    if (out.name.size() > max_name_size) {
        return "a user name longer than " + std::to_string(max_name_size) + " bytes";
    }
    return check_secret(out.secret);
}

// Sorts the entries by name; whoever is in the file again is reported.
void sort_entries(std::vector<entry>& entries, std::vector<text_problem>& problems) {
    std::ranges::sort(entries, [](const entry& a, const entry& b) {
        return a.user.name != b.user.name ? a.user.name < b.user.name : a.line < b.line;
    });
    struct repetition {
        int line;
        int first;
    };
    std::vector<repetition> found;
    int first = 0;
    for (std::size_t i = 0; i < entries.size(); ++i) {
        const bool again = i > 0 && entries[i].user.name == entries[i - 1].user.name;
        if (again) found.push_back({entries[i].line, first});
        if (!again) first = entries[i].line;
    }
    std::ranges::sort(found, {}, &repetition::line);
    for (const repetition& r : found) {
        if (problems.size() == max_reports) break;
        const std::string where = std::to_string(r.first);
        problems.push_back({r.line, 0, {}, "gives a user again; the first is in line " + where});
    }
    std::ranges::stable_sort(problems, {}, &text_problem::line);
}

}  // namespace

const auth_user* auth_file_result::find(std::string_view name) const noexcept {
    const auto at = std::ranges::lower_bound(users, name, {}, &auth_user::name);
    return at != users.end() && at->name == name ? &*at : nullptr;
}

auth_file_result read_auth_file(std::string_view text) {
    auth_file_result out;
    if (text.size() > max_auth_file_size) {
        out.problems.push_back({0, 0, {}, "is larger than " + write_size(max_auth_file_size)});
        return out;
    }
    std::vector<entry> entries;
    text_lines lines{text};
    for (std::string_view line; out.problems.size() < max_reports && lines.next(line);) {
        if (lines.number() > max_auth_file_lines) {
            const std::string most = std::to_string(max_auth_file_lines);
            out.problems.push_back({lines.number(), 0, {}, "more than " + most + " lines"});
            return out;
        }
        skip_blanks(line);
        const bool comment = line.starts_with(';') || line.starts_with('#');
        if (line.empty() || (comment && line.find('\0') == std::string_view::npos)) continue;
        entry one{{}, lines.number()};
        std::string reason = read_line(line, one.user);
        if (reason.empty()) {
            entries.push_back(std::move(one));
        } else {
            out.problems.push_back({one.line, 0, {}, std::move(reason)});
        }
    }
    sort_entries(entries, out.problems);
    if (!out.problems.empty()) return out;
    out.users.reserve(entries.size());
    for (entry& one : entries) out.users.push_back(std::move(one.user));
    return out;
}

}  // namespace pgsidecar::config
