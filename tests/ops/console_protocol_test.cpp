// The console's protocol: what a client sends, in any pieces, and what it is told.
#include <doctest/doctest.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <string_view>

#include "protocol/backend.h"
#include "protocol/frontend.h"
#include "proxy/ops/console_columns.h"
#include "proxy/ops/console_protocol.h"

namespace {

using namespace pgsidecar::ops;
namespace protocol = pgsidecar::protocol;

// "T(a,b) D(1,NULL) C(SHOW) Z(I)"
std::string show(std::string_view bytes) {
    std::string out;
    while (!bytes.empty()) {
        protocol::frame f;
        std::error_code error;
        REQUIRE(protocol::next(bytes, f, error) == protocol::peek_result::ok);
        bytes.remove_prefix(f.whole.size());
        std::string inside;
        const auto add = [&](std::string_view text) {
            inside.append(inside.empty() ? "" : ",").append(text);
        };
        if (f.type == 'T') {
            protocol::row_description m;
            REQUIRE(!protocol::parse(f.body, m));
            for (const auto& c : m.columns) add(c.name);
        } else if (f.type == 'D') {
            protocol::data_row m;
            REQUIRE(!protocol::parse(f.body, m));
            for (const auto& v : m.columns) add(v ? *v : "NULL");
        } else if (f.type == 'C') {
            protocol::command_complete m;
            REQUIRE(!protocol::parse(f.body, m));
            add(m.tag);
        } else if (f.type == 'E') {
            protocol::error_response m;
            REQUIRE(!protocol::parse(f.body, m));
            add(m.sqlstate());
        } else if (f.type == 'Z') {
            add(f.body);
        } else if (f.type == 'N') {
            protocol::notice_response m;
            REQUIRE(!protocol::parse(f.body, m));
            add(m.message().substr(0, 10));
        }
        out.append(out.empty() ? "" : " ").append(1, f.type);
        if (!inside.empty()) out.append("(").append(inside).append(")");
    }
    return out;
}

struct talk {
    console_protocol with;
    std::string rest, out;
    std::string asked;  // the tags of what was to be carried out
    console_answer next{};

    explicit talk(console_role role = console_role::admin)
        : with{{"ann", "pgsidecar", "test", role, 7, "key4", "pgsidecar 0.1.0"}} {}

    void send(std::string_view bytes) {
        rest += bytes;
        for (bool more = true; more;) {
            // A copy of just that size, for AddressSanitizer.
            const auto size = rest.size();
            const std::unique_ptr<char[]> exact{new char[size]};
            if (size > 0) std::memcpy(exact.get(), rest.data(), size);
            const auto used = with.on_client({exact.get(), size}, out);
            REQUIRE(used <= size);
            rest.erase(0, used);
            more = false;
            if (auto command = with.request()) {
                asked += (asked.empty() ? "" : " ") + command->tag;
                auto a = next;
                with.answer(std::move(a), out);
                more = !rest.empty();
            }
        }
    }
    std::string said() {
        auto text = show(out);
        out.clear();
        return text;
    }
    std::string query(std::string_view sql) {
        std::string m;
        protocol::write(m, protocol::query{sql});
        send(m);
        return said();
    }
};

struct messages : std::string {
    messages& parse(std::string_view name, std::string_view sql) {
        return protocol::write_parse(*this, name, sql), *this;
    }
    messages& bind(std::string_view portal, std::string_view statement,
                   std::vector<std::int16_t> results = {}) {
        return protocol::write_bind(*this, portal, statement, {}, {}, results), *this;
    }
    messages& describe(char kind, std::string_view name) {
        return protocol::write(*this, protocol::describe{kind, name}), *this;
    }
    messages& execute(std::string_view portal, std::int32_t rows = 0) {
        return protocol::write(*this, protocol::execute{portal, rows}), *this;
    }
    messages& close(char kind, std::string_view name) {
        return protocol::write(*this, protocol::close{kind, name}), *this;
    }
    messages& sync() { return protocol::write(*this, protocol::sync{}), *this; }
    messages& flush() { return protocol::write(*this, protocol::flush{}), *this; }
    messages& query(std::string_view sql) {
        return protocol::write(*this, protocol::query{sql}), *this;
    }
};

console_answer two_totals() {
    console_answer a;
    a.table.columns = columns_of(console_view::totals);
    a.table.rows = {{"one", "1"}, {"none", std::nullopt}};
    return a;
}

}  // namespace

