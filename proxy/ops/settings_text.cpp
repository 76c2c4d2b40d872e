#include "proxy/ops/settings_text.h"

#include <algorithm>

#include "protocol/ascii.h"

namespace pgsidecar::ops {
namespace {

using protocol::lower_case;
using protocol::same_in_any_case;

constexpr std::string_view utf8_mark = "\xef\xbb\xbf";

std::string names_of(std::span<const named_string> among) {
    std::string out;
    for (const auto& one : among) out += (out.empty() ? "" : ", ") + protocol::printable(one.name);
    return out;
}

std::string whose(const named_string& one) {
    if (!one.other_driver.empty()) return " (" + protocol::printable(one.other_driver) + ")";
    return for_postgresql(one.value) ? "" : " (not of PostgreSQL)";
}

}  // namespace

settings_kind kind_of_settings(std::string_view file_name, std::string_view text) {
    const std::string name = lower_case(file_name);
    if (name.ends_with(".json")) return settings_kind::json;
    if (name.ends_with(".config") || name.ends_with(".xml")) return settings_kind::xml;
    if (name.ends_with(".env")) return settings_kind::environment;
    if (text.starts_with(utf8_mark)) text.remove_prefix(utf8_mark.size());
    const auto first = text.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) return settings_kind::environment;
    if (text[first] == '{' || text[first] == '/') return settings_kind::json;
    return text[first] == '<' ? settings_kind::xml : settings_kind::environment;
}

named_strings read_settings(std::string_view text, settings_kind kind) {
    switch (kind) {
        case settings_kind::json:
            return read_appsettings_strings(text);
        case settings_kind::xml:
            return read_web_config_strings(text);
        case settings_kind::environment:
            break;
    }
    return read_environment_strings(text);
}

std::string connection_string_variable(std::string_view variable) {
    // The prefixes that .NET's provider of variables turns into ConnectionStrings:NAME.
    for (const std::string_view prefix :
         {"connectionstrings__", "connectionstrings:", "customconnstr_", "postgresqlconnstr_"}) {
        if (variable.size() > prefix.size() &&
            same_in_any_case(variable.substr(0, prefix.size()), prefix))
            return std::string{variable.substr(prefix.size())};
    }
    return {};
}

chosen_string choose_string(std::span<const named_string> among, std::string_view name) {
    if (among.empty()) return {nullptr, "holds no connection string"};
    const named_string* found = nullptr;
    if (!name.empty()) {
        for (const auto& one : among) {
            if (!same_in_any_case(one.name, name)) continue;
            if (found != nullptr)
                return {nullptr, "has \"" + protocol::printable(name) + "\" in lines " +
                                     std::to_string(found->line) + " and " +
                                     std::to_string(one.line) + "; keep one of them"};
            found = &one;
        }
        if (found == nullptr)
            return {nullptr, "has no connection string \"" + protocol::printable(name) +
                                 "\"; it has " + names_of(among)};
        return {found, {}};
    }
    std::string all;
    int fitting = 0;
    for (const auto& one : among) {
        const std::string other = whose(one);
        all += (all.empty() ? "" : ", ") + protocol::printable(one.name) + other;
        if (!other.empty()) continue;
        found = &one;
        ++fitting;
    }
    if (fitting == 1) return {found, {}};
    if (fitting == 0 && among.size() == 1)
        return {&among.front(), {}};  // whoever asks says why not
    return {nullptr, (fitting == 0 ? "has no connection string of PostgreSQL: "
                                   : "has more than one; say which with --name: ") +
                         all};
}

std::string with_edits(std::string_view file, const named_string& which,
                       std::span<const text_edit> edits) {
    std::string out;
    std::size_t done = 0;
    for (const auto& edit : edits) {
        out.append(file.substr(done, which.at[edit.begin] - done)).append(edit.text);
        done = which.at[edit.end];
    }
    return out.append(file.substr(done));
}

void append_utf8(std::string& out, std::uint32_t c) {
    const auto byte = [&out](std::uint32_t b) { out += static_cast<char>(b); };
    if (c < 0x80) return byte(c);
    if (c >= 0x10000) byte(0xf0 | c >> 18U);
    if (c >= 0x10000) byte(0x80 | (c >> 12U & 0x3f));
    if (c >= 0x800 && c < 0x10000) byte(0xe0 | c >> 12U);
    if (c >= 0x800) byte(0x80 | (c >> 6U & 0x3f));
    if (c < 0x800) byte(0xc0 | c >> 6U);
    byte(0x80 | (c & 0x3f));
}

int line_at(std::string_view text, std::size_t at) {
    return 1 + static_cast<int>(std::ranges::count(text.substr(0, at), '\n'));
}

}  // namespace pgsidecar::ops
