#include <type_traits>

#include "config/appsettings.h"
#include "config/load.h"
#include "config/schema.h"

namespace pgsidecar::config {
namespace {

constexpr std::string_view opening = R"(# Settings

Every key of `pgsidecar.yaml`. This page is made from the table that reads the file; the target
`settings_reference` prints it.

- One YAML document, UTF-8, 1MB at most. No anchors, aliases or tags, no tabs in the indentation,
  no quotes over several lines.
- A key that is left out has its default. An unknown key, a key given twice and a value that does
  not fit are errors: the file is refused as a whole and every problem is named with its line.
- Durations carry a unit, `ms s m h d`; a bare number is seconds.
- Sizes carry a unit, `B kB MB GB TB` (or `KiB MiB GiB TiB`, the same steps of 1024); a bare number
  is bytes.
- Switches are `true on yes 1` or `false off no 0`.
- `--set key=value` on the command line overrides the file, with the keys as they stand here:
  `--set cache.max_memory=1GB`. A list is written `[a, b]` and replaces the whole list; one key of
  a rule or tier is set by its name, `--set cache.rules[prescriptions].mode=shadow`.
- `(restart)` marks what a reload does not change: it takes effect when the program starts anew.

## Which files are read

Each over those before it, so that the last one which says something wins:

1. the defaults;
2. the file itself, `pgsidecar.yaml`;
3. the `appsettings.json` that it names with `include_appsettings`;
4. the overlay of the environment, `pgsidecar.<Environment>.yaml` beside the file (for `-c
   foo/bar.yaml` it is `foo/bar.<Environment>.yaml`);
5. the `appsettings.json` that the overlay names with `include_appsettings`;
6. `--set`.

An overlay needs to hold only what differs. Maps are merged key by key, tiers by their name and
key by key; every other value replaces what stood there, lists such as `cache.rules` as a whole.
What is included by the file is still read when the overlay includes something, too. Each file is
checked for itself, also where a later one replaces what it says.

The environment is what `PGSIDECAR_ENVIRONMENT` says, or else `ASPNETCORE_ENVIRONMENT`, or else
none: `Development`, `Test`, `Staging`, `Production` or `Live`, in any case of letters, with or
without a file of its own; any other name of letters, digits, `-` and `_` needs one. `pgsidecar
check` says which was taken, and `pgsidecar check --print` where each value comes from.
)";

std::string type_of(const slot& s, bounds range) {
    if (const auto names = choices(s); !names.empty()) {
        std::string out;
        for (const std::string_view name : names) {
            out.append(out.empty() ? "`" : ", `").append(name).append("`");
        }
        return out;
    }
    std::string list;
    if (with_items(s, [&]<class Item>(const std::vector<Item>&) {
            list.append("list of ").append(kind_of<Item>().many);
        })) {
        return list;
    }
    return std::visit(
        [&](auto* at) -> std::string {
            using value = std::remove_pointer_t<decltype(at)>;
            const auto span = [](const std::string& a, const std::string& b) {
                return ", " + a + " to " + b;
            };
            if constexpr (std::is_same_v<value, bool>) {
                return "switch";
            } else if constexpr (std::is_same_v<value, std::size_t>) {
                return "size" + span(write_size(range.min), write_size(range.max));
            } else if constexpr (std::is_integral_v<value>) {
                return "number" + span(std::to_string(range.min), std::to_string(range.max));
            } else if constexpr (std::is_same_v<value, std::chrono::milliseconds> ||
                                 std::is_same_v<value, std::chrono::seconds>) {
                using std::chrono::milliseconds;
                return "duration" + span(write_duration(milliseconds{range.min}),
                                         write_duration(milliseconds{range.max}));
            } else if constexpr (std::is_same_v<value, std::vector<std::string>>) {
                return "list of texts";
            } else {
                return "text";
            }
        },
        s);
}

std::string default_of(const slot& s) {
    std::string names;
    const bool maps = with_items(s, [&](const auto& items) {
        for (const auto& item : items) {
            names.append(names.empty() ? "`" : ", `").append(item.name).append("`");
        }
    });
    if (maps) return names.empty() ? "`[]`" : names;
    return '`' + write_scalar(s) + '`';
}

template <class Owner>
std::string line(const key_row<Owner>& row, std::string_view shown, Owner& defaults) {
    const slot value = row.at(defaults);
    std::string out = "| `";
    out.append(shown).append("` | ").append(type_of(value, row.range)).append(" | ");
    out.append(default_of(value)).append(" | ").append(row.meaning);
    return out.append(has(row.flag, key_flag::restart) ? " (restart) |\n" : " |\n");
}

std::string heading(std::string_view title, std::string_view meaning) {
    std::string out = "\n## ";
    out.append(title).append("\n\n").append(meaning).append(meaning.empty() ? "" : "\n\n");
    return out.append("| key | type | default | meaning |\n|---|---|---|---|\n");
}

}  // namespace

std::string reference() {
    settings defaults;
    std::string out{opening};
    out.append(heading("Top level", ""));
    for (const auto& row : setting_rows()) {
        if (row.path.find('.') == std::string_view::npos) out.append(line(row, row.path, defaults));
    }
    for (const section& s : sections()) {
        out.append(heading(s.name, s.meaning));
        const std::string prefix = std::string{s.name} + '.';
        for (const auto& row : setting_rows()) {
            if (row.path.starts_with(prefix)) out.append(line(row, row.path, defaults));
        }
    }
    for (const auto& row : setting_rows()) {
        with_items(row.at(defaults), [&]<class Item>(const std::vector<Item>&) {
            const std::string path = std::string{row.path} + "[]";
            Item item;
            out.append(heading(path, kind_of<Item>().meaning));
            for (const auto& inner : kind_of<Item>().rows) {
                out.append(line(inner, path + '.' + std::string{inner.path}, item));
            }
        });
    }
    return out.append(appsettings_reference());
}

}  // namespace pgsidecar::config
