// At a real server: what restore_settings() says brings a connection from any client's settings to
// any other's, as a connection that has always had them.
#include <doctest/doctest.h>
#include <libpq-fe.h>

#include <map>
#include <random>
#include <string>
#include <vector>

#include "proxy/core/server_link.h"
#include "tests/policy/live_server.h"

namespace {

namespace core = pgsidecar::core;
using pgsidecar::policy::testing::live_server;
using values = core::session_settings::values;

// Made on first use: a database, and users with names that have to be quoted.
const std::string& place() {
    static const std::string where = [] {
        auto& server = live_server::instance();
        server.run(
            "CREATE DATABASE pool ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' "
            "TEMPLATE template0");
        server.run(
            "CREATE ROLE chief SUPERUSER LOGIN; CREATE ROLE plain LOGIN;"
            "CREATE ROLE \"O'Neil \\ \"\"x\"\"\"; GRANT \"O'Neil \\ \"\"x\"\"\" TO plain;"
            "ALTER ROLE chief SET work_mem = '7MB'");
        return server.run("SHOW unix_socket_directories").at(0);
    }();
    return where;
}

class connection {
  public:
    explicit connection(const std::string& user, const std::string& more = {})
        : handle_{
              PQconnectdb(("host=" + place() + " dbname=pool user=" + user + " " + more).c_str())} {
        REQUIRE(PQstatus(handle_) == CONNECTION_OK);
        PQsetNoticeProcessor(
            handle_, [](void*, const char*) {}, nullptr);
    }
    connection(const connection&) = delete;
    connection& operator=(const connection&) = delete;
    ~connection() { PQfinish(handle_); }

    // "name=value" lines of two columns; an error fails the test.
    std::string run(const std::string& sql, std::vector<const char*> given = {}) {
        auto* r = given.empty() ? PQexec(handle_, sql.c_str())
                                : PQexecParams(handle_, sql.c_str(), int(given.size()), nullptr,
                                               given.data(), nullptr, nullptr, 0);
        const auto status = PQresultStatus(r);
        const std::string error = PQresultErrorMessage(r);
        std::string out;
        for (int i = 0; i < PQntuples(r); ++i)
            for (int f = 0; f < PQnfields(r); ++f)
                out.append(PQgetvalue(r, i, f)).push_back(f + 1 < PQnfields(r) ? '=' : '\n');
        PQclear(r);
        CAPTURE(sql);
        CAPTURE(error);
        REQUIRE((status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK));
        return out;
    }
    // One after the other, without a text of ours.
    void set(const values& all) {
        const auto one = [&](const std::string& name) {
            const auto it = all.find(name);
            if (it == all.end()) return;
            run("SELECT pg_catalog.set_config($1,$2,false)", {name.c_str(), it->second.c_str()});
        };
        one("client_encoding");
        for (const auto& [name, value] : all)
            if (name != "role" && name != "session_authorization" && name != "client_encoding")
                one(name);
        one("session_authorization");
        one("role");
    }
    void restore(const values& is, const values& wanted) {
        const auto text = core::restore_settings(is, wanted);
        if (!text.first.empty()) run(text.first);
        if (!text.rest.empty()) run(text.rest);
    }
    // Who it is, and then everything that is set, for who sees it all. Custom settings that were
    // reset are empty, not unknown. Ends as who logged in.
    std::string state(const std::vector<std::string>& custom) {
        std::string out = run("SELECT current_user, session_user");
        run("RESET SESSION AUTHORIZATION; RESET ROLE");
        for (const auto& name : custom)
            out += run("SELECT $1, coalesce(current_setting($1, true), '')", {name.c_str()});
        return out + run("SELECT name, setting FROM pg_settings WHERE name !~ '[.]' ORDER BY name");
    }