TEST_CASE("console protocol: simple queries") {
    talk t;
    t.next = two_totals();
    CHECK(t.query("SHOW TOTALS") == "T(name,value) D(one,1) D(none,NULL) C(SHOW) Z(I)");
    CHECK(t.query("") == "I Z(I)");
    CHECK(t.query(" ;; ") == "I Z(I)");
    CHECK(t.query("SHOW VERSION") == "T(version) D(pgsidecar 0.1.0) C(SHOW) Z(I)");
    CHECK(t.query("SELECT 1; DISCARD ALL; SHOW TOTALS;") ==
          "T(?column?) D(1) C(SELECT 1) C(DISCARD ALL) T(name,value) D(one,1) D(none,NULL) C(SHOW) "
          "Z(I)");
    CHECK(t.query("SELECT 1; nonsense; SELECT 1") == "T(?column?) D(1) C(SELECT 1) E(42601) Z(I)");
    CHECK(t.query("SHOW HELP").starts_with("N(Console us) T(command) D(SHOW HELP|"));
    CHECK(t.asked == "SHOW SHOW");
    t.next = {};
    t.next.notices = {"told before"};
    CHECK(t.query("PAUSE; RESUME") == "N(told befor) C(PAUSE) N(told befor) C(RESUME) Z(I)");
    t.next = {};
    t.next.error = {"55000", "no", {}, {}};
    CHECK(t.query("PAUSE; RESUME") == "E(55000) Z(I)");
}

TEST_CASE("console protocol: transaction blocks are followed") {
    talk t;
    CHECK(t.query("BEGIN") == "C(BEGIN) Z(T)");
    CHECK(t.query("SELECT 1") == "T(?column?) D(1) C(SELECT 1) Z(T)");
    CHECK(t.query("nonsense") == "E(42601) Z(E)");
    CHECK(t.query("SELECT 1") == "E(25P02) Z(E)");
    CHECK(t.query("ROLLBACK TO a") == "E(25P02) Z(E)");
    CHECK(t.query("COMMIT") == "C(ROLLBACK) Z(I)");
    CHECK(t.query("BEGIN; SELECT 1; COMMIT") ==
          "C(BEGIN) T(?column?) D(1) C(SELECT 1) C(COMMIT) Z(I)");
    CHECK(t.asked.empty());
}

TEST_CASE("console protocol: a stats user running KILL") {
    talk t{console_role::stats};
    CHECK(t.query("KILL shop") == "E(42501) Z(I)");
    CHECK(t.query("SHOW FDS") == "E(0A000) Z(I)");
    t.send(messages{}.parse("", "SHUTDOWN").bind("", "").execute("").sync());
    CHECK(t.said() == "E(42501) Z(I)");
    CHECK(t.asked.empty());
    t.next = two_totals();
    CHECK(t.query("SHOW TOTALS") == "T(name,value) D(one,1) D(none,NULL) C(SHOW) Z(I)");
}

