#include "protocol/lists.h"

namespace pgsidecar::protocol {
namespace {

// The part of `before` that `in` has consumed since.
bytes consumed(bytes before, const reader& in) noexcept {
    return in.failed() ? bytes{} : before.substr(0, before.size() - in.remaining());
}

bytes read_fixed(reader& in, std::size_t item_size) noexcept {
    const auto before = in.peek();
    const std::size_t count = in.u16();
    (void)in.take(count * item_size);
    return consumed(before, in);
}

template <class Item>
bytes read_items(reader& in, Item (*read)(reader&) noexcept) noexcept {
    const auto before = in.peek();
    for (auto left = in.u16(); left > 0 && !in.failed(); --left) (void)read(in);
    return consumed(before, in);
}

}  // namespace

format_list format_list::read(reader& in) noexcept {
    format_list out;
    out.raw_ = read_fixed(in, 2);
    return out;
}

std::int16_t format_list::operator[](std::size_t i) const noexcept {
    assert(i < count());
    return reader{items().substr(2 * i)}.i16();
}

oid_list oid_list::read(reader& in) noexcept {
    oid_list out;
    out.raw_ = read_fixed(in, 4);
    return out;
}

std::uint32_t oid_list::operator[](std::size_t i) const noexcept {
    assert(i < count());
    return reader{items().substr(4 * i)}.u32();
}

std::optional<bytes> read_value(reader& in) noexcept {
    const auto length = in.i32();
    if (length == -1) return std::nullopt;
    if (length < 0) {
        in.fail(errc::bad_length);
        return std::nullopt;
    }
    return in.take(static_cast<std::size_t>(length));
}

value_list value_list::read(reader& in) noexcept {
    value_list out;
    out.raw_ = read_items(in, read_value);
    return out;
}

column read_column(reader& in) noexcept {
    return {in.cstring(), in.u32(), in.i16(), in.u32(), in.i16(), in.i32(), in.i16()};
}

column_list column_list::read(reader& in) noexcept {
    column_list out;
    out.raw_ = read_items(in, read_column);
    return out;
}

void write_list(writer& out, const counted_list& list) {
    if (list.raw().empty()) {
        out.u16(0);
    } else {
        out.raw(list.raw());
    }
}

void write_value(writer& out, const std::optional<bytes>& value) {
    if (!value) return out.i32(-1);
    assert(value->size() <= 0x7fffffff);
    out.i32(static_cast<std::int32_t>(value->size()));
    out.raw(*value);
}

void write_column(writer& out, const column& c) {
    out.cstring(c.name);
    out.u32(c.table_oid);
    out.i16(c.attribute);
    out.u32(c.type_oid);
    out.i16(c.type_size);
    out.i32(c.type_modifier);
    out.i16(c.format);
}

}  // namespace pgsidecar::protocol
