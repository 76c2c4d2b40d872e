// The grammar of the console's commands, and who may use them.
#include <doctest/doctest.h>

#include <string>
#include <variant>
#include <vector>

#include "proxy/ops/console_columns.h"
#include "proxy/ops/console_command.h"
#include "proxy/ops/console_text.h"

namespace {

using namespace pgsidecar::ops;
using kind = console_command::kind;

const console_command& read(std::string_view text) {
    static std::variant<console_command, console_error> got;
    got = read_command(text);
    CAPTURE(text);
    const auto* c = std::get_if<console_command>(&got);
    if (!c) FAIL(std::get<console_error>(got).message);
    return *c;
}

std::string code_of(std::string_view text) {
    const auto got = read_command(text);
    const auto* e = std::get_if<console_error>(&got);
    return e ? e->sqlstate : "";
}

}  // namespace

TEST_CASE("console commands: each is read with its words") {
    static constexpr struct {
        std::string_view text, tag, name;
        kind what;
    } rows[] = {
        {"PAUSE", "PAUSE", "", kind::pause},
        {"pause shop", "PAUSE", "shop", kind::pause},
        {"PAUSE \"my \"\"own\"\" db\"", "PAUSE", "my \"own\" db", kind::pause},
        {"  /* why */ Resume -- it is over\n Shop ", "RESUME", "Shop", kind::resume},
        {"DISABLE a-b.c", "DISABLE", "a-b.c", kind::disable},
        {"ENABLE 'it''s'", "ENABLE", "it's", kind::enable},
        {"RECONNECT", "RECONNECT", "", kind::reconnect},
        {"KILL shop", "KILL", "shop", kind::kill},
        {"WAIT_CLOSE", "WAIT_CLOSE", "", kind::wait_close},
        {"RELOAD", "RELOAD", "", kind::reload},
        {"rollback config", "ROLLBACK CONFIG", "", kind::rollback_config},
        {"SHUTDOWN WAIT_FOR_CLIENTS", "SHUTDOWN", "", kind::shutdown},
        {"INVALIDATE ALL", "INVALIDATE", "", kind::invalidate},
        {"INVALIDATE TENANT acme", "INVALIDATE", "acme", kind::invalidate},
        {"INVALIDATE TABLE public.dose IN shop", "INVALIDATE", "public.dose", kind::invalidate},
        {"INVALIDATE TABLE \"My\".\"Dose\"", "INVALIDATE", "My.Dose", kind::invalidate},
        {"BEGIN", "BEGIN", "", kind::begin},
        {"BEGIN ISOLATION LEVEL SERIALIZABLE", "BEGIN", "", kind::begin},
        {"START TRANSACTION", "START TRANSACTION", "", kind::begin},
        {"COMMIT", "COMMIT", "", kind::commit},
        {"ROLLBACK", "ROLLBACK", "", kind::rollback},
        {"ROLLBACK TO SAVEPOINT a", "ROLLBACK", "", kind::chatter},
        {"DISCARD ALL", "DISCARD ALL", "", kind::chatter},
        {"SET application_name = 'x'", "SET", "", kind::chatter},
        {"SET SESSION AUTHORIZATION DEFAULT", "SET", "", kind::chatter},
        {"set time zone 'UTC'", "SET", "", kind::chatter},
        {"RESET ALL", "RESET", "", kind::chatter},
        {"CLOSE ALL", "CLOSE CURSOR ALL", "", kind::chatter},
        {"UNLISTEN *", "UNLISTEN", "", kind::chatter},
        {"SELECT pg_advisory_unlock_all()", "SELECT 1", "pg_advisory_unlock_all", kind::select},
        {"SELECT 1", "SELECT 1", "?column?", kind::select},
        {"select pg_catalog.version()", "SELECT 1", "version", kind::select},
        {"SHOW server_version", "SHOW", "server_version", kind::select},
        {"SHOW TRANSACTION ISOLATION LEVEL", "SHOW", "transaction_isolation", kind::select},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        const auto& c = read(row.text);
        CHECK(c.what == row.what);
        CHECK(c.tag == row.tag);
        CHECK(c.name == row.name);
    }
    CHECK(read("INVALIDATE TABLE dose IN shop").database == "shop");
    CHECK(read("SHUTDOWN").ends == console_command::ending::at_once);
    CHECK(read("SHUTDOWN wait_for_servers").ends == console_command::ending::wait_for_servers);
    CHECK(read("KILL_CLIENT 0x1f").number == 31);
    CHECK(read("KILL_CLIENT '31'").number == 31);
}

TEST_CASE("console commands: every SHOW, and what belongs to it") {
    for (std::size_t i = 0; i < static_cast<std::size_t>(console_view::parameter); ++i) {
        const auto view = static_cast<console_view>(i);
        const auto name = std::string{to_string(view)};
        CAPTURE(name);
        CHECK_FALSE(columns_of(view).empty());
        const auto& c = read("SHOW " + name + (view == console_view::explain ? " SELECT 1" : ""));
        CHECK(c.view == view);
        CHECK(columns_of(c).size() == columns_of(view).size());
    }
    CHECK(read("SHOW QUERIES LIMIT 7").number == 7);
    const auto& plain = read("SHOW EXPLAIN SELECT ';' FROM \"user\" -- end");
    CHECK(plain.value == "SELECT ';' FROM \"user\" -- end");
    const auto& more = read("show explain DATABASE shop USER \"An Na\" SELECT 1");
    CHECK(more.database == "shop");
    CHECK(more.user == "An Na");
    CHECK(more.value == "SELECT 1");
}

