#include "proxy/core/dialect.h"

#include <algorithm>
#include <array>

namespace pgsidecar::core {

bool has_high_byte(std::string_view text) noexcept {
    return std::any_of(text.begin(), text.end(),
                       [](char c) { return static_cast<unsigned char>(c) >= 0x80; });
}

// PostgreSQL 15, "Character Set Support". Not ascii_apart: SJIS, BIG5, GBK, UHC, GB18030, JOHAB.
dialect::encoding dialect::encoding_of(std::string_view value) noexcept {
    if (value == "UTF8") return encoding::utf8;
    if (value == "SQL_ASCII") return encoding::sql_ascii;
    static constexpr std::array<std::string_view, 5> apart{"LATIN", "WIN", "ISO_8859", "KOI8",
                                                           "EUC_"};
    const bool known = std::any_of(apart.begin(), apart.end(), [&](std::string_view family) {
        return value.starts_with(family);
    });
    return known ? encoding::ascii_apart : encoding::other;
}

void dialect::report(std::string_view name, std::string_view value) {
    if (name == "standard_conforming_strings")
        standard_strings_ = value == "on";
    else if (name == "client_encoding")
        client_ = encoding_of(value);
    else if (name == "server_encoding")
        server_ = encoding_of(value);
}

bool dialect::may_change(const planned_write& effects) const {
    return effects.taints_session ||
           std::any_of(effects.settings.begin(), effects.settings.end(), [this](const auto& set) {
               if (set.all) return !began_plain_;  // back to what the log-in gave
               return set.name == "client_encoding" || set.name == "standard_conforming_strings";
           });
}

reading dialect::read_closely(std::string_view sql, bool unsure) const noexcept {
    const bool escapes = unsure || !standard_strings_;
    if (escapes && sql.find('\\') != std::string_view::npos) return reading::none;
    if (!has_high_byte(sql)) return reading::plain;  // in ASCII all encodings agree
    if (unsure) return reading::none;
    // To and from SQL_ASCII nothing is converted: such a client speaks the server's encoding, and
    // every one that a server may have is ascii_apart. The catalogs are read in UTF-8.
    const auto effective = client_ == encoding::sql_ascii ? server_ : client_;
    switch (effective) {
        case encoding::utf8:
            return reading::plain;
        case encoding::sql_ascii:
        case encoding::ascii_apart:
            return reading::names_unknown;
        default:
            return reading::none;
    }
}

}  // namespace pgsidecar::core
