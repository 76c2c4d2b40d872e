#include "proxy/ops/answer.h"

#include <doctest/doctest.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

using pgsidecar::ops::answer;
using pgsidecar::ops::answer_cell;
using pgsidecar::ops::answer_column;
using pgsidecar::ops::difference_of;

namespace {

using rows = std::vector<std::vector<answer_cell>>;
constexpr std::string_view secret = "zz91q";

const std::vector<answer_column> two_columns{{"id", 23, -1, 0}, {"name", 25, -1, 0}};

answer made(const rows& all, std::size_t keep = answer::default_keep,
            const std::vector<answer_column>& columns = two_columns) {
    answer out{keep};
    out.columns(columns);
    for (const auto& row : all) out.row(row);
    out.complete("SELECT " + std::to_string(all.size()));
    return out;
}

answer failing(std::string_view sqlstate) {
    answer out;
    out.fail(sqlstate);
    return out;
}

// "kind @row,column: words", or "same".
std::string told(const answer& blue, const answer& green, bool ordered = true) {
    const auto d = difference_of(blue, green, ordered);
    if (!d) return "same";
    CHECK(d->words.find(secret) == std::string::npos);
    return d->kind + " @" + std::to_string(d->row) + "," + std::to_string(d->column) + ": " +
           d->words;
}

// n rows, each of some bytes; row `other` is another one.
answer many(int n, std::size_t keep, int other = -1) {
    rows all;
    std::vector<std::string> texts;
    texts.reserve(static_cast<std::size_t>(n));
    for (int i = 0; i < n; ++i) texts.push_back(std::to_string(i == other ? -i : i));
    for (const auto& text : texts) all.push_back({text, "x"});
    return made(all, keep);
}

}  // namespace

TEST_CASE("answer: the same is the same") {
    CHECK(told(made({}), made({})) == "same");
    CHECK(told(made({{"1", "a"}, {std::nullopt, ""}}), made({{"1", "a"}, {std::nullopt, ""}})) ==
          "same");
    CHECK(told(failing("42P01"), failing("42P01")) == "same");
}

TEST_CASE("answer: each difference is told by its place and kind, without a value") {
    const auto blue = made({{"1", "a"}, {"2", secret}});
    CHECK(told(blue, made({{"1", "a"}, {"2", "zz91qq"}})) ==
          "value @2,2: row 2, column 2 (name): 5 bytes on blue, 6 on green");
    CHECK(told(blue, made({{"1", "a"}, {"2", "zz91x"}})) ==
          "value @2,2: row 2, column 2 (name): 5 bytes on both, the first other one is byte 5");
    CHECK(told(blue, made({{"1", "a"}, {"2", std::nullopt}})) ==
          "null @2,2: row 2, column 2 (name): 5 bytes on blue, NULL on green");
    CHECK(told(made({{std::nullopt, "a"}}), made({{"", "a"}})) ==
          "null @1,1: row 1, column 1 (id): NULL on blue, 0 bytes on green");
    CHECK(told(blue, made({{"1", "a"}})) ==
          "rows @2,0: 2 rows on blue, 1 on green; as far as both go they are the same");
    CHECK(told(blue, made({{"9", "a"}, {"2", secret}, {"3", "c"}})) ==
          "rows @1,0: 2 rows on blue, 3 on green; the first other one is row 1");
    CHECK(told(blue, made({{"2", secret}, {"1", "a"}})) ==
          "order @1,0: the same rows in another order, from row 1 on; does ORDER BY leave ties?");
    CHECK(told(blue, failing("55P03")) ==
          "failed @0,0: blue: answers; green: fails with SQLSTATE 55P03");
    CHECK(told(failing("42P01"), failing("42703")) ==
          "failed @0,0: blue: fails with SQLSTATE 42P01; green: fails with SQLSTATE 42703");
    CHECK(told(blue, failing(answer::lost)) ==
          "failed @0,0: blue: answers; green: connection lost");
}

