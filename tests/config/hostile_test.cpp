// Texts made to confuse or to cost: each is refused with its line, quickly.
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "config/tree.h"
#include "tests/config/support.h"

using namespace pgsidecar::config;

TEST_CASE("text that is not what it seems is refused at its line") {
    static const struct {
        const char* name;
        std::string yaml;
        lines want;
    } rows[] = {
        {"tab as indentation",
         "cache:\n\tmax_memory: 1MB\n",
         {"f:2: a tab in the indentation; YAML takes spaces only"}},
        {"tab after spaces",
         "cache:\n  \tmax_memory: 1MB\n \tx: 1\n",
         {"f:2: a tab in the indentation; YAML takes spaces only",
          "f:3: a tab in the indentation; YAML takes spaces only"}},
        {"key twice",
         "listen_port: 1\nworkers: 2\nlisten_port: 3\n",
         {"f:3: listen_port: is given twice; the first is in line 1"}},
        {"key twice, quoted",
         "listen_port: 1\n'listen_port': 3\n",
         {"f:2: listen_port: is given twice; the first is in line 1"}},
        {"section twice",
         "cache:\n  shards: 1\nlog:\ncache:\n  shards: 2\n",
         {"f:4: cache: is given twice; the first is in line 1"}},
        {"key of a rule twice",
         "cache:\n  rules:\n    - name: a\n      ttl: 5\n      ttl: 6\n",
         {"f:5: cache.rules[0].ttl: is given twice; the first is in line 4"}},
        {"anchor",
         "cache: &c\n  shards: 1\n",
         {"f:1: an anchor (&); write the value where it is needed"}},
        {"alias",
         "listen_addr: &a 127.0.0.1\nupstream:\n  host: *a\n",
         {"f:1: an anchor (&); write the value where it is needed",
          "f:3: an alias (*); write the value out"}},
        {"tag", "listen_port: !!int 5\n", {"f:1: a tag (!); values are read by their key"}},
        {"tag of a program",
         "log: !!python/object:os.system {level: info}\n",
         {"f:1: a tag (!); values are read by their key"}},
        {"second document",
         "listen_port: 1\n---\nlisten_port: 2\n",
         {"f:2: a second document; one file is one document"}},
        {"list as a key",
         "? [a, b]\n: c\n",
         {"f:1: a key must be a name; is a bracket not closed?"}},
        {"unclosed bracket at the start",
         "[a",
         {"f:1: a key must be a name; is a bracket not closed?"}},
        {"empty key", "'': c\n", {"f:1: a key must be a name"}},
        {"no key", ": c\n", {"f:1: a key must be a name"}},
        {"unclosed quote swallows the rest",
         "log: {level: info}\nx: \"/tmp\ncache:\n  shards: 1\n",
         {"f:2: a quote that is not closed in its line"}},
        {"unclosed quote at the end",
         "\xef\xbb\xbflisten_addr: \"127.0.0.1\n",
         {"f:1: a quote that is not closed in its line"}},
        {"quote over two lines",
         "\xef\xbb\xbf# \xc3\xa9\nlog: { file: 'a''\n  b' }\n",
         {"f:2: a quote that is not closed in its line"}},
        {"escaped quote", "a: \"b\\\"\n  c\"\n", {"f:1: a quote that is not closed in its line"}},

        {"unclosed bracket", "cache: {rules: [\n", {}},
        {"value beside a map", "cache:\n  shards: 1\n stray\n", {}},
        {"NUL", std::string{"listen_port: 1\n\0", 16}, {"f:2: holds a control character"}},
        {"escape sequence", "listen_port: 1\nx: \x1b[2J\n", {"f:2: holds a control character"}},
        {"lone carriage return",
         "listen_port: 1\rworkers: 2\n",
         {"f:1: holds a control character"}},
        {"UTF-16", std::string{"\xff\xfel\0i\0", 6}, {"f:1: is UTF-16; save the file as UTF-8"}},
        {"Latin-1", "# caf\xe9\n", {"f:1: is not UTF-8"}},
        {"overlong UTF-8", "# \xc0\xaf\n", {"f:1: is not UTF-8"}},
        {"overlong in three bytes", "# \xe0\x80\xaf\n", {"f:1: is not UTF-8"}},
        {"surrogate", "# \xed\xa0\x80\n", {"f:1: is not UTF-8"}},
        {"beyond Unicode", "# \xf4\x90\x80\x80\n", {"f:1: is not UTF-8"}},
        {"cut UTF-8", "# \xe2\x82", {"f:1: is not UTF-8"}},
    };
    for (const auto& row : rows) {
        CAPTURE(std::string{row.name});
        const lines got = problems(row.yaml);
        if (row.want.empty()) {  // the words are yaml-cpp's
            REQUIRE(got.size() == 1);
            CHECK(got[0].find(": is not valid YAML: ") != std::string::npos);
            CHECK(got[0].find("f:") == 0);
        } else {
            CHECK(got == row.want);
        }
    }
}