TEST_CASE("console protocol: the extended protocol, named and unnamed, by pieces") {
    talk t;
    t.next = two_totals();
    t.send(messages{}.parse("", "SHOW TOTALS").bind("", "").describe('P', "").execute("").sync());
    CHECK(t.said() == "1 2 T(name,value) D(one,1) D(none,NULL) C(SHOW) Z(I)");
    t.send(messages{}.parse("s", "SHOW TOTALS").describe('S', "s").flush());
    CHECK(t.said() == "1 t T(name,value)");
    t.send(messages{}.bind("p", "s").execute("p", 1).execute("p", 1).execute("p", 1).sync());
    CHECK(t.said() == "2 D(one,1) s D(none,NULL) C(SHOW) C(SHOW) Z(I)");
    CHECK(t.asked == "SHOW SHOW");
    t.send(messages{}.execute("p").sync());  // went with the Sync
    CHECK(t.said() == "E(34000) Z(I)");
    t.send(messages{}.parse("s", "SHOW TOTALS").bind("", "s").sync());
    CHECK(t.said() == "E(42P05) Z(I)");
    t.send(messages{}.close('S', "s").bind("", "s").execute("").sync());
    CHECK(t.said() == "3 E(26000) Z(I)");
    t.send(messages{}.parse("", "PAUSE").describe('S', "").bind("", "").describe('P', "").sync());
    CHECK(t.said() == "1 t n 2 n Z(I)");
    t.send(messages{}.parse("", " -- nothing").bind("", "").execute("").sync());
    CHECK(t.said() == "1 2 I Z(I)");
    t.send(messages{}.parse("", "SELECT 1; SELECT 1").sync());
    CHECK(t.said() == "E(42601) Z(I)");
    t.send(messages{}.parse("", "SELECT 1").query("SELECT 1"));
    CHECK(t.said() == "1 T(?column?) D(1) C(SELECT 1) Z(I)");
}

TEST_CASE("console protocol: errors skip to the Sync, and the next batch is served") {
    talk t;
    t.next.error = {"55000", "no", {}, {}};
    messages m;
    m.parse("", "PAUSE").bind("", "").execute("").parse("x", "SELECT 1").bind("", "x").sync();
    m.parse("", "SELECT 1").bind("", "").execute("").sync();
    t.send(m);
    CHECK(t.said() == "1 2 E(55000) Z(I) 1 2 D(1) C(SELECT 1) Z(I)");
    std::string with_value;
    const std::optional<protocol::bytes> value{"1"};
    protocol::write_bind(with_value, "", "", {}, {&value, 1}, {});
    t.send(with_value);
    t.send(messages{}.sync());
    CHECK(t.said() == "E(08P01) Z(I)");
    t.send(messages{}.parse("", "SELECT 1").bind("", "", {7}).sync());
    CHECK(t.said() == "1 E(22023) Z(I)");
    t.send(messages{}.parse("", "SELECT 1").bind("", "", {0, 1}).sync());
    CHECK(t.said() == "1 E(08P01) Z(I)");
}

TEST_CASE("console protocol: binary results") {
    talk t;
    console_answer a;
    a.table.columns = {{"t", cell_type::text},
                       {"i", cell_type::int4},
                       {"l", cell_type::int8},
                       {"f", cell_type::float8},
                       {"b", cell_type::boolean}};
    a.table.rows = {{"x", "-2", "4294967296", "0.5", "t"}};
    a.tag = "SHOW";
    t.next = a;
    t.send(messages{}.parse("", "SHOW TOTALS").bind("", "", {1}).execute("").sync());
    protocol::frame f;
    std::error_code error;
    std::string_view bytes = t.out;
    for (int i = 0; i < 3; ++i) {
        REQUIRE(protocol::next(bytes, f, error) == protocol::peek_result::ok);
        bytes.remove_prefix(f.whole.size());
    }
    protocol::data_row m;
    REQUIRE(!protocol::parse(f.body, m));
    auto it = m.columns.begin();
    using namespace std::literals;
    for (const auto want :
         {"x"sv, "\xff\xff\xff\xfe"sv, "\0\0\0\1\0\0\0\0"sv, "\x3f\xe0\0\0\0\0\0\0"sv, "\1"sv}) {
        REQUIRE(*it);
        CHECK(**it == want);
        ++it;
    }
}

