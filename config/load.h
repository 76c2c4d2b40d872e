// Reading the configuration. load_text() and load_file() never throw for what a file holds: they
// check everything, report every problem found with file, line and key, and work in bounded time
// and memory on any input. A result with problems must not be used, so a reload that fails changes
// nothing. Order, each over what stands before it:
//   built-in defaults
//   the file, then the appsettings.json that it includes
//   the overlay of the environment, then the appsettings.json that the overlay includes
//   overrides ("--set"), and above them those given while the program runs ("SET")
// So a file that includes another one says "these are the application's settings", and a later
// layer is nearer to the one machine on which the program runs. Maps are merged key by key, tiers
// by their name; everything else replaces what stood there.
// Format: the keys of config/SETTINGS.md, in YAML; one document, no anchors, aliases or tags.
#pragma once
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/environment.h"
#include "config/files.h"
#include "config/settings.h"

namespace pgsidecar::config {

inline constexpr std::size_t max_file_size = 1u << 20;  // bytes

struct problem {
    std::string file;    // file name, or "--set" for an override
    int line = 0;        // counted from 1; 0 = no line (a missing file, an override)
    int column = 0;      // counted from 1; 0 = unknown
    std::string key;     // "cache.rules[0].ttl"; empty when the text itself is malformed
    std::string reason;  // one sentence without a full stop; never holds a secret
};

// "FILE:LINE: KEY: REASON", the parts that are missing left out.
[[nodiscard]] std::string to_string(const problem& p);

struct load_result {
    settings value;  // meaningful only when ok()
    std::vector<problem> problems;
    std::vector<problem> notes;  // no errors: what an operator should know all the same
    // Of every key that was given: "pgsidecar.yaml:7", "--set",
    // "appsettings.json:4 Performance.MaxPageSize". Keys as known_keys() has them, but with the
    // number of a rule or tier in its brackets; a key that is not here has its default.
    std::map<std::string, std::string> origins;
    [[nodiscard]] bool ok() const noexcept { return problems.empty(); }
};

// overrides: "key.path=value", the value written as in YAML, e.g. "cache.max_memory=1GB"; one key
// of a rule or tier by its name, "cache.rules[prescriptions].mode=off". A text has neither an
// overlay nor files that it could include.
[[nodiscard]] load_result load_text(std::string_view yaml, const std::string& file_name,
                                    std::span<const std::string> overrides = {});
[[nodiscard]] load_result load_file(const std::string& path,
                                    std::span<const std::string> overrides = {},
                                    const environment& where = {});

// What load_file() makes a configuration of.
struct sources {
    std::string path;
    std::vector<std::string> overrides{};
    environment where{};
    std::vector<std::string> later_overrides{};  // over the others
};
inline constexpr std::string_view later_override_name = "SET";  // as a file's name in messages
// A file that `memory` has is not read again: so the same files can be taken with other overrides.
[[nodiscard]] load_result load(const sources& from, file_memory& memory);

// The whole of the settings as YAML that loads back to the same settings, save that passwords in
// control_connection are replaced.
[[nodiscard]] std::string dump(const settings& s);
// The same, each key with a comment that says where its value comes from.
[[nodiscard]] std::string dump(const load_result& loaded);

// Every key a file may hold, in the order of the reference; keys of a rule as "cache.rules[].ttl"
// and of a tier likewise.
[[nodiscard]] std::vector<std::string> known_keys();

// The keys whose values differ, in the order of known_keys(); a difference anywhere inside a
// rule is "cache.rules", inside a tier "tenants.tiers".
[[nodiscard]] std::vector<std::string> changed_keys(const settings& before, const settings& after);

// What needs a restart goes on as it is: `next` gets it from `running`.
void keep_until_restart(const settings& running, settings& next);

// Whether a change of this key takes effect only when the program starts anew.
[[nodiscard]] bool needs_restart(std::string_view key) noexcept;

// The reference page of all keys, config/SETTINGS.md.
[[nodiscard]] std::string reference();

}  // namespace pgsidecar::config
