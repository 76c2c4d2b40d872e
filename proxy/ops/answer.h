// One answer of a server as `validate` compares it, and what two of them differ in. Rows are given
// one by one; they are kept in full up to a bound, beyond it as a hash for each block of rows, so
// that an answer of any size takes bounded memory. What is said of a difference names places,
// lengths and SQLSTATEs, never a value.
//
//     answer a{keep};  a.columns(...);  a.row(...) ...;  a.complete("SELECT 2")  or a.fail("42P01")
//     if (auto d = difference_of(a, b, ordered)) ...
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cache/key.h"

namespace pgsidecar::ops {

struct answer_column {
    std::string name;
    std::uint32_t type = 0;      // oid
    std::int32_t modifier = -1;  // of the type
    std::int16_t format = 0;     // 0 text, 1 binary
    bool operator==(const answer_column&) const = default;
};

using answer_cell = std::optional<std::string_view>;  // nothing is NULL

class answer {
  public:
    static constexpr std::size_t default_keep = std::size_t{16} << 20U;  // bytes of rows
    static constexpr std::uint64_t block_rows = 1024;

    explicit answer(std::size_t keep = default_keep) : keep_{keep} {}

    void columns(std::vector<answer_column> columns) { columns_ = std::move(columns); }
    void row(std::span<const answer_cell> cells);
    void complete(std::string_view command_tag) { command_tag_ = command_tag; }
    // sqlstate: of the server's error. An answer that did not come has a word of ours instead.
    void fail(std::string_view sqlstate) { failure_ = sqlstate; }
    static constexpr std::string_view lost = "connection lost";
    static constexpr std::string_view silent = "no answer in time";

    [[nodiscard]] const std::vector<answer_column>& columns() const noexcept { return columns_; }
    [[nodiscard]] std::uint64_t rows() const noexcept { return rows_; }
    [[nodiscard]] std::uint64_t bytes() const noexcept { return bytes_; }  // of all values
    [[nodiscard]] const std::string& failure() const noexcept { return failure_; }
    [[nodiscard]] bool failed() const noexcept { return !failure_.empty(); }
    [[nodiscard]] const std::string& command_tag() const noexcept { return command_tag_; }

    // Equal for equal answers, the order of rows left out of account where it does not matter.
    [[nodiscard]] cache::hash128 identity(bool ordered) const;

    // The rows that are kept, from the first.
    [[nodiscard]] std::uint64_t kept() const noexcept { return offsets_.size(); }
    [[nodiscard]] std::string_view kept_row(std::uint64_t index) const;
    // Of block_rows rows each, those that are not kept; the last may be of fewer.
    [[nodiscard]] const std::vector<cache::hash128>& blocks() const noexcept { return blocks_; }
    [[nodiscard]] cache::hash128 set() const noexcept { return set_; }

  private:
    std::size_t keep_;
    std::vector<answer_column> columns_;
    std::string kept_;                  // rows, one behind the other
    std::vector<std::size_t> offsets_;  // where each begins in it
    std::vector<cache::hash128> blocks_;
    cache::hash128 in_order_, set_;  // of all rows: as they stand; as a multiset
    std::uint64_t rows_ = 0, bytes_ = 0;
    std::string scratch_, command_tag_, failure_;
};

struct difference {
    std::string kind;   // a stable word: "failed", "columns", "rows", "value", "null", "order" ...
    std::string words;  // what differs, and how; no values
    std::uint64_t row = 0;   // the first that differs, from 1; 0: none can be named
    std::size_t column = 0;  // likewise
};

// Nothing: they are the same, byte for byte; if not `ordered` whatever the order of their rows.
[[nodiscard]] std::optional<difference> difference_of(const answer& blue, const answer& green,
                                                      bool ordered);

}  // namespace pgsidecar::ops
