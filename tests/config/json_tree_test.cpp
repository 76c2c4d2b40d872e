// JSON texts made to confuse or to cost: each is refused with its line, quickly.
#include "config/json_tree.h"

#include <ctime>
#include <functional>
#include <string>

#include "tests/config/support.h"

using namespace pgsidecar::config;

namespace {

lines problems_of_json(std::string_view text) { return problems_of(read_json(text).problems); }

// {"a": ... {"a": MIDDLE } ... }
std::string nested(int depth, const std::string& middle) {
    std::string out;
    for (int i = 0; i < depth; ++i) out += "{\"a\":";
    return out.append(middle).append(static_cast<std::size_t>(depth), '}');
}

}  // namespace

TEST_CASE("json: a tree that remembers its lines") {
    const tree_result r = read_json(
        "\xef\xbb\xbf{ // first\r\n\"a\": [1, -2.50,\n true, \"x\\u00e9\"],"
        "\n\n\"b\": null, }\n");
    REQUIRE(problems_of(r.problems) == lines{});
    REQUIRE(r.root.kind == node_kind::map);
    REQUIRE(r.root.keys.size() == 2);
    CHECK(r.root.keys[0].text == "a");
    CHECK(r.root.keys[0].line == 2);
    CHECK(r.root.keys[1].line == 5);
    CHECK(r.root.items[1].kind == node_kind::null);
    const node& list = r.root.items[0];
    REQUIRE(list.items.size() == 4);
    CHECK(list.items[0].text == "1");
    CHECK(list.items[1].text == "-2.50");  // as it was written
    CHECK(list.items[1].line == 2);
    CHECK(list.items[2].text == "true");
    CHECK(list.items[2].line == 3);
    CHECK(list.items[3].text == "x\xc3\xa9");
}

TEST_CASE("json: text that is not what it seems is refused at its line") {
    static const struct {
        const char* name;
        std::string text;
        lines want;
    } rows[] = {
        {"nothing", "", {"f:1: is not valid JSON: it ends too early"}},
        {"blank", " \n \n", {"f:2: is not valid JSON: it ends too early"}},
        {"open", "{\n\"a\": {\n", {"f:2: is not valid JSON: it ends too early"}},
        {"open quote", "{\n\"a\": \"b", {"f:2: is not valid JSON: it ends too early"}},
        {"open comment", "{} /* \n\n", {"f:2: is not valid JSON: it ends too early"}},
        {"quote over two lines", "{\n\"a\": \"b\nc\"}", {"f:2: is not valid JSON: syntax error"}},
        {"tab in a text", "{\n\"a\": \"b\tc\"}", {"f:2: is not valid JSON: syntax error"}},
        {"more behind it", "{}\n{}", {"f:2: is not valid JSON: something follows its end"}},
        {"YAML", "a: 1\n", {"f:1: is not valid JSON: syntax error"}},
        {"bare key", "{\n\n a: 1}", {"f:3: is not valid JSON: syntax error"}},
        {"NUL", std::string{"{\n\0}", 4}, {"f:2: is not valid JSON: syntax error"}},
        {"NaN", "{\"a\":\nNaN}", {"f:2: is not valid JSON: syntax error"}},
        {"leading zero", "{\"a\":\n01}", {"f:2: is not valid JSON: syntax error"}},
        {"UTF-16", std::string{"\xff\xfe{\0}\0", 6}, {"f:1: is UTF-16; save the file as UTF-8"}},
        {"Latin-1", "{\n\"a\": \"caf\xe9\"}", {"f:2: is not UTF-8"}},
        {"Latin-1 in a comment", "{}\n\n// caf\xe9\n", {"f:3: is not UTF-8"}},
        {"key twice",
         "{\"a\": {\n\"b\": 1,\n\"b\": 2}}",
         {"f:3: a.b: is given twice; the first is in line 2"}},
        {"key twice, in other letters",
         "{\"Performance\": {},\n\"performance\": {}}",
         {"f:2: performance: is given twice; the first is in line 1"}},
        {"64 levels", nested(64, "1"), {}},
        {"65 levels", nested(65, "1"), {"f:1: is nested too deeply"}},
        {"a long key",
         "{\"" + std::string(5000, 'a') + "\": 1}",
         {"f:1: is not valid JSON: key too large"}},
    };
    for (const auto& row : rows) {
        CAPTURE(std::string{row.name});
        CHECK(problems_of_json(row.text) == row.want);
    }
}

TEST_CASE("json: every cut of a good text is refused, none of them with a crash") {
    const std::string text =
        "{\"a\": [1, -2.5e3, true, null, \"x\\u00e9\\\\\"], // c\n \"b\": {\"c\": /* d */ {}}}";
    CHECK(problems_of_json(text) == lines{});
    for (std::size_t i = 0; i < text.size(); ++i) {
        CAPTURE(i);
        CHECK(problems_of_json(text.substr(0, i)).size() == 1);
    }
}

TEST_CASE("json: a hostile text is read or refused in bounded time") {
    const std::size_t full = max_file_size - 1000;
    static const struct {
        const char* name;
        std::function<std::string(std::size_t)> make;
        bool good;
    } rows[] = {
        {"10 MB", [](std::size_t) { return std::string(10u << 20, '['); }, false},
        {"brackets", [](std::size_t n) { return std::string(n, '['); }, false},
        {"brackets on lines", [](std::size_t n) { return repeat("[\n", n); }, false},
        {"braces with keys", [](std::size_t n) { return repeat("{\"a\":", n); }, false},
        {"numbers", [](std::size_t n) { return "[" + repeat("1,", n) + "]"; }, false},
        {"one number", [](std::size_t n) { return "[" + std::string(n, '1') + "]"; }, true},
        {"one text", [](std::size_t n) { return "[\"" + std::string(n, 'a') + "\"]"; }, true},
        {"escapes", [](std::size_t n) { return "[\"" + repeat("\\u00e9", n) + "\"]"; }, true},
        {"keys, all the same", [](std::size_t n) { return "{" + repeat("\"a\":1,", n / 4) + "}"; },
         false},
        {"empty lines, far inside",
         [](std::size_t n) { return nested(60, "1" + std::string(n, '\n')); }, true},
        {"comments, far inside", [](std::size_t n) { return nested(60, "1" + repeat("//\n", n)); },
         true},
        {"one comment on many lines",
         [](std::size_t n) { return nested(60, "1/*" + repeat("x\n", n) + "*/"); }, true},
    };
    for (const auto& row : rows) {
        CAPTURE(std::string{row.name});
        const std::string text = row.make(full);
        const std::clock_t start = std::clock();  // processor time: the machine may be busy
        const lines got = problems_of_json(text);
        const double took = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
        CHECK(got.empty() == row.good);
        CHECK(got.size() <= 20);
        for (const std::string& one : got) CHECK(one.size() < 500);
        CHECK(took < 20.0);  // seconds; a debug build under a sanitizer takes a few
    }
}
