// Sessions whose texts the server reads otherwise than UTF-8 with standard strings.
#include <doctest/doctest.h>

#include "proxy/core/dialect.h"
#include "tests/core/script.h"
#include "tests/core/two_sessions.h"

using namespace core_test;
using core::dialect;
using core::reading;

namespace {

const auto standard_off = query("SET standard_conforming_strings = off");
const auto is_off = completed("SET") + parameter("standard_conforming_strings", "off") + ready();
// One literal to whom \' ends it, a write in the middle to whom it does not.
const auto hides_write = query(R"(SELECT '\'' ; UPDATE kv SET v = upper(v); -- ')");
const auto ran = completed("SELECT 1") + completed("UPDATE 1") + ready();

std::string encoding_is(std::string_view name) {
    return completed("SET") + parameter("client_encoding", name) + ready();
}

dialect speaks(std::string_view strings, std::string_view client, std::string_view server) {
    dialect d;
    d.report("standard_conforming_strings", strings);
    d.report("client_encoding", client);
    d.report("server_encoding", server);
    d.logged_in();
    return d;
}

}  // namespace

TEST_CASE("dialect: which text may be taken for what it seems") {
    static constexpr struct {
        std::string_view strings, client, server, sql;
        reading want;
    } rows[] = {
        {"on", "UTF8", "UTF8", R"('\')", reading::plain},
        {"on", "UTF8", "UTF8", "'\xc3\xa9'", reading::plain},
        {"on", "UTF8", "LATIN1", "'\xc3\xa9'", reading::plain},
        {"off", "UTF8", "UTF8", R"('\')", reading::none},
        {"off", "UTF8", "UTF8", "'\xc3\xa9'", reading::plain},
        {"", "UTF8", "UTF8", R"('\')", reading::none},  // a server that does not say
        {"on", "LATIN1", "UTF8", "'e'", reading::plain},
        {"on", "LATIN1", "UTF8", "'\xe9'", reading::names_unknown},
        {"on", "WIN1252", "UTF8", "'\xe9'", reading::names_unknown},
        {"on", "EUC_JP", "UTF8", "'\xe9\xe9'", reading::names_unknown},
        {"on", "SJIS", "UTF8", "'\x83\\'", reading::none},
        {"on", "BIG5", "UTF8", "'\xa5\\'", reading::none},
        {"on", "GBK", "UTF8", "'\xa5\\'", reading::none},
        {"on", "GB18030", "UTF8", "'\x81\x30\x81\x30'", reading::none},
        {"on", "UHC", "UTF8", "'\xa5\\'", reading::none},
        {"on", "JOHAB", "UTF8", "'\xa5\\'", reading::none},
        {"on", "SJIS", "UTF8", R"('\')", reading::plain},
        {"on", "SQL_ASCII", "UTF8", "'\xc3\xa9'", reading::plain},
        {"on", "SQL_ASCII", "LATIN1", "'\xe9'", reading::names_unknown},
        {"on", "", "UTF8", "'\xe9'", reading::none},
    };
    for (const auto& row : rows) {
        CAPTURE(row.client);
        CAPTURE(row.sql);
        CHECK(speaks(row.strings, row.client, row.server).read(row.sql, true) == row.want);
    }
}

TEST_CASE("dialect: after a change nothing is certain until the server has reported") {
    auto d = speaks("on", "UTF8", "UTF8");
    d.note_change();
    CHECK(d.read(R"('\')", true) == reading::none);
    CHECK(d.read("'\xc3\xa9'", true) == reading::none);
    CHECK(d.read("'e'", true) == reading::plain);
    CHECK(d.read(R"('\')", false) == reading::plain);
}

TEST_CASE("strings off: a write hidden by a backslash is known") {
    two t;
    t.fill("old");
    t.writer.client(standard_off);
    t.writer.server(is_off);
    CHECK(t.hit());
    t.writer.client(hides_write);
    CHECK(t.w.db().writers.load() == 1);
    t.writer.server(ran);
    t.w.publish();
    CHECK(!t.hit());
}

TEST_CASE("strings off: also in the pipeline behind the change") {
    const std::string ways[] = {
        standard_off, parse("", "SET standard_conforming_strings TO off") + bind("") + execute(),
        query("SELECT set_config('standard_conforming_strings', 'off', false)"),
        query("SELECT may_do_anything()")};
    for (const auto& way : ways) {
        CAPTURE(show(way));
        two t;
        t.fill("old");
        t.writer.client(way);
        t.writer.client(parse("s", R"(SELECT '\'' , (SELECT change_all()) -- ')") + bind("s") +
                        execute() + sync_now());
        CHECK(t.w.db().cluster().commits_in_flight.load() == 1);
        t.writer.client_gone();
    }
}

