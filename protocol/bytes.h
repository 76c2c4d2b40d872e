// The two cursors under every message: reader over bytes that a peer sent, writer onto a string.
// A reader owns nothing; the views it hands out live as long as the bytes it was given (until the
// read buffer is next prepared). Its first failure sticks: later reads return zeros and empty
// views, so a parser reads all its fields and asks once, by finish(). Integers are big-endian.
#pragma once
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/error.h"

namespace pgsidecar::protocol {

using bytes = std::string_view;

class reader {
  public:
    explicit constexpr reader(bytes in) noexcept : rest_{in} {}

    std::uint8_t u8() noexcept { return static_cast<std::uint8_t>(integer<1>()); }
    std::uint16_t u16() noexcept { return static_cast<std::uint16_t>(integer<2>()); }
    std::uint32_t u32() noexcept { return integer<4>(); }
    std::int16_t i16() noexcept { return static_cast<std::int16_t>(u16()); }
    std::int32_t i32() noexcept { return static_cast<std::int32_t>(u32()); }

    // Up to the next zero byte, which is consumed and not part of the result.
    std::string_view cstring() noexcept {
        const auto end = rest_.find('\0');
        if (end == bytes::npos) {
            fail(errc::truncated);
            return {};
        }
        const auto out = rest_.substr(0, end);
        rest_.remove_prefix(end + 1);
        return out;
    }

    bytes take(std::size_t n) noexcept {
        if (n > rest_.size()) {
            fail(errc::truncated);
            return {};
        }
        const auto out = rest_.substr(0, n);
        rest_.remove_prefix(n);
        return out;
    }

    bytes rest() noexcept { return take(rest_.size()); }

    [[nodiscard]] std::size_t remaining() const noexcept { return rest_.size(); }
    [[nodiscard]] bytes peek() const noexcept { return rest_; }
    [[nodiscard]] bool failed() const noexcept { return error_ != errc{}; }

    // Drops what is left, so that nothing behind a failure is ever interpreted.
    void fail(errc e) noexcept {
        if (!failed()) error_ = e;
        rest_ = {};
    }

    [[nodiscard]] std::error_code error() const noexcept {
        return failed() ? make_error_code(error_) : std::error_code{};
    }

    [[nodiscard]] std::error_code finish() noexcept {
        if (!rest_.empty()) fail(errc::trailing_bytes);
        return error();
    }

  private:
    // Zero where there is too little. Compilers make one load of the whole of it.
    template <std::size_t size>
    std::uint32_t integer() noexcept {
        const auto field = take(size);
        if (field.size() != size) return 0;
        const auto at = [field](std::size_t i) {
            return std::uint32_t{static_cast<std::uint8_t>(field[i])};
        };
        if constexpr (size == 1) return at(0);
        if constexpr (size == 2) return at(0) << 8 | at(1);
        if constexpr (size == 4) return at(0) << 24 | at(1) << 16 | at(2) << 8 | at(3);
    }

    bytes rest_;
    errc error_{};
};

// Appends to a string that the caller owns. A message is begin(type), its fields, end().
class writer {
  public:
    explicit writer(std::string& out) noexcept : out_{out} {}

    void u8(std::uint8_t v) { out_.push_back(static_cast<char>(v)); }
    void u16(std::uint16_t v) { integer(v, 2); }
    void u32(std::uint32_t v) { integer(v, 4); }
    void i16(std::int16_t v) { u16(static_cast<std::uint16_t>(v)); }
    void i32(std::int32_t v) { u32(static_cast<std::uint32_t>(v)); }
    void raw(bytes v) { out_.append(v); }

    // A zero byte inside v would end the field early and let its rest pass as other fields, so the
    // text is cut there.
    void cstring(std::string_view v) {
        raw(v.substr(0, v.find('\0')));
        u8(0);
    }

    void begin(char type) {
        u8(static_cast<std::uint8_t>(type));
        begin_untyped();
    }

    // Start-up packets have no type byte.
    void begin_untyped() {
        length_at_ = out_.size();
        u32(0);
    }

    void end() {
        const std::size_t length = out_.size() - length_at_;
        assert(length >= 4 && length <= 0x7fffffff);
        for (std::size_t i = 0; i < 4; ++i) {
            out_[length_at_ + i] = static_cast<char>(length >> (24 - 8 * i) & 0xff);
        }
    }

  private:
    void integer(std::uint32_t v, int size) {
        while (size-- > 0) u8(static_cast<std::uint8_t>(v >> (8 * size) & 0xff));
    }

    std::string& out_;
    std::size_t length_at_ = 0;
};

}  // namespace pgsidecar::protocol