  private:
    PGconn* handle_;
};

// The first line that is not the same.
std::string difference(std::string_view a, std::string_view b) {
    const auto line = [](std::string_view& text) {
        const auto end = std::min(text.find('\n'), text.size());
        const std::string one{text.substr(0, end)};
        text.remove_prefix(std::min(end + 1, text.size()));
        return one;
    };
    while (!a.empty() || !b.empty()) {
        const auto x = line(a), y = line(b);
        if (x != y) return x + " instead of " + y;
    }
    return {};
}

const std::string long_name = "app." + std::string(90, 'n');

struct candidate {
    std::string name;
    std::vector<std::string> of_utf8, of_latin1;
    bool superuser = false;
};
const std::vector<candidate> candidates{
    {"search_path", {"public", "\"$user\", \"o'dd \\ S\"", ""}, {}},
    {"timezone", {"CET", "Europe/Berlin"}, {}},
    {"datestyle", {"German", "SQL, DMY"}, {}},
    {"application_name", {"it's", "C:\\dir\\", "%s \"q\" $1 ; --", "\\'"}, {}},
    {"standard_conforming_strings", {"off", "on"}, {}},
    {"backslash_quote", {"off", "on"}, {}},
    {"escape_string_warning", {"off"}, {}},
    {"bytea_output", {"escape"}, {}},
    {"extra_float_digits", {"-3", "3"}, {}},
    {"work_mem", {"64kB", "1GB"}, {}},
    {"default_transaction_isolation", {"serializable"}, {}},
    {"default_transaction_read_only", {"on"}, {}},
    {"row_security", {"off"}, {}},
    {"app.tenant_id", {"7", "", "\xc3\xa4'\\"}, {"7", "\xe4'\\"}},
    {"app.b.c", {"x"}, {}},
    {long_name, {"long"}, {}},
    {"client_encoding", {"UTF8", "SQL_ASCII"}, {}},
    {"session_replication_role", {"replica", "local"}, {}, true},
    {"log_min_messages", {"error"}, {}, true},
    {"session_authorization", {"plain", "chief"}, {}, true},
    {"role", {"none", "O'Neil \\ \"x\"", "plain"}, {}},
};
const std::vector<std::string> customs{"app.tenant_id", "app.b.c", long_name};

values random_state(std::mt19937& random, bool superuser) {
    values out;
    const bool latin1 = random() % 4 == 0;
    for (const auto& c : candidates) {
        if (random() % 3 != 0 || (c.superuser && !superuser)) continue;
        const auto& from = latin1 && !c.of_latin1.empty() ? c.of_latin1 : c.of_utf8;
        out[c.name] = from[random() % from.size()];
    }
    if (latin1) out["client_encoding"] = "LATIN1";
    // Only members of a role may take it on.
    if (out.contains("session_authorization") && out["role"].empty()) out.erase("role");
    return out;
}

void walk(const std::string& user, bool superuser, unsigned seed, const std::string& more = {}) {
    std::mt19937 random{seed};
    connection shared{user, more};
    values is;
    for (int i = 0; i < 60; ++i) {
        auto wanted = random() % 8 == 0 ? values{} : random_state(random, superuser);
        CAPTURE(i);
        CAPTURE(seed);
        shared.restore(is, wanted);
        connection fresh{user, more};
        fresh.set(wanted);
        REQUIRE(difference(shared.state(customs), fresh.state(customs)) == "");
        // That ended as who logged in.
        const auto identity = [](const auto& item) {
            return item.first == "role" || item.first == "session_authorization";
        };
        std::erase_if(wanted, identity);
        if (random() % 2 == 0) {
            if (superuser) wanted["session_authorization"] = "plain";
            wanted["role"] = "O'Neil \\ \"x\"";
            shared.set({{"role", wanted["role"]}});
            if (superuser) {
                shared.run("RESET ROLE");
                shared.set(wanted);
            }
        }
        is = wanted;
    }
}

}  // namespace

TEST_CASE("restoring: from any client's settings to any other's") {
    for (const unsigned seed : {1U, 2U, 3U}) {
        walk("chief", true, seed);
        walk("plain", false, seed);
    }
    walk("chief", true, 4,
         "options='-c standard_conforming_strings=off -c client_encoding=LATIN1'");
}

TEST_CASE("restoring: whatever a client may set comes and goes") {
    connection shared{"chief"}, fresh{"chief"};
    const auto begin = fresh.state({});
    const auto rows = shared.run(
        "SELECT name, CASE vartype WHEN 'bool' THEN CASE setting WHEN 'on' THEN 'off' ELSE 'on' END"
        " WHEN 'enum' THEN (SELECT min(v) FROM unnest(enumvals) v WHERE v <> setting)"
        " WHEN 'string' THEN setting ELSE CASE setting WHEN min_val THEN max_val ELSE min_val END"
        " END FROM pg_settings WHERE context IN ('user', 'superuser') ORDER BY name");
    values all;
    for (std::size_t at = 0; at < rows.size(); at = rows.find('\n', at) + 1) {
        const auto end = rows.find('\n', at), equals = rows.find('=', at);
        const auto name = rows.substr(at, equals - at);
        if (name == "role" || name == "session_authorization") continue;
        if (name.starts_with("log_") && name.ends_with("_stats")) continue;  // exclude each other
        if (name.ends_with("_timeout")) continue;  // the shortest would end this test
        all[name] = rows.substr(equals + 1, end - equals - 1);
        shared.restore({}, {{name, all[name]}});
        shared.restore({{name, all[name]}}, {});
    }
    CHECK(all.size() > 100);
    CHECK(all.contains("transaction_isolation"));
    CHECK(difference(shared.state({}), begin) == "");
    shared.restore({}, all);
    CHECK(difference(shared.state({}), begin) != "");
    shared.restore(all, {});
    CHECK(difference(shared.state({}), begin) == "");
}
