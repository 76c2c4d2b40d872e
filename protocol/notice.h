// ErrorResponse and NoticeResponse: fields of a one-byte code and a text, closed by a zero byte.
// Unknown codes are kept, for a server may add some. No field is taken for granted: servers before
// any authentication, poolers and balancers leave out even the SQLSTATE; an accessor then gives "".
// Views live until the read buffer is next prepared.
// Protocol 3.0, "Error and Notice Message Fields".
#pragma once
#include <string>
#include <string_view>

#include "protocol/bytes.h"
#include "protocol/lists.h"

namespace pgsidecar::protocol {

struct notice_field {
    char code = 0;
    std::string_view text;
    bool operator==(const notice_field&) const = default;
};
[[nodiscard]] notice_field read_notice_field(reader& in) noexcept;

class notice_fields {
  public:
    using iterator = list_iterator<notice_field, read_notice_field>;
    [[nodiscard]] static notice_fields read(reader& in) noexcept;
    [[nodiscard]] iterator begin() const noexcept { return iterator{raw_}; }
    [[nodiscard]] iterator end() const noexcept { return iterator{}; }
    // The text of the first field with that code, "" without one.
    [[nodiscard]] std::string_view find(char code) const noexcept;
    [[nodiscard]] bytes raw() const noexcept { return raw_; }  // without the closing zero byte
    bool operator==(const notice_fields&) const = default;

  private:
    bytes raw_;
};

struct server_message {
    notice_fields fields;

    // The untranslated severity (servers since 9.6 send it), else the one for people.
    [[nodiscard]] std::string_view severity() const noexcept;
    [[nodiscard]] std::string_view sqlstate() const noexcept { return fields.find('C'); }
    [[nodiscard]] std::string_view message() const noexcept { return fields.find('M'); }
    [[nodiscard]] std::string_view detail() const noexcept { return fields.find('D'); }
    [[nodiscard]] std::string_view hint() const noexcept { return fields.find('H'); }
    bool operator==(const server_message&) const = default;
};

struct error_response : server_message {
    static constexpr char type = 'E';
};
struct notice_response : server_message {
    static constexpr char type = 'N';
};

[[nodiscard]] std::error_code parse(bytes body, error_response& out) noexcept;
[[nodiscard]] std::error_code parse(bytes body, notice_response& out) noexcept;

void write(std::string& out, const error_response& m);
void write(std::string& out, const notice_response& m);

// For messages of our own making. `detail` and `hint` are left out when empty.
void write_error(std::string& out, std::string_view severity, std::string_view sqlstate,
                 std::string_view message, std::string_view detail = {},
                 std::string_view hint = {});
void write_notice(std::string& out, std::string_view severity, std::string_view sqlstate,
                  std::string_view message, std::string_view detail = {},
                  std::string_view hint = {});

}  // namespace pgsidecar::protocol
