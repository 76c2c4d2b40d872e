// A shared server connection: what is prepared there, what it says while nobody uses it, and the
// text that brings it from one client's settings to another's. That the text does so at a server:
// settings_live_test.cpp.
#include "proxy/core/server_link.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

#include "tests/core/messages.h"

using namespace core_test;
namespace core = pgsidecar::core;
using core::server_link;
using core::server_statements;
using values = core::session_settings::values;

namespace {

core::prepared_ptr definition() { return std::make_shared<const core::prepared>(); }
core::shared_text by(std::string text) {
    return std::make_shared<const std::string>(std::move(text));
}
std::string text(const core::restoring& r) {
    return r.first.empty() ? r.rest : r.first + " | " + r.rest;
}

}  // namespace

TEST_CASE("server statements: what another worker has made is known by what it says") {
    const auto made = [](std::string sql, std::string types, unsigned version = 0,
                         std::uint64_t definitions = 0) {
        const auto text = std::make_shared<const core::statement_text>(
            core::statement_text{std::move(sql), std::make_shared<const core::analysis>()});
        return std::make_shared<const core::prepared>(core::prepared{.text = text,
                                                                     .types = std::move(types),
                                                                     .version = version,
                                                                     .definitions = definitions,
                                                                     .hash = 7});
    };
    server_statements all;
    const auto number = all.add(made("SELECT 1", "t"), by("p"), 1);
    all.confirm(number);
    CHECK(all.find(made("SELECT 1", "t"), by("p"), 2) == number);
    CHECK_FALSE(all.find(made("SELECT 2", "t"), by("p"), 2));
    CHECK_FALSE(all.find(made("SELECT 1", "u"), by("p"), 2));
    CHECK_FALSE(all.find(made("SELECT 1", "t", 1), by("p"), 2));
    CHECK_FALSE(all.find(made("SELECT 1", "t", 0, 1), by("p"), 2));
    CHECK_FALSE(all.find(made("SELECT 1", "t"), by("q"), 2));
    // Where that is open it is like no other.
    const auto open = by("");
    const auto other = all.add(made("SELECT 1", "t"), open, 1);
    CHECK(all.find(made("SELECT 1", "t"), open, 1) == other);
    CHECK_FALSE(all.find(made("SELECT 1", "t"), by(""), 1));
    // One that comes in the place of another outlives it.
    const auto again = all.add(made("SELECT 1", "t"), by("p"), 3);
    all.remove(number);
    CHECK(all.find(made("SELECT 1", "t"), by("p"), 3) == again);
    CHECK(all.size() == 2);
}

TEST_CASE(
    "server statements: a definition and what it is read by have a number, which is never used "
    "again") {
    server_statements all;
    const auto a = definition(), b = definition();
    const auto p = by("p"), q = by("q");
    CHECK_FALSE(all.find(a, p, 1));
    const auto ap = all.add(a, p, 1), aq = all.add(a, q, 1), bp = all.add(b, p, 1);
    CHECK(std::set<std::uint32_t>{ap, aq, bp, server_statements::nobody}.size() == 4);
    CHECK(all.find(a, p, 1) == ap);
    CHECK(all.find(a, q, 1) == aq);
    CHECK(all.find(b, p, 1) == bp);
    CHECK_FALSE(all.find(b, q, 1));
    CHECK(all.find(a, by("p"), 1) == ap);
    all.remove(aq);
    all.remove(aq);
    all.remove(server_statements::nobody);
    CHECK_FALSE(all.find(a, q, 1));
    CHECK(all.size() == 2);
    all.clear();
    CHECK(all.size() == 0);
    CHECK_FALSE(all.find(a, p, 1));
    CHECK(all.add(a, p, 1) > bp);
}

TEST_CASE("server statements: the least recently used is the first to go") {
    server_statements all;
    const auto p = by("p");
    std::vector<core::prepared_ptr> d;
    std::vector<std::uint32_t> n;
    for (int i = 0; i < 4; ++i) {
        d.push_back(definition());
        n.push_back(all.add(d.back(), p, 1));
    }
    CHECK_FALSE(all.take_excess(4));
    CHECK(all.find(d[0], p, 1) == n[0]);
    CHECK(all.take_excess(2) == n[1]);
    CHECK(all.take_excess(2) == n[2]);
    CHECK_FALSE(all.take_excess(2));
    CHECK_FALSE(all.find(d[1], p, 1));
    CHECK(all.find(d[0], p, 1) == n[0]);
    CHECK(all.find(d[3], p, 1) == n[3]);
    CHECK(all.take_excess(0) == n[0]);
    CHECK(all.take_excess(0) == n[3]);
    CHECK_FALSE(all.take_excess(0));
}

