// The settings of a session against what guc.c does with SET, SET LOCAL, RESET, savepoints and
// rollback. Each case says what SHOW would print, at each point.
#include "proxy/core/session_settings.h"

#include <doctest/doctest.h>

#include <optional>
#include <string>

using pgsidecar::core::literals_are_read_by;
using pgsidecar::core::session_settings;
using pgsidecar::core::setting_is_read_by;
using pgsidecar::core::setting_matters;
using pgsidecar::policy::setting_change;

namespace {

setting_change set(std::string name, std::string value) { return {std::move(name), value}; }
setting_change set_local(std::string name, std::string value) {
    return {std::move(name), value, true};
}
setting_change reset(std::string name) { return {std::move(name), std::nullopt}; }
setting_change reset_all() { return {{}, std::nullopt, false, true}; }

std::string shown(const session_settings& s, std::string_view name = "x") {
    const auto* value = s.find(name);
    return value ? *value : "default";
}

}  // namespace

TEST_CASE("settings: SET lasts, RESET returns to the start value") {
    session_settings s;
    s.start("X", "start");
    CHECK(shown(s) == "start");
    s.apply(set("x", "1"));
    CHECK(shown(s) == "1");
    s.apply(reset("x"));
    CHECK(shown(s) == "start");
}

TEST_CASE("settings: rollback takes SET back, commit keeps it") {
    session_settings s;
    s.apply(set("x", "0"));
    s.begin();
    s.apply(set("x", "1"));
    s.rollback();
    CHECK(shown(s) == "0");
    s.begin();
    s.apply(set("x", "2"));
    s.commit();
    CHECK(shown(s) == "2");
    CHECK(!s.in_transaction());
}

TEST_CASE("settings: SET LOCAL ends with the transaction, however it ends") {
    for (const bool commits : {true, false}) {
        session_settings s;
        s.apply(set("x", "0"));
        s.begin();
        s.apply(set_local("x", "1"));
        CHECK(shown(s) == "1");
        commits ? s.commit() : s.rollback();
        CHECK(shown(s) == "0");
    }
}

TEST_CASE("settings: SET LOCAL outside a transaction does nothing") {
    session_settings s;
    s.apply(set_local("x", "1"));
    CHECK(shown(s) == "default");
}

TEST_CASE("settings: SET then SET LOCAL: the commit returns to what was SET") {
    session_settings s;
    s.begin();
    s.apply(set("x", "1"));
    s.apply(set_local("x", "2"));
    CHECK(shown(s) == "2");
    s.commit();
    CHECK(shown(s) == "1");
}

TEST_CASE("settings: SET LOCAL then SET: what was SET stays after the commit") {
    session_settings s;
    s.begin();
    s.apply(set_local("x", "1"));
    s.apply(set("x", "2"));
    s.commit();
    CHECK(shown(s) == "2");
}

TEST_CASE("settings: ROLLBACK TO takes back what came after the savepoint") {
    session_settings s;
    s.begin();
    s.apply(set("x", "1"));
    REQUIRE(s.savepoint("a"));
    s.apply(set("x", "2"));
    s.rollback_to("a");
    CHECK(shown(s) == "1");
    s.commit();
    CHECK(shown(s) == "1");
}

TEST_CASE("settings: a SET that is rolled back to a savepoint leaves an older SET LOCAL local") {
    session_settings s;
    s.begin();
    s.apply(set_local("x", "1"));
    REQUIRE(s.savepoint("a"));
    s.apply(set("x", "2"));
    s.rollback_to("a");
    CHECK(shown(s) == "1");
    s.commit();
    CHECK(shown(s) == "default");
}

TEST_CASE("settings: a SET in a released savepoint overrules an older SET LOCAL") {
    session_settings s;
    s.begin();
    s.apply(set_local("x", "1"));
    REQUIRE(s.savepoint("a"));
    s.apply(set("x", "2"));
    s.release("a");
    s.commit();
    CHECK(shown(s) == "2");
}

TEST_CASE("settings: SET LOCAL in a released savepoint is local to the transaction") {
    session_settings s;
    s.begin();
    s.apply(set("x", "1"));
    REQUIRE(s.savepoint("a"));
    s.apply(set_local("x", "2"));
    s.release("a");
    CHECK(shown(s) == "2");
    s.commit();
    CHECK(shown(s) == "1");
}

TEST_CASE("settings: SET then SET LOCAL in a savepoint over an outer SET LOCAL") {
    session_settings s;
    s.begin();
    s.apply(set_local("x", "1"));
    REQUIRE(s.savepoint("a"));
    s.apply(set("x", "2"));
    s.apply(set_local("x", "3"));
    SUBCASE("released") {
        s.release("a");
        CHECK(shown(s) == "3");
        s.commit();
        CHECK(shown(s) == "2");
    }
    SUBCASE("committed with the savepoint open") {
        s.commit();
        CHECK(shown(s) == "2");
    }
    SUBCASE("rolled back") {
        s.rollback_to("a");
        CHECK(shown(s) == "1");
        s.commit();
        CHECK(shown(s) == "default");
    }
}

