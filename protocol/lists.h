// Counted lists inside messages, kept as views of their wire form. read() checks the whole list
// once; after that, walking it cannot fail. raw() is the list as it stands on the wire, its
// two-byte count included, ready for a cache key or for forwarding; a list that was never read is
// empty and is written as a count of zero. Views live as long as the bytes that were parsed. Counts
// are unsigned on the wire, as the server reads them: 65535 parameters are allowed.
#pragma once
#include <cstddef>
#include <iterator>
#include <optional>

#include "protocol/bytes.h"

namespace pgsidecar::protocol {

class counted_list {
  public:
    [[nodiscard]] bytes raw() const noexcept { return raw_; }
    [[nodiscard]] std::size_t count() const noexcept { return reader{raw_}.u16(); }
    [[nodiscard]] bool empty() const noexcept { return count() == 0; }
    bool operator==(const counted_list&) const = default;

  protected:
    [[nodiscard]] bytes items() const noexcept { return raw_.empty() ? raw_ : raw_.substr(2); }
    bytes raw_;
};

// Format codes: 0 text, 1 binary. Other values are passed on for the server to refuse.
class format_list : public counted_list {
  public:
    [[nodiscard]] static format_list read(reader& in) noexcept;
    [[nodiscard]] std::int16_t operator[](std::size_t i) const noexcept;
};

class oid_list : public counted_list {
  public:
    [[nodiscard]] static oid_list read(reader& in) noexcept;
    [[nodiscard]] std::uint32_t operator[](std::size_t i) const noexcept;
};

// Forward iteration over a checked list; Item is made from a reader standing at its first byte.
template <class Item, Item (*Read)(reader&) noexcept>
class list_iterator {
  public:
    using iterator_category = std::input_iterator_tag;
    using value_type = Item;
    using difference_type = std::ptrdiff_t;
    using pointer = const Item*;
    using reference = Item;

    list_iterator() = default;
    explicit list_iterator(bytes rest) noexcept : rest_{rest} {}
    [[nodiscard]] Item operator*() const noexcept {
        reader in{rest_};
        return Read(in);
    }
    list_iterator& operator++() noexcept {
        reader in{rest_};
        (void)Read(in);
        rest_ = in.peek();
        return *this;
    }
    list_iterator operator++(int) noexcept {
        auto old = *this;
        ++*this;
        return old;
    }
    // Both come from one list, so what is left tells where they stand.
    bool operator==(const list_iterator& other) const noexcept {
        return rest_.size() == other.rest_.size();
    }

  private:
    bytes rest_;
};

// Bind's parameters, DataRow's columns: nullopt is NULL.
[[nodiscard]] std::optional<bytes> read_value(reader& in) noexcept;

class value_list : public counted_list {
  public:
    using iterator = list_iterator<std::optional<bytes>, read_value>;
    [[nodiscard]] static value_list read(reader& in) noexcept;
    [[nodiscard]] iterator begin() const noexcept { return iterator{items()}; }
    [[nodiscard]] iterator end() const noexcept { return iterator{}; }
};

// One column of RowDescription.
struct column {
    std::string_view name;
    std::uint32_t table_oid = 0;  // 0 = not a table's column
    std::int16_t attribute = 0;
    std::uint32_t type_oid = 0;
    std::int16_t type_size = 0;
    std::int32_t type_modifier = -1;
    std::int16_t format = 0;  // text in Describe of a statement, whatever will come
    bool operator==(const column&) const = default;
};
[[nodiscard]] column read_column(reader& in) noexcept;

class column_list : public counted_list {
  public:
    using iterator = list_iterator<column, read_column>;
    [[nodiscard]] static column_list read(reader& in) noexcept;
    [[nodiscard]] iterator begin() const noexcept { return iterator{items()}; }
    [[nodiscard]] iterator end() const noexcept { return iterator{}; }
};

// Writes the list as it was read, or a count of zero.
void write_list(writer& out, const counted_list& list);
void write_value(writer& out, const std::optional<bytes>& value);
void write_column(writer& out, const column& c);

}  // namespace pgsidecar::protocol