TEST_CASE("server statements: what another batch prepares is not there until it is confirmed") {
    server_statements all;
    const auto d = definition();
    const auto p = by("p");
    const auto first = all.add(d, p, 1);
    CHECK(all.find(d, p, 1) == first);
    CHECK_FALSE(all.find(d, p, 2));
    SUBCASE("confirmed") {
        all.confirm(first);
        CHECK(all.find(d, p, 2) == first);
    }
    SUBCASE("another one comes in its place, and outlives it") {
        const auto second = all.add(d, p, 2);
        CHECK(second != first);
        CHECK_FALSE(all.find(d, p, 1));
        all.remove(first);
        CHECK(all.find(d, p, 2) == second);
        all.confirm(first);  // gone
        CHECK_FALSE(all.find(d, p, 3));
        all.confirm(second);
        CHECK(all.find(d, p, 3) == second);
        CHECK(all.size() == 1);
    }
    SUBCASE("the oldest goes, though another one has its place") {
        const auto second = all.add(d, p, 2);
        CHECK(all.take_excess(1) == first);
        CHECK(all.find(d, p, 2) == second);
        CHECK(all.take_excess(0) == second);
        CHECK_FALSE(all.find(d, p, 2));
    }
}

TEST_CASE("server statements: any calls leave what is known") {
    std::mt19937 random{7};
    server_statements all;
    std::vector<core::prepared_ptr> d;
    for (int i = 0; i < 6; ++i) d.push_back(definition());
    const core::shared_text readings[] = {by("p"), by("q")};
    struct one {
        core::prepared_ptr what;
        core::shared_text where;
        std::uint32_t number, batch;  // 0: confirmed
        bool known;                   // the last that came in its place
    };
    std::vector<one> model;  // the last used first
    for (std::size_t i = 0; i < 20'000; ++i) {
        const auto& what = d[random() % d.size()];
        const auto& where = readings[random() % 2];
        const auto batch = 1 + static_cast<std::uint32_t>(random() % 2);
        const auto it = std::find_if(model.begin(), model.end(), [&](const one& o) {
            return o.known && o.what == what && o.where == where;
        });
        switch (random() % 5) {
            case 0:
            case 1: {
                const auto number = all.find(what, where, batch);
                const bool there = it != model.end() && (it->batch == 0 || it->batch == batch);
                REQUIRE(number.has_value() == there);
                if (there) {
                    REQUIRE(*number == it->number);
                    std::rotate(model.begin(), it, it + 1);
                    break;
                }
                if (it != model.end()) it->known = false;
                model.insert(model.begin(),
                             {what, where, all.add(what, where, batch), batch, true});
                break;
            }
            case 2:
                if (model.empty() || random() % 2 == 0) break;
                all.remove(model[i % model.size()].number);
                model.erase(model.begin() + static_cast<std::ptrdiff_t>(i % model.size()));
                break;
            case 3:
                if (model.empty()) break;
                all.confirm(model[i % model.size()].number);
                model[i % model.size()].batch = 0;
                break;
            default:
                if (const auto number = all.take_excess(8)) {
                    REQUIRE(model.size() > 8);
                    REQUIRE(*number == model.back().number);
                    model.pop_back();
                } else {
                    REQUIRE(model.size() <= 8);
                }
        }
        REQUIRE(all.size() == model.size());
    }
}

TEST_CASE("server statements: names of ours") {
    CHECK(server_statements::name_of(1) != server_statements::name_of(11));
    CHECK(server_statements::is_ours(server_statements::name_of(17)));
    CHECK(server_statements::is_ours(server_statements::name_of(server_statements::nobody)));
    for (const char* name : {"", "p1", "PGSIDECAR:1", "pgsidecar", "xpgsidecar:1"})
        CHECK_FALSE(server_statements::is_ours(name));
}

TEST_CASE("server link: what it has reported is a value that others may keep") {
    server_link l;
    l.report("TimeZone", "UTC");
    const auto kept = l.reported;
    l.report("TimeZone", "UTC");
    CHECK(l.reported == kept);  // nothing new: the same object
    l.report("TimeZone", "CET");
    l.report("other", "");
    CHECK(*kept == values{{"TimeZone", "UTC"}});
    CHECK(*l.reported == values{{"TimeZone", "CET"}, {"other", ""}});
}