TEST_CASE("settings: a savepoint outlives ROLLBACK TO; one inside it does not") {
    session_settings s;
    s.begin();
    REQUIRE(s.savepoint("a"));
    s.apply(set("x", "1"));
    REQUIRE(s.savepoint("b"));
    s.apply(set("x", "2"));
    s.rollback_to("a");
    CHECK(shown(s) == "default");
    s.apply(set("x", "3"));
    s.rollback_to("b");  // the server refuses it: no such savepoint
    CHECK(shown(s) == "3");
    s.rollback_to("a");
    CHECK(shown(s) == "default");
    s.commit();
}

TEST_CASE("settings: of two savepoints of one name the younger counts") {
    session_settings s;
    s.begin();
    REQUIRE(s.savepoint("a"));
    s.apply(set("x", "1"));
    REQUIRE(s.savepoint("a"));
    s.apply(set("x", "2"));
    s.rollback_to("a");
    CHECK(shown(s) == "1");
    s.release("a");
    s.rollback_to("a");
    CHECK(shown(s) == "default");
    s.commit();
}

TEST_CASE("settings: RESET ALL leaves who the session is") {
    session_settings s;
    s.start("y", "start");
    s.apply(set("x", "1"));
    s.apply(set("y", "2"));
    s.apply(set("role", "bob"));
    s.apply(reset_all());
    CHECK(shown(s) == "default");
    CHECK(shown(s, "y") == "start");
    CHECK(shown(s, "role") == "bob");
}

TEST_CASE("settings: RESET ALL in a block, rolled back") {
    session_settings s;
    s.apply(set("x", "1"));
    s.begin();
    s.apply(reset_all());
    CHECK(shown(s) == "default");
    s.rollback();
    CHECK(shown(s) == "1");
}

TEST_CASE("settings: RESET ALL overrules a SET LOCAL before it") {
    session_settings s;
    s.apply(set("x", "1"));
    s.begin();
    s.apply(set_local("x", "2"));
    s.apply(reset_all());
    CHECK(shown(s) == "default");
    s.commit();
    CHECK(shown(s) == "default");
}

TEST_CASE("settings: a new session authorization ends the role") {
    session_settings s;
    s.start("role", "carol");
    s.apply(set("role", "bob"));
    s.apply(set("session_authorization", "alice"));
    CHECK(shown(s, "role") == "none");
    s.apply(reset("session_authorization"));
    CHECK(shown(s, "role") == "none");
}

TEST_CASE("settings: SET LOCAL SESSION AUTHORIZATION gives the role back") {
    session_settings s;
    s.apply(set("role", "bob"));
    s.begin();
    s.apply(set_local("session_authorization", "alice"));
    CHECK(shown(s, "role") == "none");
    s.commit();
    CHECK(shown(s, "role") == "bob");
    CHECK(shown(s, "session_authorization") == "default");
}

TEST_CASE("settings: DISCARD ALL returns to the start, but to no role") {
    session_settings s;
    s.start("y", "start");
    s.start("role", "carol");
    s.apply(set("x", "1"));
    s.apply(set("y", "2"));
    s.discard_all();
    CHECK(shown(s) == "default");
    CHECK(shown(s, "y") == "start");
    CHECK(shown(s, "role") == "none");
}

TEST_CASE("settings: after DISCARD ALL the key is that of a fresh session") {
    session_settings fresh, used;
    for (auto* s : {&fresh, &used}) s->start("timezone", "UTC");
    used.apply(set("x", "1"));
    used.apply(set("session_authorization", "alice"));
    used.discard_all();
    CHECK(used.key_text() == fresh.key_text());
}

TEST_CASE(
    "settings: what changes nothing is no new revision, so that nothing is made anew for it") {
    session_settings s;
    setting_change all;
    all.all = true;
    s.apply(set("x", "1"));
    auto seen = s.revision();
    s.apply(set("x", "1"));
    s.apply(reset("y"));
    CHECK(s.revision() == seen);
    s.apply(set("x", "2"));
    CHECK(s.revision() > seen);
    for (const auto& r : {reset("session_authorization"), all}) s.apply(r);
    CHECK(shown(s) == "default");
    seen = s.revision();
    for (const auto& r : {reset("session_authorization"), all}) s.apply(r);
    CHECK(s.revision() == seen);
    s.apply(set("x", "1"));
    CHECK(s.revision() > seen);
    s.discard_all();
    seen = s.revision();
    s.discard_all();
    CHECK(s.revision() == seen);
}

