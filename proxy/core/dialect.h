// How a text is to be read so that it means to the analysis what it means to the server. The
// analysis reads UTF-8 with standard_conforming_strings = on. With that setting off a backslash
// escapes in every literal; in another encoding the same bytes name another table, and in some a
// character may end in the byte of a backslash. The server reports both settings (ParameterStatus,
// protocol 3.0 "Asynchronous Operations"), but not before the ReadyForQuery that follows a change:
// until then what is sent may be read either way.
#pragma once
#include <cstdint>
#include <string_view>

#include "proxy/core/decider.h"

namespace pgsidecar::core {

class dialect {
  public:
    void report(std::string_view name, std::string_view value);
    void logged_in() noexcept { began_plain_ = plain(); }
    // After this, nothing is certain while replies are owed.
    void note_change() noexcept { changed_ = true; }

    // False: the statement leaves both settings as they are.
    [[nodiscard]] bool may_change(const planned_write& effects) const;
    [[nodiscard]] reading read(std::string_view sql, bool replies_owed) const noexcept {
        if (plain() && !(changed_ && replies_owed)) return reading::plain;
        return read_closely(sql, changed_ && replies_owed);
    }
    // Texts and values mean the same in other sessions of this kind.
    [[nodiscard]] bool shareable() const noexcept { return plain(); }
    // Start-up parameters are not converted: the server takes them to be in its own encoding.
    [[nodiscard]] bool utf8_server() const noexcept { return server_ == encoding::utf8; }

  private:
    enum class encoding : std::uint8_t {
        unknown,
        utf8,
        sql_ascii,
        ascii_apart,  // every byte of a character outside ASCII is above it
        other
    };
    [[nodiscard]] static encoding encoding_of(std::string_view value) noexcept;
    [[nodiscard]] bool plain() const noexcept {
        return standard_strings_ && client_ == encoding::utf8;
    }
    [[nodiscard]] reading read_closely(std::string_view sql, bool unsure) const noexcept;

    encoding client_ = encoding::unknown;
    encoding server_ = encoding::unknown;
    bool standard_strings_ = false;
    bool began_plain_ = false;
    bool changed_ = false;
};

[[nodiscard]] bool has_high_byte(std::string_view text) noexcept;

}  // namespace pgsidecar::core