TEST_CASE("server link: what comes while nobody uses it") {
    const struct {
        const char* name;
        std::string said;
        bool stays;
    } rows[] = {
        {"nothing", "", true},
        {"a setting", parameter("TimeZone", "CET"), true},
        {"a notice", notice(), true},
        {"both, and again", notice() + parameter("a", "b") + parameter("TimeZone", "CET"), true},
        {"the end", failed("57P01", "FATAL"), false},
        {"an answer to nothing", ready(), false},
        {"a setting and the end", parameter("TimeZone", "CET") + failed("57P01", "FATAL"), false},
        {"a notification for somebody", "A\0\0\0\x0b\0\0\0\1a\0\0"s, false},
        {"half a message", parameter("TimeZone", "CET").substr(0, 9), false},
        {"a head", "S\0\0"s, false},
        {"one byte over", notice() + "S", false},
        {"a setting that is none", "S\0\0\0\6a\0"s, false},
        {"no message", "HTTP/1.1 400", false},
    };
    for (const auto& row : rows) {
        CAPTURE(std::string{row.name});
        server_link l;
        l.report("TimeZone", "UTC");
        (void)l.statements.add(definition(), by("p"), 1);
        CHECK(l.take_idle(row.said) == row.stays);
        if (row.stays && row.said.find("CET") != std::string::npos)
            CHECK(l.reported->at("TimeZone") == "CET");
        // Read by what was set before, which nobody's new statement is.
        if (row.stays) CHECK(l.statements.size() == (l.reported->at("TimeZone") == "CET" ? 0 : 1));
    }
}

TEST_CASE("restoring: each pair yields one text") {
    const struct {
        const char* name;
        values is, wanted;
        const char* text;
    } rows[] = {
        {"nothing", {}, {}, ""},
        {"the same", {{"a", "1"}}, {{"a", "1"}}, ""},
        {"the same role", {{"role", "r"}}, {{"role", "r"}}, ""},
        {"set", {}, {{"a", "1"}}, "SELECT pg_catalog.set_config(E'a',E'1',false);"},
        {"reset", {{"a", "1"}}, {}, "SELECT pg_catalog.set_config(E'a',NULL,false);"},
        {"changed", {{"a", "1"}}, {{"a", "2"}}, "SELECT pg_catalog.set_config(E'a',E'2',false);"},
        {"one stays",
         {{"a", "1"}, {"b", "1"}},
         {{"a", "1"}, {"c", ""}},
         "SELECT pg_catalog.set_config(E'b',NULL,false),pg_catalog.set_config(E'c',E'',false);"},
        {"quotes, backslashes, dots",
         {{"x.\"y'\\", "1"}},
         {{"a.b", "it's \\ \"so\"\n"}},
         "SELECT pg_catalog.set_config(E'x.\"y''\\\\',NULL,false),"
         "pg_catalog.set_config(E'a.b',E'it''s \\\\ \"so\"\n',false);"},
        {"encoding first",
         {{"a", "1"}},
         {{"a", "\xe4"}, {"client_encoding", "LATIN1"}},
         "SELECT pg_catalog.set_config(E'client_encoding',E'LATIN1',false) | "
         "SELECT pg_catalog.set_config(E'a',E'\xe4',false);"},
        {"encoding back",
         {{"client_encoding", "LATIN1"}},
         {{"a", "\xc3\xa4"}},
         "SELECT pg_catalog.set_config(E'client_encoding',NULL,false) | SELECT "
         "pg_catalog.set_config(E'a',E'\xc3\xa4',false);"},
        {"a role is taken on last",
         {{"a", "1"}},
         {{"role", "O'Neil"}, {"z", "1"}},
         "SELECT pg_catalog.set_config(E'a',NULL,false),pg_catalog.set_config(E'z',E'1',false);"
         "SELECT pg_catalog.set_config(E'role',E'O''Neil',false);"},
        {"and given up first",
         {{"role", "r"}},
         {{"role", "r"}, {"z", "1"}},
         "RESET ROLE;SELECT pg_catalog.set_config(E'z',E'1',false);"
         "SELECT pg_catalog.set_config(E'role',E'r',false);"},
        {"the session user before the role",
         {{"role", "r"}, {"session_authorization", "s"}},
         {{"role", "q"}, {"session_authorization", "t"}},
         "RESET SESSION AUTHORIZATION;RESET ROLE;"
         "SELECT pg_catalog.set_config(E'session_authorization',E't',false);"
         "SELECT pg_catalog.set_config(E'role',E'q',false);"},
        {"what ends with a transaction is nobody's",
         {{"transaction_isolation", "serializable"}, {"transaction_timeout", "1"}},
         {{"transaction_read_only", "on"}, {"transaction_deferrable", "on"}},
         "SELECT pg_catalog.set_config(E'transaction_timeout',NULL,false);"},
        {"back to who logged in",
         {{"role", "r"}, {"session_authorization", "s"}},
         {},
         "RESET SESSION AUTHORIZATION;RESET ROLE;"},
    };
    for (const auto& row : rows) {
        CAPTURE(std::string{row.name});
        CHECK(text(core::restore_settings(row.is, row.wanted)) == std::string{row.text});
    }
}
