// Shared by the tests of protocol/: tables of message bodies, each of which is tried whole, cut at
// every byte, and with a byte too many. Bodies are parsed from heap copies of exactly their size,
// so that AddressSanitizer sees a read of the first byte beyond.
#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include "protocol/bytes.h"

namespace pgsidecar::protocol::test {

using namespace std::literals;

class exact {
  public:
    explicit exact(bytes in) : data_{new char[in.size()]}, size_{in.size()} {
        std::copy(in.begin(), in.end(), data_.get());
    }
    operator bytes() const { return {data_.get(), size_}; }  // NOLINT: stands for the bytes

  private:
    std::unique_ptr<char[]> data_;
    std::size_t size_;
};

// A whole typed message around a body, made without the writer under test.
inline std::string framed(char type, bytes body) {
    const auto length = body.size() + 4;
    std::string out{type};
    for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(length >> shift));
    return out.append(body);
}

inline std::string repeat(std::size_t count, std::string_view text) {
    std::string out;
    for (; count > 0; --count) out.append(text);
    return out;
}

struct row {
    const char* name;
    std::string_view body;
    int want = 0;  // an errc
};

template <class Message>
int outcome(bytes body) {
    Message got{};
    const auto error = parse(exact{body}, got);
    if (error) CHECK(&error.category() == &category());
    return error.value();
}

template <class Message>
void check_round_trip(bytes body) {
    const exact copy{body};
    Message got{};
    REQUIRE(parse(copy, got) == std::error_code{});
    std::string written = "before";  // a writer appends
    write(written, got);
    CHECK(written == "before" + framed(Message::type, body));
}

template <class Message>
void check_rows(std::initializer_list<row> rows) {
    for (const auto& r : rows) {
        CAPTURE(r.name);
        CHECK(outcome<Message>(r.body) == r.want);
        if (r.want == 0) check_round_trip<Message>(r.body);
    }
}

// For messages that say themselves where they end: besides the rows as they stand, no strict prefix
// of a good one may pass, nor one with a byte added.
template <class Message>
void check_closed(std::initializer_list<row> rows) {
    check_rows<Message>(rows);
    for (const auto& r : rows) {
        if (r.want != 0) continue;
        CAPTURE(r.name);
        for (std::size_t size = 0; size < r.body.size(); ++size) {
            CAPTURE(size);
            CHECK(outcome<Message>(r.body.substr(0, size)) != 0);
        }
        for (const char extra : {'\0', '!'}) {
            CHECK(outcome<Message>(std::string{r.body} + extra) == int(errc::trailing_bytes));
        }
    }
}

}  // namespace pgsidecar::protocol::test