TEST_CASE("settings: the key tells names from values and values from each other") {
    const auto key = [](std::initializer_list<setting_change> changes) {
        session_settings s;
        for (const auto& c : changes) s.apply(c);
        return s.key_text();
    };
    CHECK(key({set("x", "1")}) != key({}));
    CHECK(key({set("x", "1")}) != key({set("x", "2")}));
    CHECK(key({set("x", "1"), set("y", "2")}) == key({set("y", "2"), set("x", "1")}));
    CHECK(key({set("x", "1y")}) != key({set("x", "1"), set("y", "")}));
    CHECK(key({set("application_name", "a")}) == key({}));
    session_settings started;
    started.start("x", "1");
    CHECK(started.key_text() != key({}));
}

TEST_CASE("settings: savepoints are bounded") {
    session_settings s;
    bool taken = true;
    for (int i = 0; i < 5000; ++i) taken = taken && s.savepoint("s");
    CHECK(!taken);
}

TEST_CASE("settings: each change moves the revision, nothing else does") {
    session_settings s;
    const auto moved = [&](auto change) {
        const auto before = s.revision();
        change();
        return s.revision() != before;
    };
    CHECK(moved([&] { s.apply(set("x", "1")); }));
    CHECK(moved([&] { s.apply(reset_all()); }));
    CHECK(moved([&] { s.discard_all(); }));
    CHECK(!moved([&] { s.begin(); }));
    CHECK(!moved([&] { s.commit(); }));
    s.begin();
    s.apply(set_local("x", "1"));
    CHECK(moved([&] { s.commit(); }));
}

TEST_CASE("settings: the options of a start-up packet, as the server splits them") {
    static constexpr struct {
        const char* options;
        bool understood;
        const char* name;
        const char* value;
    } rows[] = {
        {"-c x=1", true, "x", "1"},
        {"-cx=1", true, "x", "1"},
        {"--x=1", true, "x", "1"},
        {"  -c\tX=1 \n", true, "x", "1"},
        {"--search-path=a,b", true, "search_path", "a,b"},
        {R"(-c x=a\ b)", true, "x", "a b"},
        {R"(-c x=a\\b)", true, "x", R"(a\b)"},
        {R"(-c x=a\)", true, "x", "a"},
        {"-c x=", true, "x", ""},
        {"-c x=a=b", true, "x", "a=b"},
        {"-c x=1 -c x=2", true, "x", "2"},
        {"-c app.tenant_id=t1 -c y=2", true, "app.tenant_id", "t1"},
        {"", true, "x", "default"},
        {"-c", false, "x", "default"},
        {"-c x", false, "x", "default"},
        {"-d 3", false, "x", "default"},
        {"x=1", false, "x", "default"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.options);
        session_settings s;
        CHECK(s.start_options(row.options) == row.understood);
        CHECK(shown(s, row.name) == row.value);
    }
}

TEST_CASE("settings: what can change an answer matters") {
    for (const char* name : {"timezone", "datestyle", "search_path", "role", "app.tenant_id",
                             "bytea_output", "extra_float_digits", "row_security"})
        CHECK(setting_matters(name));
    for (const char* name : {"application_name", "statement_timeout"})
        CHECK(!setting_matters(name));
}

TEST_CASE("settings: by which a text is read, and what a transaction's end may change of them") {
    for (const char* name : {"timezone", "datestyle", "search_path", "array_nulls", "role"})
        CHECK(setting_is_read_by(name));
    for (const char* name : {"app.tenant_id", "application_name", "statement_timeout"})
        CHECK_FALSE(setting_is_read_by(name));

    session_settings s;
    s.apply(set("timezone", "CET"));
    s.begin();
    CHECK_FALSE(s.reading_set_in_transaction());
    s.apply(set_local("app.tenant_id", "t"));
    CHECK_FALSE(s.reading_set_in_transaction());
    s.apply(set_local("datestyle", "German"));
    CHECK(s.reading_set_in_transaction());
    s.commit();
    CHECK_FALSE(s.reading_set_in_transaction());
    s.begin();
    s.apply(reset("timezone"));
    CHECK(s.reading_set_in_transaction());
}

TEST_CASE("settings: by which literals are read") {
    for (const char* name : {"timezone", "datestyle", "array_nulls", "xmloption"})
        CHECK(literals_are_read_by(name));
    for (const char* name : {"search_path", "role", "app.tenant_id", "application_name"})
        CHECK_FALSE(literals_are_read_by(name));

    const session_settings::values reported{{"timezone", "UTC"}, {"datestyle", "ISO"}};
    session_settings plain, other;
    const auto before = plain.literals_text(reported);
    other.start("timezone", "CET");
    CHECK(other.literals_text(reported) != before);
    plain.apply(set("search_path", "a"));
    plain.apply(set("app.tenant_id", "t"));
    CHECK(plain.literals_text(reported) == before);
    plain.apply(set("timezone", "CET"));
    CHECK(plain.literals_text(reported) != before);
    CHECK(plain.literals_text({{"timezone", "GMT"}, {"datestyle", "ISO"}}) ==
          plain.literals_text(reported));
    plain.apply(reset("timezone"));
    CHECK(plain.literals_text(reported) == before);
}
