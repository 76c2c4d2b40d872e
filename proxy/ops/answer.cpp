#include "proxy/ops/answer.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "protocol/ascii.h"

namespace pgsidecar::ops {
namespace {

using cache::hash128;
using std::to_string;

constexpr std::uint32_t null_length = 0xffffffff;

void append_number(std::string& out, std::uint64_t number) {
    std::array<char, sizeof number> bytes{};
    std::memcpy(bytes.data(), &number, sizeof number);
    out.append(bytes.data(), bytes.size());
}

void append_sized(std::string& out, std::string_view text) {
    append_number(out, text.size());
    out.append(text);
}

hash128 chained(const hash128& before, const hash128& next) {
    const std::array both{before.lo, before.hi, next.lo, next.hi};
    std::array<char, sizeof both> bytes{};
    std::memcpy(bytes.data(), both.data(), bytes.size());
    return cache::hash_key({bytes.data(), bytes.size()});
}

// A row as it is kept: each value behind its length.
void encode(std::string& out, std::span<const answer_cell> cells) {
    out.clear();
    for (const auto& cell : cells) {
        const std::uint32_t length = cell ? static_cast<std::uint32_t>(cell->size()) : null_length;
        std::array<char, sizeof length> bytes{};
        std::memcpy(bytes.data(), &length, sizeof length);
        out.append(bytes.data(), bytes.size());
        if (cell) out.append(*cell);
    }
}

std::vector<answer_cell> decode(std::string_view row) {
    std::vector<answer_cell> out;
    while (!row.empty()) {
        std::uint32_t length = 0;
        std::memcpy(&length, row.data(), sizeof length);
        row.remove_prefix(sizeof length);
        if (length == null_length) {
            out.emplace_back();
            continue;
        }
        out.emplace_back(row.substr(0, length));
        row.remove_prefix(length);
    }
    return out;
}

std::string counted(std::uint64_t number, std::string_view what) {
    return to_string(number).append(" ").append(what).append(number == 1 ? "" : "s");
}

std::string outcome_of(const answer& a) {
    if (!a.failed()) return "answers";
    const bool ours = a.failure() == answer::lost || a.failure() == answer::silent;
    return ours ? a.failure() : "fails with SQLSTATE " + a.failure();
}

std::optional<difference> outcomes_differ(const answer& blue, const answer& green) {
    if (blue.failure() != green.failure())
        return difference{"failed", "blue: " + outcome_of(blue) + "; green: " + outcome_of(green)};
    if (!blue.failed() && blue.command_tag() != green.command_tag() && blue.rows() == green.rows())
        return difference{"command", "other command tags with as many rows"};
    return std::nullopt;
}

std::optional<difference> columns_differ(const answer& blue, const answer& green) {
    if (blue.columns() == green.columns()) return std::nullopt;
    if (blue.columns().size() != green.columns().size())
        return difference{"columns", counted(blue.columns().size(), "column") + " on blue, " +
                                         to_string(green.columns().size()) + " on green"};
    for (std::size_t i = 0; i < blue.columns().size(); ++i) {
        const auto &b = blue.columns()[i], &g = green.columns()[i];
        if (b == g) continue;
        std::string words = "column " + to_string(i + 1) + ": ";
        if (b.name != g.name)
            words += "another name";
        else if (b.format != g.format)
            words +=
                "format " + to_string(b.format) + " on blue, " + to_string(g.format) + " on green";
        else if (b.type != g.type)
            words += "type " + to_string(b.type) + " on blue, " + to_string(g.type) + " on green";
        else
            words += "type modifier " + to_string(b.modifier) + " on blue, " +
                     to_string(g.modifier) + " on green";
        return difference{"columns", std::move(words), 0, i + 1};
    }
    return std::nullopt;
}

// Two rows that are not the same.
difference rows_differ(const answer& blue, std::uint64_t index, std::string_view blue_row,
                       std::string_view green_row) {
    const auto b = decode(blue_row), g = decode(green_row);
    for (std::size_t i = 0; i < std::min(b.size(), g.size()); ++i) {
        if (b[i] == g[i]) continue;
        std::string words = "row " + to_string(index + 1) + ", column " + to_string(i + 1);
        if (i < blue.columns().size())
            words += " (" + protocol::printable(blue.columns()[i].name) + ")";
        difference out{"value", {}, index + 1, i + 1};
        if (!b[i] || !g[i]) {
            out.kind = "null";
            const auto length = [](const answer_cell& c) {
                return c ? counted(c->size(), "byte") : std::string{"NULL"};
            };
            words += ": " + length(b[i]) + " on blue, " + length(g[i]) + " on green";
        } else if (b[i]->size() != g[i]->size()) {
            words += ": " + counted(b[i]->size(), "byte") + " on blue, " + to_string(g[i]->size()) +
                     " on green";
        } else {
            const auto at = std::ranges::mismatch(*b[i], *g[i]).in1 - b[i]->begin();
            words += ": " + counted(b[i]->size(), "byte") +
                     " on both, the first other one is byte " + to_string(at + 1);
        }
        out.words = std::move(words);
        return out;
    }
    return {"columns", "row " + to_string(index + 1) + ": another number of values", index + 1, 0};
}

std::string counts(const answer& blue, const answer& green) {
    return counted(blue.rows(), "row") + " on blue, " + to_string(green.rows()) + " on green";
}

bool same_set(const answer& a, const answer& b) {
    return a.rows() == b.rows() && a.set() == b.set();
}

std::optional<difference> ordered_rows_differ(const answer& blue, const answer& green) {
    const auto both = std::min(blue.kept(), green.kept());
    std::uint64_t first = 0;
    while (first < both && blue.kept_row(first) == green.kept_row(first)) ++first;
    if (first < both && same_set(blue, green))
        return difference{"order",
                          "the same rows in another order, from row " + to_string(first + 1) +
                              " on; does ORDER BY leave ties?",
                          first + 1, 0};
    if (blue.rows() != green.rows()) {
        std::string words = counts(blue, green);
        if (first < both)
            words += "; the first other one is row " + to_string(first + 1);
        else if (first == std::min(blue.rows(), green.rows()))
            words += "; as far as both go they are the same";
        return difference{"rows", std::move(words), first + 1, 0};
    }
    if (first < both) return rows_differ(blue, first, blue.kept_row(first), green.kept_row(first));
    for (std::size_t i = 0; i < std::min(blue.blocks().size(), green.blocks().size()); ++i) {
        if (blue.blocks()[i] == green.blocks()[i]) continue;
        const auto from = blue.kept() + i * answer::block_rows + 1;
        const auto to = std::min(from + answer::block_rows - 1, blue.rows());
        return difference{"value",
                          "one of the rows " + to_string(from) + " to " + to_string(to) +
                              ", which are beyond what is kept to look closer",
                          from, 0};
    }
    return std::nullopt;
}

// Indexes of the kept rows, by what is in them.
std::vector<std::uint64_t> sorted_rows(const answer& a) {
    std::vector<std::uint64_t> out(a.kept());
    for (std::uint64_t i = 0; i < out.size(); ++i) out[i] = i;
    std::ranges::sort(out, [&a](auto x, auto y) {
        return std::pair{a.kept_row(x), x} < std::pair{a.kept_row(y), y};
    });
    return out;
}

// The rows of `a` that have no match in `b`, in the order of `a`.
std::vector<std::uint64_t> unmatched(const answer& a, const answer& b) {
    const auto in_a = sorted_rows(a), in_b = sorted_rows(b);
    std::vector<std::uint64_t> out;
    auto at = in_b.begin();
    for (const auto row : in_a) {
        while (at != in_b.end() && b.kept_row(*at) < a.kept_row(row)) ++at;
        if (at != in_b.end() && b.kept_row(*at) == a.kept_row(row))
            ++at;
        else
            out.push_back(row);
    }
    std::ranges::sort(out);
    return out;
}

std::optional<difference> sets_differ(const answer& blue, const answer& green) {
    if (same_set(blue, green)) return std::nullopt;
    const std::string numbers = blue.rows() == green.rows() ? std::string{} : counts(blue, green);
    if (blue.kept() != blue.rows() || green.kept() != green.rows())
        return difference{
            "rows", numbers.empty() ? "other rows; they are too many to look closer" : numbers};
    const auto of_blue = unmatched(blue, green), of_green = unmatched(green, blue);
    if (numbers.empty() && of_blue.size() == 1)
        return rows_differ(blue, of_blue[0], blue.kept_row(of_blue[0]),
                           green.kept_row(of_green[0]));
    difference out{"rows", numbers};
    if (!numbers.empty()) out.words += "; ";
    out.words += counted(of_blue.size(), "row") + " of blue not among green's, " +
                 to_string(of_green.size()) + " of green's not among blue's";
    if (!of_blue.empty()) {
        out.row = of_blue.front() + 1;
        out.words += "; the first is row " + to_string(out.row) + " of blue";
    }
    return out;
}

}  // namespace

void answer::row(std::span<const answer_cell> cells) {
    encode(scratch_, cells);
    for (const auto& cell : cells) bytes_ += cell ? cell->size() : 0;
    const auto hash = cache::hash_key(scratch_);
    in_order_ = chained(in_order_, hash);
    set_.lo += hash.lo;
    set_.hi += hash.hi;
    ++rows_;
    const auto taken = kept_.size() + offsets_.size() * sizeof(std::size_t);
    if (kept() + 1 == rows_ && taken + scratch_.size() <= keep_) {
        offsets_.push_back(kept_.size());
        kept_.append(scratch_);
        return;
    }
    if ((rows_ - kept() - 1) % block_rows == 0) blocks_.emplace_back();
    blocks_.back() = chained(blocks_.back(), hash);
}

std::string_view answer::kept_row(std::uint64_t index) const {
    const auto begin = offsets_[index];
    const auto end = index + 1 < offsets_.size() ? offsets_[index + 1] : kept_.size();
    return std::string_view{kept_}.substr(begin, end - begin);
}

cache::hash128 answer::identity(bool ordered) const {
    std::string all;
    for (const auto& c : columns_) {
        append_sized(all, c.name);
        append_number(all, c.type);
        append_number(all, static_cast<std::uint64_t>(c.modifier));
        append_number(all, static_cast<std::uint64_t>(c.format));
    }
    append_number(all, columns_.size());
    append_sized(all, command_tag_);
    append_sized(all, failure_);
    append_number(all, rows_);
    const auto& rows = ordered ? in_order_ : set_;
    append_number(all, rows.lo);
    append_number(all, rows.hi);
    return cache::hash_key(all);
}

std::optional<difference> difference_of(const answer& blue, const answer& green, bool ordered) {
    if (auto d = outcomes_differ(blue, green)) return d;
    if (blue.failed()) return std::nullopt;
    if (auto d = columns_differ(blue, green)) return d;
    return ordered ? ordered_rows_differ(blue, green) : sets_differ(blue, green);
}

}  // namespace pgsidecar::ops