TEST_CASE("tabs that harm nothing are left alone") {
    CHECK(problems("log: {file: 'it''s', level: \"inf\\x6f\"}") == lines{});  // nor do quotes
    CHECK(problems("listen_port: 7000\t# note\n\t\n\t# a note\nworkers: 2\n") == lines{});
}

TEST_CASE("what yaml-cpp would follow with memory and stack never reaches it") {
    for (const char* piece : {"[", "{", "{a: ", "[\n", "[']',", "[ #]\n", "a,", "'[',"}) {
        CAPTURE(std::string{piece});
        CHECK_FALSE(prescan(repeat(piece, max_file_size)).empty());
    }
    CHECK(prescan(std::string(64, '[')).empty());
    CHECK_FALSE(prescan(std::string(65, '[')).empty());
    CHECK(prescan(repeat("[],", max_nodes)).empty());
}

TEST_CASE("a hostile text is refused in bounded time") {
    const std::size_t full = max_file_size - 100;
    static const struct {
        const char* name;
        std::function<std::string(std::size_t)> make;
    } rows[] = {
        {"10 MB", [](std::size_t) { return std::string(10u << 20, '['); }},
        {"brackets", [](std::size_t n) { return std::string(n, '['); }},
        {"braces", [](std::size_t n) { return std::string(n, '{'); }},
        {"brackets on lines", [](std::size_t n) { return repeat("[\n", n); }},
        {"braces with keys", [](std::size_t n) { return repeat("{a: ", n); }},
        {"closings hidden in quotes", [](std::size_t n) { return repeat("[']',", n); }},
        {"closings hidden in comments", [](std::size_t n) { return repeat("[ #]\n", n); }},
        {"dashes", [](std::size_t n) { return repeat("- ", n); }},
        {"question marks", [](std::size_t n) { return repeat("? ", n); }},
        {"colons", [](std::size_t n) { return repeat(": ", n); }},
        {"commas", [](std::size_t n) { return "[" + repeat("a,", n); }},
        {"list of many", [](std::size_t n) { return repeat("- a\n", n); }},
        {"keys, all the same", [](std::size_t n) { return repeat("a:\n", n); }},
        {"keys, all unknown",
         [](std::size_t n) {
             std::string out;
             for (int i = 0; out.size() < n; ++i) out += "listen_p" + std::to_string(i) + ": 1\n";
             return out;
         }},
        {"growing indentation",
         [](std::size_t n) {
             std::string out, indent;
             for (; out.size() + indent.size() + 3 < n; indent += ' ') out += indent + "a:\n";
             return out;
         }},
        {"one long key", [](std::size_t n) { return "? " + std::string(n, 'a') + "\n: [b, c]\n"; }},
        {"one long value", [](std::size_t n) { return "listen_addr: " + std::string(n, 'a'); }},
        {"one long pattern",
         [](std::size_t n) {
             return "cache: {rules: [{name: a, tables: [\"" + std::string(n, '*') + "\"]}]}";
         }},
        {"one long connection string",
         [](std::size_t n) {
             return "upstream: {control_connection: '" + repeat("a=b ", n) + "'}";
         }},
        {"quotes", [](std::size_t n) { return std::string(n, '"'); }},
        {"apostrophes", [](std::size_t n) { return "a: '" + std::string(n, '\''); }},
        {"escapes", [](std::size_t n) { return "a: \"" + repeat("\\x00", n); }},
        {"ampersands", [](std::size_t n) { return repeat("&a ", n); }},
        {"bomb",
         [](std::size_t n) {
             std::string out = "a0: &a0 [x, x]\n";
             for (int i = 1; out.size() < n / 64; ++i) {
                 const std::string last = std::to_string(i - 1), now = std::to_string(i);
                 out.append("a").append(now).append(": &a").append(now);
                 out.append(" [*a").append(last).append(", *a").append(last).append("]\n");
             }
             return out;
         }},
        {"documents", [](std::size_t n) { return repeat("---\n", n); }},
        {"directives", [](std::size_t n) { return repeat("%TAG ! x\n", n); }},
        {"exclamation marks", [](std::size_t n) { return repeat("! ", n); }},
        {"block of text", [](std::size_t n) { return "a: |\n" + repeat("  x\n", n); }},
        {"folded text", [](std::size_t n) { return "a: >\n" + repeat("  x\n\n", n); }},
        {"plain text on many lines", [](std::size_t n) { return "a: x\n" + repeat("  x\n", n); }},
    };
    for (const auto& row : rows) {
        CAPTURE(std::string{row.name});
        const std::string text = row.make(full);
        const std::clock_t start = std::clock();  // processor time: the machine may be busy
        const lines got = problems(text);
        const double took = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
        CHECK_FALSE(got.empty());
        CHECK(got.size() <= 101);
        for (const std::string& one : got) CHECK(one.size() < 500);
        CHECK(took < 10.0);  // seconds; a debug build under a sanitizer takes one
    }
}