TEST_CASE("strings off: once is for ever, for reads; a write without a backslash is itself") {
    two t;
    t.fill("old");
    t.writer.client(standard_off);
    t.writer.server(is_off);
    t.writer.client(query("UPDATE other SET v = 'x'"));
    t.writer.server(completed("UPDATE 1") + ready());
    CHECK(t.hit());
    t.writer.client(query("SET standard_conforming_strings = on"));
    t.writer.server(completed("SET") + parameter("standard_conforming_strings", "on") + ready());
    (void)t.writer.to_server();
    t.writer.client(select_kv);
    CHECK(show(t.writer.to_server()) == show(select_kv));
    t.writer.server(answer("old"));
    CHECK(t.writer.outcomes().back() == policy::reason::tainted_session);
}

TEST_CASE("encoding: a character that ends in a backslash's byte hides no write") {
    two t;
    t.fill("old");
    t.writer.client(query("SET client_encoding = 'SJIS'"));
    t.writer.server(encoding_is("SJIS"));
    // The server reads the two bytes as one character: the literal ends behind it.
    t.writer.client(query("SELECT E'\x83\\'; UPDATE kv SET v = upper(v); -- '"));
    t.writer.server(ran);
    t.w.publish();
    CHECK(!t.hit());
}

TEST_CASE("encoding: the same bytes name another table") {
    two t;
    t.fill("old");
    const auto named = query("UPDATE \"k\xc3\xa9\" SET v = 'x'");
    t.writer.client(named);
    t.writer.server(completed("UPDATE 1") + ready());
    CHECK(t.hit());  // in UTF-8 it is a table that is known, and not kv
    t.writer.client(query("SET NAMES 'LATIN1'"));
    t.writer.server(encoding_is("LATIN1"));
    t.writer.client(query("UPDATE other SET v = '\xe9'"));
    t.writer.server(completed("UPDATE 1") + ready());
    CHECK(t.hit());
    t.writer.client(named);
    t.writer.server(completed("UPDATE 1") + ready());
    CHECK(!t.hit());
}

TEST_CASE("encoding: the same bytes are another value") {
    world w;
    wired latin{w}, utf{w, second_token};
    latin.log_in();
    utf.log_in();
    const auto ask = query("SELECT v FROM kv WHERE v = '\xc3\xa9'");
    latin.client(query("SET client_encoding TO LATIN1"));
    latin.server(encoding_is("LATIN1"));
    (void)latin.to_server();
    for (wired* one : {&latin, &utf}) {
        one->client(ask);
        CHECK(show(one->to_server()) == show(ask));
        one->server(answer("v"));
        one->client(ask);
        CHECK(one->to_server().empty());
    }
    // A value that a setting has from such a text is not comparable.
    latin.client(query("SET app.tenant_id = '\xc3\xa9'"));
    latin.server(completed("SET") + ready());
    latin.client(query("SET client_encoding TO UTF8"));
    latin.server(encoding_is("UTF8"));
    (void)latin.to_server();
    latin.client(ask);
    CHECK(show(latin.to_server()) == show(ask));
    latin.server(answer("v"));
    CHECK(latin.outcomes().back() == policy::reason::tainted_session);
    latin.client_gone();
    utf.client_gone();
}

TEST_CASE("encoding: start-up parameters that a server in another encoding takes as its own") {
    for (const auto encoding : {"LATIN1", "UTF8"}) {
        world w;
        wired l{w};
        l.client(client_startup({{"options", "-c app.tenant_id=\xc3\xa9"}}));
        l.connected();
        l.server(message(protocol::authentication{protocol::auth_kind::ok, {}}) +
                 parameter("client_encoding", "UTF8") + parameter("server_encoding", encoding) +
                 parameter("standard_conforming_strings", "on") +
                 message(protocol::backend_key_data{77, "\1\2\3\4"sv}) + ready());
        (void)l.to_server();
        for (int i = 0; i < 2; ++i) {
            l.client(select_kv);
            if (!l.to_server().empty()) l.server(answer("v"));
        }
        CHECK(l.outcomes().back() ==
              (encoding == "UTF8"sv ? policy::reason::hit : policy::reason::tainted_session));
        l.client_gone();
    }
}

TEST_CASE("encoding: what the server has not heard of is told it before the change") {
    world w;
    wired first{w}, second{w, second_token};
    first.log_in();
    second.log_in();
    const auto prepared = parse("p", "SELECT v FROM kv WHERE v = '\xc3\xa9'");
    const auto run = bind("p") + execute() + sync_now();
    const auto rows = bind_complete() + row_of("v") + completed("SELECT 1") + ready();
    first.client(prepared + run);
    first.server(parse_complete() + rows);
    second.client(prepared + run);
    CHECK(second.to_server().empty());
    const auto change = query("SET client_encoding = 'LATIN1'");
    second.client(change);
    CHECK(show(second.to_server()) == show(prepared + sync_now() + change));
    first.client_gone();
    second.client_gone();
}
