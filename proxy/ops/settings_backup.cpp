#include "proxy/ops/settings_backup.h"

#include <algorithm>

namespace pgsidecar::ops {
namespace {

constexpr std::string_view heading =
    "# Of `pgsidecar connection-string`: the SHA-256 of the backup beside this file, and of what "
    "set has "
    "written.\n# restore needs both files.\n";
constexpr std::string_view original_word = "original ", written_word = "written ";
constexpr std::size_t most_written = 1000;

bool is_hash(std::string_view text) {
    return text.size() == 64 &&
           text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

}  // namespace

std::string write_record(const backup_record& record) {
    std::string out{heading};
    out.append(original_word).append(record.original).append("\n");
    for (const auto& hash : record.written) out.append(written_word).append(hash).append("\n");
    return out;
}

std::optional<backup_record> read_record(std::string_view text) {
    backup_record out;
    while (!text.empty()) {
        const auto end = text.find('\n');
        if (end == std::string_view::npos) return std::nullopt;  // it is not whole
        std::string_view line = text.substr(0, end);
        text.remove_prefix(end + 1);
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (line.empty() || line.starts_with('#')) continue;
        const bool first = line.starts_with(original_word);
        if (!first && !line.starts_with(written_word)) return std::nullopt;
        line.remove_prefix(first ? original_word.size() : written_word.size());
        if (!is_hash(line) || first != out.original.empty() || out.written.size() >= most_written)
            return std::nullopt;
        if (first)
            out.original = line;
        else
            out.written.emplace_back(line);
    }
    if (out.original.empty()) return std::nullopt;
    return out;
}

backup_state state_of(const std::string& file, const std::string* backup,
                      const std::optional<backup_record>& record) {
    if (backup == nullptr) return backup_state::none;
    if (file == *backup) return backup_state::original;
    const bool known = record && record->original == *backup &&
                       std::ranges::find(record->written, file) != record->written.end();
    return known ? backup_state::ours : backup_state::changed;
}

}  // namespace pgsidecar::ops