TEST_CASE("answer: what is said of columns") {
    const auto blue = made({{"1", "a"}});
    const auto with = [](answer_column id) {
        return made({{"1", "a"}}, answer::default_keep, {std::move(id), {"name", 25, -1, 0}});
    };
    CHECK(told(blue, with({"id", 20, -1, 0})) ==
          "columns @0,1: column 1: type 23 on blue, 20 on green");
    CHECK(told(blue, with({"id", 23, -1, 1})) ==
          "columns @0,1: column 1: format 0 on blue, 1 on green");
    CHECK(told(blue, with({"id", 23, 8, 0})) ==
          "columns @0,1: column 1: type modifier -1 on blue, 8 on green");
    CHECK(told(blue, with({std::string{secret}, 23, -1, 0})) ==
          "columns @0,1: column 1: another name");
    CHECK(told(blue, made({{"1"}}, answer::default_keep, {{"id", 23, -1, 0}})) ==
          "columns @0,0: 2 columns on blue, 1 on green");
}

TEST_CASE("answer: without an order rows are a multiset") {
    const auto blue = made({{"1", "a"}, {"2", "b"}, {"2", "b"}});
    CHECK(told(blue, made({{"2", "b"}, {"1", "a"}, {"2", "b"}}), false) == "same");
    CHECK(told(blue, made({{"2", "b"}, {"1", "a"}, {"1", "a"}}), false) ==
          "value @3,1: row 3, column 1 (id): 1 byte on both, the first other one is byte 1");
    CHECK(told(blue, made({{"8", "b"}, {"9", "b"}, {"1", "a"}}), false) ==
          "rows @2,0: 2 rows of blue not among green's, 2 of green's not among blue's; the first "
          "is row 2 of blue");
    CHECK(told(blue, made({{"1", "a"}, {"2", "b"}}), false) ==
          "rows @3,0: 3 rows on blue, 2 on green; 1 row of blue not among green's, 0 of green's "
          "not among blue's; the first is row 3 of blue");
}

TEST_CASE("answer: what belongs to one value does not go over into the next") {
    CHECK(told(made({{"ab", "c"}}), made({{"a", "bc"}})) != "same");
    CHECK(told(made({{"ab", "c"}}), made({{"a", "bc"}}), false) != "same");
    CHECK(made({{"ab", "c"}}).identity(true) != made({{"a", "bc"}}).identity(true));
}

TEST_CASE("answer: beyond what is kept the block of rows is told") {
    constexpr std::size_t keep = 4096;
    const auto blue = many(5000, keep);
    CHECK(blue.kept() > 50);
    CHECK(blue.kept() < 1000);
    CHECK(told(blue, many(5000, keep)) == "same");
    CHECK(told(blue, many(5000, keep), false) == "same");
    const auto from = blue.kept() + answer::block_rows;
    CHECK(told(blue, many(5000, keep, static_cast<int>(from) + 3)) ==
          "value @" + std::to_string(from + 1) + ",0: one of the rows " + std::to_string(from + 1) +
              " to " + std::to_string(from + answer::block_rows) +
              ", which are beyond what is kept to look closer");
    CHECK(told(blue, many(5000, keep, 4999)).find(" to 5000,") != std::string::npos);
    CHECK(told(blue, many(5000, keep, 4999), false) ==
          "rows @0,0: other rows; they are too many to look closer");
    CHECK(told(blue, many(4999, keep)) ==
          "rows @" + std::to_string(blue.kept() + 1) + ",0: 5000 rows on blue, 4999 on green");
    CHECK(told(blue, many(5000, keep, 3)).find("row 4, column 1 (id): 1 byte on blue, 2") !=
          std::string::npos);
}

TEST_CASE("answer: its identity") {
    const auto a = made({{"1", "a"}, {"2", "b"}}), b = made({{"2", "b"}, {"1", "a"}});
    CHECK(a.identity(false) == b.identity(false));
    CHECK(a.identity(true) != b.identity(true));
    CHECK(a.identity(true) == made({{"1", "a"}, {"2", "b"}}, 1).identity(true));
    CHECK(a.identity(false) != made({{"1", "a"}}).identity(false));
    CHECK(failing("42P01").identity(true) != failing("42703").identity(true));
    CHECK(a.identity(true) != made({{"1", "a"}, {"2", "b"}}, answer::default_keep,
                                   {{"id", 20, -1, 0}, {"name", 25, -1, 0}})
                                  .identity(true));
}