TEST_CASE("console commands: SET takes a key and the rest as its value") {
    static constexpr struct {
        std::string_view text, key, value;
    } rows[] = {
        {"SET enable_optimizations = false", "enable_optimizations", "false"},
        {"SET cache.max_memory TO 64MB", "cache.max_memory", "64MB"},
        {"SET cache.max_memory='64 MB'", "cache.max_memory", "64 MB"},
        {"SET cache.key_settings = [a, 'b']", "cache.key_settings", "[a, 'b']"},
        {"SET \"cache.rules[all].mode\" = off", "cache.rules[all].mode", "off"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        const auto& c = read(row.text);
        CHECK(c.what == kind::set);
        CHECK(c.name == row.key);
        CHECK(c.value == row.value);
    }
}

TEST_CASE("console commands: what is none is refused with what there is, and never repeated") {
    static constexpr struct {
        std::string_view text, code;
    } rows[] = {
        {"", "42601"},
        {"SELECT secret FROM patient", "42601"},
        {"SHOW", "42601"},
        {"SHOW secret", "42601"},
        {"SHOW POOLS secret", "42601"},
        {"SHOW QUERIES LIMIT 0", "42601"},
        {"SHOW QUERIES LIMIT secret", "42601"},
        {"SHOW EXPLAIN", "42601"},
        {"SHOW EXPLAIN DATABASE", "42601"},
        {"SHOW FDS", "0A000"},
        {"SUSPEND", "0A000"},
        {"PAUSE secret secret", "42601"},
        {"PAUSE 'secret", "42601"},
        {"KILL", "42601"},
        {"DISABLE", "42601"},
        {"KILL_CLIENT secret", "42601"},
        {"KILL_CLIENT 99999999999999999999", "42601"},
        {"KILL_CLIENT 0x", "42601"},
        {"INVALIDATE", "42601"},
        {"INVALIDATE TABLE", "42601"},
        {"INVALIDATE TABLE a IN", "42601"},
        {"SET secret", "42601"},
        {"SET secret =", "42601"},
        {"SHUTDOWN secret", "42601"},
        {"DISCARD secret", "42601"},
        {"START secret", "42601"},
        {"SELECT version", "42601"},
        {"SELECT 1, 'secret'", "42601"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        CHECK(code_of(row.text) == row.code);
        const auto got = read_command(row.text);
        const auto& e = std::get<console_error>(got);
        CHECK((e.message + e.detail + e.hint).find("secret F") == std::string::npos);
        CHECK(e.message.find("'secret") == std::string::npos);
        if (row.code == "42601") CHECK(e.detail.find("SHOW EXPLAIN") != std::string::npos);
    }
}

TEST_CASE("console commands: a stats user may look and change nothing") {
    const std::vector<std::string> admins{"ann"}, stats{"sue", "ann"};
    CHECK(role_of("ann", admins, stats) == console_role::admin);
    CHECK(role_of("sue", admins, stats) == console_role::stats);
    CHECK(role_of("Sue", admins, stats) == console_role::none);
    CHECK(role_of("", admins, stats) == console_role::none);
    for (const std::string_view text :
         {"PAUSE", "RESUME", "DISABLE a", "ENABLE a", "RECONNECT", "KILL a", "KILL_CLIENT 1",
          "RELOAD", "ROLLBACK CONFIG", "SET log.level = debug", "SHUTDOWN", "WAIT_CLOSE",
          "INVALIDATE ALL"}) {
        CAPTURE(text);
        CHECK(may(console_role::admin, read(text)));
        CHECK_FALSE(may(console_role::stats, read(text)));
        CHECK_FALSE(may(console_role::none, read(text)));
    }
    for (const std::string_view text : {"SHOW POOLS", "SHOW CONFIG", "BEGIN", "DISCARD ALL"}) {
        CHECK(may(console_role::stats, read(text)));
        CHECK_FALSE((may(console_role::none, read(text))));
    }
}

TEST_CASE("console text: parts between semicolons, with quotes and comments as SQL has them") {
    using parts = std::vector<std::string_view>;
    CHECK(split_commands("").empty());
    CHECK(split_commands(" ; -- a;b\n /* c; /* d; */ e; */ ;").empty());
    CHECK(split_commands("a;b") == parts{"a", "b"});
    CHECK(split_commands("a 'x;y'; b \"x;y\";c") == parts{"a 'x;y'", " b \"x;y\"", "c"});
    CHECK(split_commands("a 'it''s;';b") == parts{"a 'it''s;'", "b"});
    CHECK(split_commands("a $$x;y$$; b $t$x;$$;y$t$; c") ==
          parts{"a $$x;y$$", " b $t$x;$$;y$t$", " c"});
    CHECK(split_commands("a $1;b") == parts{"a $1", "b"});
    CHECK(split_commands("a 'not closed; b") == parts{"a 'not closed; b"});
    CHECK(split_commands("a /* not closed; b") == parts{"a /* not closed; b"});
}