TEST_CASE("console protocol: the same conversation split at every byte") {
    messages m;
    m.query("BEGIN; SHOW TOTALS").parse("a", "SHOW TOTALS").describe('S', "a").flush();
    m.bind("", "a").execute("", 1).sync().query("nonsense").query("ROLLBACK");
    m.parse("", "nonsense").bind("", "").sync().close('S', "a").sync();
    talk whole;
    whole.next = two_totals();
    whole.send(m);
    const auto want = whole.said();
    CHECK(want.find("E(42601)") != std::string::npos);
    for (std::size_t cut = 0; cut <= m.size(); ++cut) {
        talk t;
        t.next = two_totals();
        t.send(std::string_view{m}.substr(0, cut));
        t.send(std::string_view{m}.substr(cut));
        CHECK(t.said() == want);
        CHECK(t.rest.empty());
    }
    talk slow;
    slow.next = two_totals();
    for (const char c : m) slow.send({&c, 1});
    CHECK(slow.said() == want);
}

TEST_CASE("console protocol: while a request is under way nothing more is taken") {
    talk t;
    messages m;
    m.query("PAUSE").query("SELECT 1");
    std::string out;
    const auto used = t.with.on_client(m, out);
    CHECK(used < m.size());
    CHECK(t.with.waiting());
    CHECK(t.with.on_client(std::string_view{m}.substr(used), out) == 0);
    CHECK(t.with.request());
    CHECK_FALSE(t.with.request());
    t.with.answer({}, out);
    CHECK(show(out) == "C(PAUSE) Z(I)");
    out.clear();
    t.with.answer({}, out);  // nobody waits
    CHECK(out.empty());
    CHECK(t.with.on_client(std::string_view{m}.substr(used), out) == m.size() - used);
}

TEST_CASE("console protocol: malformed and hostile messages end it, with a word") {
    using namespace std::literals;
    for (const auto bytes :
         {"Q\0\0\0\6a!"sv, "Q\0\0\0\3"sv, "Z\0\0\0\5I"sv, "p\0\0\0\5a"sv, "Q\xff\xff\xff\xff"sv,
          "Q\0\x20\0\0"sv, "B\0\0\0\5\0"sv, "D\0\0\0\6Xa"sv, "E\0\0\0\5a"sv, "\0\0\0\0\0"sv}) {
        talk t;
        t.send(bytes);
        CHECK(t.said() == "E(08P01)");
        CHECK(t.with.closed());
        t.send("Q\0\0\0\5\0"sv);
        CHECK(t.out.empty());
    }
    talk t;
    t.send("X\0\0\0\4"sv);
    CHECK(t.with.closed());
    CHECK(t.out.empty());
}

TEST_CASE("console protocol: what a client may keep is bounded") {
    talk t;
    messages m;
    for (std::size_t i = 0; i < console_protocol::most_statements; ++i)
        m.parse("s" + std::to_string(i), "SELECT 1");
    t.send(m.sync());
    CHECK(t.said().ends_with("1 Z(I)"));
    t.send(messages{}.parse("more", "SELECT 1").sync());
    CHECK(t.said() == "E(54000) Z(I)");
}

TEST_CASE("console protocol: a thousand conversations of noise") {
    std::mt19937 random{20261128};  // NOLINT: the same each time
    messages m;
    m.query("BEGIN; SHOW TOTALS; COMMIT").parse("a", "SHOW EXPLAIN SELECT 1").describe('S', "a");
    m.bind("p", "a", {1}).execute("p", 1).sync().close('P', "p").query("SET a = 'b'").flush();
    for (int round = 0; round < 1000; ++round) {
        std::string noise = m;
        for (int i = 0; i < 5; ++i)
            noise[random() % noise.size()] = static_cast<char>(random() % 256);
        talk t{round % 2 == 0 ? console_role::admin : console_role::stats};
        t.next = two_totals();
        t.send(noise);
        (void)t.said();  // whole, well-formed messages
    }
}
