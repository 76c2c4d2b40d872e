// Malformed, oversized and misplaced messages of either side; messages too big to be held; cancel
// and shutdown.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/core/script.h"

using namespace core_test;

namespace {

const auto select_kv = query("SELECT v FROM kv");
constexpr std::size_t chunk = 64U << 10;

std::string head_of(char type, std::uint32_t length) {
    std::string out{type};
    for (int shift = 24; shift >= 0; shift -= 8)
        out.push_back(static_cast<char>(length >> shift & 0xffU));
    return out;
}

void check_refused(wired& l) {
    const auto told = l.to_client();
    CHECK(show(told).find("FATAL") != std::string::npos);
    CHECK(show(told).find("08P01") != std::string::npos);
    CHECK(l.closing);
    CHECK(l.session().closed());
}

}  // namespace

TEST_CASE("hostile: no malformed message of a client is answered with anything but 08P01") {
    const struct {
        const char* name;
        std::string bytes;
    } rows[] = {
        {"unknown type", head_of('y', 4)},
        {"zero byte", head_of('\0', 4)},
        {"length below its own size", head_of('Q', 3)},
        {"negative length", head_of('Q', 0xffffffff)},
        {"a Sync of a megabyte", head_of('S', 1U << 20)},
        {"a Describe of a megabyte", head_of('D', 1U << 20)},
        {"a password", message(protocol::password{"x"})},
        {"Query without its zero byte", head_of('Q', 6) + "hi"},
        {"Query with text behind its end", head_of('Q', 8) + "a\0b\0"s},
        {"Parse cut short", head_of('P', 6) + "\0\0"s + sync_now()},
        {"Bind with more values than it has", head_of('B', 10) + "\0\0\0\0\0\7"s + sync_now()},
        {"Describe of neither", head_of('D', 6) + "X\0"s + sync_now()},
        {"Execute without a limit", head_of('E', 5) + "\0"s + sync_now()},
        {"Close of neither", head_of('C', 6) + "X\0"s + sync_now()},
        {"FunctionCall cut short", head_of('F', 6) + "\0\0"s},
    };
    for (const auto& row : rows) {
        CAPTURE(row.name);
        for (const bool by_bytes : {false, true}) {
            world w;
            wired l{w};
            l.log_in();
            if (by_bytes)
                for (const char c : row.bytes) l.client({&c, 1});
            else
                l.client(row.bytes);
            check_refused(l);
            CHECK(w.unrest(l.unsettled) == "");
        }
    }
}

TEST_CASE("hostile: no malformed message of a server is believed") {
    const struct {
        const char* name;
        std::string bytes;
    } rows[] = {
        {"unknown type", head_of('y', 4)},
        {"length below its own size", head_of('D', 3)},
        {"negative length", head_of('D', 0xffffffff)},
        {"authentication again", message(protocol::authentication{})},
        {"a second key", message(protocol::backend_key_data{1, "1234"})},
        {"ReadyForQuery of no known state", head_of('Z', 5) + "X"},
        {"ReadyForQuery without a state", head_of('Z', 4)},
    };
    for (const auto& row : rows) {
        CAPTURE(row.name);
        world w;
        wired l{w};
        l.log_in();
        l.client(select_kv);
        l.server(row.bytes);
        check_refused(l);
        CHECK(w.unrest(l.unsettled) == "");
    }
}

TEST_CASE("hostile: what we say of a bad message shows nothing of it") {
    world w;
    wired l{w};
    l.log_in();
    l.client(head_of('Q', 12) + "secret!\n");
    const auto told = l.to_client();
    CHECK(told.find("secret") == std::string::npos);
    CHECK(l.refused_because.find("secret") == std::string::npos);
}

TEST_CASE("hostile: frames of the server nobody asked for pass and break nothing") {
    for (const auto& stray :
         {ready(), completed("SELECT 1"), parse_complete(), bind_complete(), close_complete(),
          no_data(), described(), row_of("x"), copy_in(), failed("57P03"), notice()}) {
        world w;
        wired l{w};
        l.log_in();
        l.server(stray);
        CHECK(show(l.to_client()) == show(stray));
        l.client(select_kv);
        l.client_gone();
        CHECK(w.unrest(l.unsettled) == "");
    }
}

TEST_CASE("hostile: a name of megabytes is refused, not held") {
    world w;
    wired l{w};
    l.log_in();
    std::size_t most = 0;
    l.client(head_of('B', 100U << 20));
    for (int i = 0; i < 64 && !l.closing; ++i) {
        l.client(std::string(chunk, 'n'));
        most = std::max(most, l.held());
    }
    check_refused(l);
    CHECK(most <= 2 * chunk);
}

