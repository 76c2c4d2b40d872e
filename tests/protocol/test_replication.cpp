#include "protocol/replication.h"

#include "tests/protocol/support.h"

namespace pgsidecar::protocol::test {
namespace {

const std::string position_1 = "\0\0\0\0\0\0\0\x01"s, position_2 = "\0\0\0\x02\x01\0\0\0"s;
const std::string moment = "\0\x01\0\0\0\0\0\x05"s;

template <typename Message>
Message read(std::string_view text) {
    const exact in{text};
    wal_message got;
    REQUIRE_FALSE(parse(in, got));
    REQUIRE(std::holds_alternative<Message>(got));
    return std::get<Message>(got);
}

int outcome(std::string_view text) {
    const exact in{text};
    wal_message got;
    return parse(in, got).value();
}

}  // namespace

TEST_CASE("replication: what comes in CopyBoth mode") {
    const std::string data = "w" + position_1 + position_2 + moment + "payload";
    const exact in{data};
    replication_message got;
    REQUIRE_FALSE(parse(in, got));
    const auto& w = std::get<xlog_data>(got);
    CHECK(w.start == 1);
    CHECK(w.end == 0x201000000);
    CHECK(w.sent_us == 0x1000000000005);
    CHECK(w.payload == "payload");

    const std::string alive = "k" + position_2 + moment + "\1";
    const exact of_server{alive};
    REQUIRE_FALSE(parse(of_server, got));
    CHECK(std::get<primary_keepalive>(got).end == 0x201000000);
    CHECK(std::get<primary_keepalive>(got).reply_requested);

    for (std::size_t cut = 0; cut < alive.size(); ++cut) {
        const exact part{std::string_view{alive}.substr(0, cut)};
        CHECK(parse(part, got).value() == int(errc::truncated));
    }
    const exact more{alive + "x"};
    CHECK(parse(more, got).value() == int(errc::trailing_bytes));
    const exact unknown{"q" + moment};
    CHECK(parse(unknown, got).value() == int(errc::unknown_type));
}

TEST_CASE("replication: the status tells one position three times") {
    std::string out;
    write(out, standby_status{.position = 0x201000000, .sent_us = 5, .reply_requested = true});
    CHECK(out == "r" + position_2 + position_2 + position_2 + "\0\0\0\0\0\0\0\5\1"s);
}

TEST_CASE("replication: a transaction") {
    const auto begin = read<begin_transaction>("B" + position_1 + moment + "\0\0\x02\x9a"s);
    CHECK(begin.commit == 1);
    CHECK(begin.committed_us == 0x1000000000005);
    CHECK(begin.xid == 666);
    const auto commit = read<commit_transaction>("C\0"s + position_1 + position_2 + moment);
    CHECK(commit.commit == 1);
    CHECK(commit.end == 0x201000000);
    CHECK(commit.committed_us == 0x1000000000005);
    CHECK(outcome("B" + position_1 + moment + "\0\0\x02"s) == int(errc::truncated));
    CHECK(outcome("C\0"s + position_1 + position_2) == int(errc::truncated));
    CHECK(outcome("C\0"s + position_1 + position_2 + moment + "x") == int(errc::trailing_bytes));
}

TEST_CASE("replication: of rows only the table is read") {
    CHECK(read<row_change>("I\0\0\x40\0N\0\1t\0\0\0\1x"s).relation == 16384);
    CHECK(read<row_change>("U\0\0\x40\1whatever"s).relation == 16385);
    CHECK(read<row_change>("D\0\0\x40\2"s).relation == 16386);
    CHECK(read<relation_description>("R\0\0\x40\2public\0t\0"s).relation == 16386);
    for (const char type : {'I', 'U', 'D', 'R'})
        CHECK(outcome(std::string{type} + "\0\0\x40"s) == int(errc::truncated));
}

TEST_CASE("replication: TRUNCATE names each table, and its count is not believed") {
    CHECK(read<truncation>("T\0\0\0\2\1\0\0\x40\0\0\0\x40\1"s).relations ==
          std::vector<std::uint32_t>{16384, 16385});
    CHECK(read<truncation>("T\0\0\0\0\0"s).relations.empty());
    CHECK(outcome("T\xff\xff\xff\xff\0\0\0\x40\0"s) == int(errc::truncated));
    CHECK(outcome("T\0\0\0\1\0\0\0\x40\0x"s) == int(errc::trailing_bytes));
}

TEST_CASE("replication: a message of pg_logical_emit_message()") {
    const std::string text = "M\1" + position_1 + "pgsidecar\0\0\0\0\2{}"s;
    const exact in{text};
    wal_message got;
    REQUIRE_FALSE(parse(in, got));
    const auto& m = std::get<logical_message>(got);
    CHECK(m.transactional);
    CHECK(m.prefix == "pgsidecar");
    CHECK(m.content == "{}");
    CHECK_FALSE(read<logical_message>("M\0"s + position_1 + "x\0\0\0\0\0"s).transactional);
    CHECK(outcome("M\1" + position_1 + "x\0\0\0\0\3{}"s) == int(errc::truncated));
    CHECK(outcome("M\1" + position_1 + "x"s) == int(errc::truncated));
}

TEST_CASE("replication: origins and types are nobody's concern, others are an error") {
    (void)read<other_message>("Owhoever");
    (void)read<other_message>("Ytype");
    CHECK(outcome("S"s + moment) == int(errc::unknown_type));  // streaming was not asked for
    CHECK(outcome("") == int(errc::truncated));
}

}  // namespace pgsidecar::protocol::test
