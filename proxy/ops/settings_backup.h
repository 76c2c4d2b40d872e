// What is known of a settings file that `connection-string set` has changed. Beside FILE lie
// FILE.pgsidecar-backup, its bytes from before, and FILE.pgsidecar-record, this text: the SHA-256
// of those bytes and of all that set has written since. So restore knows whether anybody else has
// changed FILE, whatever step a run was ended at: backup, record, FILE are written in this order.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgsidecar::ops {

inline constexpr std::string_view backup_suffix = ".pgsidecar-backup";
inline constexpr std::string_view record_suffix = ".pgsidecar-record";
inline constexpr std::string_view replaced_suffix = ".pgsidecar-replaced";

struct backup_record {
    std::string original;              // hashes, as hexadecimal digits
    std::vector<std::string> written;  // the latest last
};

[[nodiscard]] std::string write_record(const backup_record& record);
// Nothing: it is not such a text.
[[nodiscard]] std::optional<backup_record> read_record(std::string_view text);

enum class backup_state : std::uint8_t {
    none,      // there is no backup
    original,  // the file is what the backup is
    ours,      // as set has written it
    changed,   // by somebody else since, or it cannot be known
};
// `backup` is the hash of its bytes; null = there is none.
[[nodiscard]] backup_state state_of(const std::string& file, const std::string* backup,
                                    const std::optional<backup_record>& record);

}  // namespace pgsidecar::ops