TEST_CASE("big: Bind, CopyData and FunctionCall pass in pieces, in bounded memory") {
    constexpr std::uint32_t size = 20U << 20;
    const struct {
        char type;
        std::string front;
    } rows[] = {{'B', "\0\0\0\0\0\1\1\0\0\0"s}, {'d', ""}, {'F', "\0\0\0\1\0\0\0\1\1\0\0\0"s}};
    for (const auto& row : rows) {
        CAPTURE(row.type);
        world w;
        wired l{w};
        l.log_in();
        auto sent = head_of(row.type, size) + row.front;
        l.client(sent);
        std::size_t passed = 0, most = 0;
        std::size_t left = size + 1 - sent.size();
        const std::string piece(chunk, 'x');
        while (left > 0) {
            const auto part = std::min(left, piece.size());
            l.client(std::string_view{piece}.substr(0, part));
            left -= part;
            passed += l.to_server().size();
            most = std::max(most, l.held());
        }
        CHECK(passed == size + 1);
        CHECK(most <= 2 * chunk);
        l.client(sync_now());
        CHECK(show(l.to_server()) == show(sync_now()));
        l.client_gone();
    }
}

TEST_CASE("big: rows pass in pieces, in memory bounded by what may be kept") {
    constexpr std::uint32_t size = 20U << 20;
    for (const char type : {'D', 'd'}) {
        world w;
        wired l{w};
        l.log_in();
        l.client(select_kv);
        l.server(described());
        (void)l.to_client();
        l.server(head_of(type, size));
        std::size_t passed = 0, most = 0;
        const std::string piece(chunk, 'x');
        std::size_t left = size - 4;
        while (left > 0) {
            const auto part = std::min(left, piece.size());
            l.server(std::string_view{piece}.substr(0, part));
            left -= part;
            passed += l.to_client().size();
            most = std::max(most, l.held());
        }
        passed += l.to_client().size();
        CHECK(passed == size + 1);
        CHECK(most <= 2 * chunk);
        l.server(completed("SELECT 1") + ready());
        CHECK(show(l.to_client()) == show(completed("SELECT 1") + ready()));
        // Too big to be kept.
        l.client(select_kv);
        CHECK(show(l.to_server()).find("Q'") == 0);
        l.client_gone();
    }
}

TEST_CASE("big: an answer of many rows that outgrows an entry passes and is not kept") {
    world w;
    w.options.max_entry_size = 1000;
    wired l{w};
    l.log_in();
    for (int round = 0; round < 2; ++round) {
        l.client(select_kv);
        CHECK(show(l.to_server()) == show(select_kv));
        l.server(described());
        for (int i = 0; i < 100; ++i) l.server(row_of("a row of some length"));
        l.server(completed("SELECT 100") + ready());
        (void)l.to_client();
    }
    l.client_gone();
}

TEST_CASE("big: a batch that never ends is not held for ever") {
    world w;
    wired l{w};
    l.log_in();
    const auto unit = parse("", "SELECT v FROM kv") + bind("") + execute();
    std::size_t sent = 0, most = 0;
    while (sent < 1U << 20) {
        l.client(unit);
        sent += unit.size();
        most = std::max(most, l.held());
    }
    CHECK(most <= 2 * chunk);
    CHECK(l.to_server().size() == sent);
    l.client_gone();
}

TEST_CASE("cancel: nothing is sent until the cancel has arrived") {
    world w;
    wired l{w};
    l.log_in();
    CHECK(!l.cancel());  // nothing runs: too late
    l.client(select_kv);
    (void)l.to_server();
    CHECK(l.cancel());
    CHECK(l.session().server_key() == "\1\2\3\4");
    l.server(answer("one"));  // it came too late for this one
    CHECK(show(l.to_client()) == show(answer("one")));
    l.client(query("SELECT v FROM other"));
    CHECK(l.to_server().empty());
    l.cancel_sent();
    CHECK(show(l.to_server()) == show(query("SELECT v FROM other")));
    l.client_gone();
}

TEST_CASE("shutdown: an idle session ends at once, a busy one when it is done") {
    world w;
    SUBCASE("idle") {
        wired l{w};
        l.log_in();
        l.shutdown();
        CHECK(l.closing);
        CHECK(show(l.to_client()).find("57P01") != std::string::npos);
    }
    SUBCASE("busy") {
        wired l{w};
        l.log_in();
        l.client(select_kv);
        l.shutdown();
        CHECK(!l.closing);
        l.server(answer("one"));
        CHECK(l.closing);
        CHECK(l.to_client().starts_with(answer("one")));
    }
    SUBCASE("in a block") {
        wired l{w};
        l.log_in();
        l.client(query("BEGIN"));
        l.server(completed("BEGIN") + ready('T'));
        l.shutdown();
        CHECK(!l.closing);
        l.client(query("COMMIT"));
        CHECK(show(l.to_server()).find("COMMIT") != std::string::npos);
        l.server(completed("COMMIT") + ready());
        CHECK(l.closing);
    }
    SUBCASE("during the log-in") {
        wired l{w};
        l.client(client_startup());
        l.connected();
        l.shutdown();
        CHECK(!l.closing);
        l.server(server_log_in());
        CHECK(l.closing);
    }
    CHECK(w.unrest({}) == "");
}
