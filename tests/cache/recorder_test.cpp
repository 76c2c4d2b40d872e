#include "cache/recorder.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using pgsidecar::cache::recorder;
using namespace std::string_view_literals;

namespace {

std::string frame(char type, std::string_view content = {}) {
    const std::size_t n = content.size() + 4;
    std::string f{type};
    for (int shift = 24; shift >= 0; shift -= 8) f += static_cast<char>(n >> shift & 0xFF);
    return f += content;
}

std::string tag(std::string_view words) { return frame('C', std::string{words} + '\0'); }

const std::string description = frame('T', "\0\0"sv);
const std::string row = frame('D', "\0\1\0\0\0\2hi"sv);
const std::string idle = frame('Z', "I");

// The recorded body; "gave up" if a frame was refused, "incomplete" if finish() found it wanting.
std::string recorded(const std::vector<std::string>& frames, std::size_t max_bytes = 1 << 20) {
    recorder r;
    r.start(max_bytes);
    for (const auto& f : frames) {
        if (!r.add(f)) {
            CHECK(!r.finish());
            CHECK(!r.add(row));  // for ever
            return "gave up";
        }
    }
    const auto body = r.finish();
    return body ? std::string{*body} : "incomplete";
}

std::string joined(const std::vector<std::string>& frames) {
    std::string all;
    for (const auto& f : frames) all += f;
    return all;
}

}  // namespace

TEST_CASE("recorder: complete answers are kept byte for byte") {
    const std::vector<std::vector<std::string>> answers{
        {description, row, row, tag("SELECT 2"), idle},
        {description, tag("SELECT 0"), idle},
        {frame('1'), frame('2'), description, row, tag("SELECT 1"), idle},
        {frame('2'), row, tag("SELECT 1")},  // one Execute of a batch: no ReadyForQuery of its own
        {frame('1'), frame('t', "\0\0"sv), description, frame('2'), row, tag("SELECT 1"),
         frame('3'), idle},
        {frame('2'), description, row, tag("SELECT 1"), frame('2'), description, tag("SELECT 0"),
         idle},
        {frame('2'), frame('n'), row, tag("SELECT 1"), idle},
    };
    for (const auto& frames : answers) CHECK(recorded(frames) == joined(frames));
}

TEST_CASE("recorder: what must not be stored ends the recording") {
    for (const char type : {'E', 'N', 'A', 'S', 's', 'G', 'H', 'W', 'd', 'c', 'I', 'R', 'K', 'V',
                            'v', '\0', '\xff', 'z', 'Q'}) {
        CAPTURE(type);
        CHECK(recorded({description, row, frame(type, "x"), tag("SELECT 1"), idle}) == "gave up");
        CHECK(recorded({frame(type, "x")}) == "gave up");
        CHECK(recorded({row, tag("SELECT 1"), frame(type, "x")}) == "gave up");
    }
}

TEST_CASE("recorder: the answer of anything but a SELECT is not stored") {
    for (const auto words : {"INSERT 0 1", "UPDATE 1", "DELETE 1", "MERGE 1", "COPY 1", "FETCH 1",
                             "BEGIN", "SHOW", "SELECT", "SELECT ", "select 1", "SELECT 1 ",
                             "SELECT +1", "SELECT -1", "SELECT 4294967297", "REFRESH 1"}) {
        CAPTURE(words);
        CHECK(recorded({row, tag(words), idle}) == "gave up");
    }
    CHECK(recorded({row, frame('C', "SELECT 1"), idle}) == "gave up");  // no terminator
    CHECK(recorded({row, frame('C', ""), idle}) == "gave up");
}

TEST_CASE("recorder: a lost or doubled row is noticed by the tag") {
    CHECK(recorded({row, tag("SELECT 2"), idle}) == "gave up");
    CHECK(recorded({row, row, row, tag("SELECT 2"), idle}) == "gave up");
    CHECK(recorded({row, tag("SELECT 1"), tag("SELECT 1"), idle}) == "gave up");
}

TEST_CASE("recorder: incomplete answers are not stored") {
    CHECK(recorded({}) == "incomplete");
    CHECK(recorded({description}) == "incomplete");
    CHECK(recorded({description, row}) == "incomplete");
    CHECK(recorded({frame('3')}) == "incomplete");
    CHECK(recorded({row, tag("SELECT 1"), row}) == "incomplete");
    CHECK(recorded({row, tag("SELECT 1"), frame('2')}) == "incomplete");
    CHECK(recorded({row, idle}) == "gave up");
    CHECK(recorded({idle}) == "gave up");
}

TEST_CASE("recorder: an answer that ends inside a transaction is not stored") {
    for (const auto status : {"T", "E", "", "II", "x"}) {
        CAPTURE(status);
        CHECK(recorded({row, tag("SELECT 1"), frame('Z', status)}) == "gave up");
    }
}

TEST_CASE("recorder: nothing follows ReadyForQuery") {
    CHECK(recorded({row, tag("SELECT 1"), idle, idle}) == "gave up");
    CHECK(recorded({row, tag("SELECT 1"), idle, frame('3')}) == "gave up");
}

TEST_CASE("recorder: pieces of frames are not frames") {
    for (std::size_t n = 0; n < row.size(); ++n) {
        CHECK(recorded({row.substr(0, n), tag("SELECT 1")}) == "gave up");
    }
    CHECK(recorded({row + '!', tag("SELECT 1")}) == "gave up");
    CHECK(recorded({row + row, tag("SELECT 1")}) == "gave up");
}

TEST_CASE("recorder: the limit counts every byte") {
    const std::vector<std::string> frames{description, row, tag("SELECT 1"), idle};
    const std::size_t exact = joined(frames).size();
    CHECK(recorded(frames, exact) == joined(frames));
    CHECK(recorded(frames, exact - 1) == "gave up");
    CHECK(recorded(frames, 0) == "gave up");
}

TEST_CASE("recorder: counts rows and starts afresh each time") {
    recorder r;
    CHECK(!r.recording());
    CHECK(!r.add(row));
    CHECK(!r.finish());
    r.start(1000);
    CHECK(r.recording());
    CHECK(r.add(row));
    CHECK(r.add(row));
    CHECK(r.rows() == 2);
    r.start(1000);  // the first answer was cut off
    CHECK(r.rows() == 0);
    CHECK(r.add(row));
    CHECK(r.add(tag("SELECT 1")));
    CHECK(r.finish() == row + tag("SELECT 1"));
    r.give_up();
    CHECK(!r.recording());
    CHECK(!r.finish());
    r.start(1000);
    CHECK(r.add(row));
    r.reset();
    CHECK(!r.recording());
    CHECK(!r.add(tag("SELECT 1")));
}
