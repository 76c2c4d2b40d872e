#include "config/values.h"

#include <doctest/doctest.h>

#include <string>

using namespace pgsidecar::config;
using namespace std::chrono_literals;

TEST_CASE("durations: a bare number is seconds, a unit is exact, nonsense is refused") {
    static constexpr struct {
        const char* text;
        long long ms;  // -1 = refused
    } rows[] = {
        {"5", 5'000},
        {"0", 0},
        {"250ms", 250},
        {"30s", 30'000},
        {"5m", 300'000},
        {"2h", 7'200'000},
        {"1d", 86'400'000},
        {"5 m", 300'000},
        {"05s", 5'000},
        {"", -1},
        {"s", -1},
        {"-5s", -1},
        {"+5s", -1},
        {" 5s", -1},
        {"5s ", -1},
        {"5 ", -1},
        {"1.5s", -1},
        {"5M", -1},  // minutes or months: not guessed
        {"5min", -1},
        {"5 m s", -1},
        {"5m30s", -1},
        {"0x10", -1},
        {"1e3", -1},
        {"99999999999999999999", -1},
        {"18446744073709551615d", -1},   // overflows when multiplied
        {"18446744073709551615ms", -1},  // beyond what std::chrono holds
        {"9223372036854775807ms", 9'223'372'036'854'775'807},
    };
    for (const auto& row : rows) {
        CAPTURE(std::string{row.text});
        std::chrono::milliseconds got{-1};
        const std::string reason = read_duration(row.text, {}, got);
        CHECK(got.count() == row.ms);
        CHECK(reason.empty() == (row.ms >= 0));
    }
}

TEST_CASE("sizes: a bare number is bytes, units step by 1024, overflow is refused") {
    static constexpr struct {
        const char* text;
        std::uint64_t bytes;  // 7 = refused: `out` keeps its value
    } rows[] = {
        {"0", 0},
        {"512", 512},
        {"512B", 512},
        {"1kB", 1024},
        {"1KB", 1024},
        {"1kb", 1024},
        {"1KiB", 1024},
        {"256MB", 256ull << 20},
        {"256 MB", 256ull << 20},
        {"3MiB", 3ull << 20},
        {"2GB", 2ull << 30},
        {"2GiB", 2ull << 30},
        {"1TB", 1ull << 40},
        {"1TiB", 1ull << 40},
        {"18446744073709551615", 18446744073709551615ull},
        {"16777215TB", 16777215ull << 40},
        {"16777216TB", 7},
        {"18446744073709551616", 7},
        {"1M", 7},
        {"1.5GB", 7},
        {"MB", 7},
        {"-1MB", 7},
        {"1MB/s", 7},
        {"", 7},
    };
    for (const auto& row : rows) {
        CAPTURE(std::string{row.text});
        std::uint64_t got = 7;
        const std::string reason = read_size(row.text, {}, got);
        CHECK(got == row.bytes);
        CHECK(reason.empty() == (row.bytes != 7));
    }
}

TEST_CASE("booleans: six words, 1 and 0, in any case; nothing else") {
    for (const char* text : {"true", "on", "yes", "1", "TRUE", "On"}) {
        bool got = false;
        CHECK(read_bool(text, got).empty());
        CHECK(got);
    }
    for (const char* text : {"false", "off", "no", "0", "FALSE", "Off"}) {
        bool got = true;
        CHECK(read_bool(text, got).empty());
        CHECK_FALSE(got);
    }
    for (const char* text : {"", "2", "t", "y", "enabled", "true ", "truee"}) {
        CAPTURE(std::string{text});
        bool got = true;
        CHECK_FALSE(read_bool(text, got).empty());
        CHECK(got);
    }
}

TEST_CASE("whole numbers: the bounds belong to the range") {
    static constexpr struct {
        const char* text;
        std::uint64_t value;  // 7 = refused
    } rows[] = {
        {"1", 1},  {"65535", 65535}, {"0", 7},     {"65536", 7},
        {"-1", 7}, {"1.0", 7},       {"0x10", 7},  {"6432 ", 7},
        {"", 7},   {"port", 7},      {"1_000", 7}, {"99999999999999999999", 7},
    };
    for (const auto& row : rows) {
        CAPTURE(std::string{row.text});
        std::uint64_t got = 7;
        CHECK(read_integer(row.text, {1, 65535}, got).empty() == (row.value != 7));
        CHECK(got == row.value);
    }
}

TEST_CASE("what is written reads back as the same value, in the largest exact unit") {
    CHECK(write_size(0) == "0B");
    CHECK(write_size(10'000) == "10000B");
    CHECK(write_size(1024) == "1kB");
    CHECK(write_size(256u << 20) == "256MB");
    CHECK(write_duration(0ms) == "0s");
    CHECK(write_duration(250ms) == "250ms");
    CHECK(write_duration(300s) == "5m");
    CHECK(write_duration(90s) == "90s");
    CHECK(write_duration(48h) == "2d");
    for (std::uint64_t value = 1; value < (1ull << 60); value = value * 3 + 1) {
        std::uint64_t size = 0;
        CHECK(read_size(write_size(value), {}, size).empty());
        CHECK(size == value);
        std::chrono::milliseconds duration{};
        CHECK(
            read_duration(write_duration(std::chrono::milliseconds{value}), {}, duration).empty());
        CHECK(duration.count() == static_cast<long long>(value));
    }
}

TEST_CASE("a message is one line whatever the value holds, and short") {
    CHECK(show("a\nFATAL: forged\x1b[2J") == R"("a\x0aFATAL: forged\x1b[2J")");
    CHECK(show("say \"x\"\\") == R"("say \"x\"\\")");
    CHECK(show(std::string(1'000'000, 'x')).size() < 70);
    // never half a character
    const std::string cut = show(std::string(59, 'x') + "\xc3\xa9\xc3\xa9");
    CHECK(cut == '"' + std::string(59, 'x') + "\"...");
}
