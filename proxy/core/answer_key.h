// The key of an entry: everything that decides the bytes of an answer. Each part stands behind its
// length, so that no two sets of parts make the same key.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace pgsidecar::core {

// Which messages the answer is made of.
enum class answer_shape : char { simple = 'Q', rows_only = 'E', described = 'D' };

// `context`: server, database, user, role, settings. `parameters`: Bind's formats and values.
// `told`: what the client believes the statement's types to be, if it was told of them before: its
// hash or nothing. It reads rows and writes parameters by that.
inline void build_key(std::string& key, std::string_view context, answer_shape shape,
                      std::string_view sql, std::string_view types, std::string_view parameters,
                      std::string_view told = {}) {
    const auto append_sized = [&key](std::string_view part) {
        const auto size = static_cast<std::uint32_t>(part.size());
        key.append(reinterpret_cast<const char*>(&size), sizeof size);
        key.append(part);
    };
    key.clear();
    key.reserve(context.size() + sql.size() + types.size() + parameters.size() + told.size() +
                4 * sizeof(std::uint32_t) + 1);
    append_sized(context);
    key.push_back(static_cast<char>(shape));
    append_sized(sql);
    append_sized(types);
    append_sized(told);
    key.append(parameters);
}

// For people: the names of the parts, in order.
inline constexpr std::string_view key_parts =
    "upstream, database, user, current role, settings (start-up parameters, SET, defaults of role "
    "and database, the server's configuration, reported parameters), form of the answer (simple, "
    "extended, described), SQL text, parameter types, the description that the client goes by, "
    "parameter formats and "
    "values, result formats";

inline constexpr std::string_view ready_idle{"Z\0\0\0\5I", 6};

}  // namespace pgsidecar::core
