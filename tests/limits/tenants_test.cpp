// Who a session works for: where a tenant's name is found.
#include "policy/tenants.h"

#include <doctest/doctest.h>

#include <map>

using namespace pgsidecar::policy;

namespace {
using from = tenant_source::from;
using names = std::map<std::string, std::string, std::less<>>;

std::vector<tenant_source> sources(std::initializer_list<std::string_view> texts) {
    std::vector<tenant_source> out;
    for (const auto text : texts) {
        std::string why;
        const auto one = read_tenant_source(text, why);
        REQUIRE(one);
        out.push_back(*one);
    }
    return out;
}

std::function<std::optional<std::string>(std::string_view)> answers(names known) {
    return [known = std::move(known)](std::string_view name) {
        const auto it = known.find(name);
        return it == known.end() ? std::nullopt : std::optional{it->second};
    };
}

// "-" when there is none.
std::string tag(std::string_view sql, std::string_view key = "tenant") {
    return comment_tag(sql, key).value_or("-");
}

tenant_evidence evidence(std::string_view sql, std::string_view user,
                         std::string_view database = {}) {
    tenant_evidence e;
    e.sql = sql;
    e.user = user;
    e.database = database;
    return e;
}
}  // namespace

TEST_CASE("tenant source: each text that can be read") {
    static constexpr struct {
        std::string_view text;
        from where;
        std::string_view name, before, behind;
    } rows[] = {
        {"startup:App.Tenant", from::startup, "app.tenant", "", ""},
        {"setting:APP.tenant_id", from::setting, "app.tenant_id", "", ""},
        {"setting:a:b", from::setting, "a:b", "", ""},
        {"comment:Tenant", from::comment, "Tenant", "", ""},
        {"application_name", from::application_name, "", "", ""},
        {"application_name:{tenant}", from::application_name, "", "", ""},
        {"application_name:rx-{tenant}", from::application_name, "", "rx-", ""},
        {"user", from::user, "", "", ""},
        {"user:{tenant}_rw", from::user, "", "", "_rw"},
        {"database:a:{tenant}:b", from::database, "", "a:", ":b"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.text);
        std::string why;
        const auto got = read_tenant_source(row.text, why);
        REQUIRE(got);
        CHECK(why.empty());
        CHECK(got->where == row.where);
        CHECK(got->name == row.name);
        CHECK(got->before == row.before);
        CHECK(got->behind == row.behind);
    }
}

TEST_CASE("tenant source: what cannot be read says why") {
    static constexpr std::pair<std::string_view, std::string_view> rows[] = {
        {"", "is not one of"},
        {":", "is not one of"},
        {"User", "is not one of"},
        {"tenant:x", "is not one of"},
        {"startup", "names nothing behind startup:"},
        {"startup:", "names nothing behind startup:"},
        {"setting:", "names nothing behind setting:"},
        {"comment", "names nothing behind comment:"},
        {"user:", "has no {tenant}"},
        {"user:rx-", "has no {tenant}"},
        {"database:{Tenant}", "has no {tenant}"},
        {"application_name:{tenant", "has no {tenant}"},
        {"user:{tenant}-{tenant}", "has {tenant} twice"},
    };
    for (const auto& [text, want] : rows) {
        CAPTURE(text);
        std::string why;
        CHECK(!read_tenant_source(text, why));
        CHECK(why.find(want) != std::string::npos);
    }
}

TEST_CASE("tenant name: 1 to 100 bytes of UTF-8 without control characters") {
    const std::pair<std::string, std::string_view> rows[] = {
        {"a", ""},
        {"Größe 7/x", ""},
        {std::string(100, 'x'), ""},
        {"", "empty"},
        {std::string(101, 'x'), "longer than 100"},
        {std::string("a\0b", 3), "control"},
        {"a\n", "control"},
        {"a\x7f", "control"},
        {"a\xff", "UTF-8"},
        {"\xc3", "UTF-8"},
    };
    for (const auto& [name, want] : rows) {
        CAPTURE(name);
        const auto why = bad_tenant_name(name);
        CHECK(why.empty() == want.empty());
        CHECK(why.find(want) != std::string::npos);
    }
}

TEST_CASE("tenant: what stands for {tenant} in a pattern") {
    static constexpr struct {
        std::string_view pattern, text, want;
    } rows[] = {
        {"application_name", "acme", "acme"},
        {"application_name:rx-{tenant}", "rx-acme", "acme"},
        {"application_name:rx-{tenant}", "rx-rx-", "rx-"},
        {"application_name:rx-{tenant}", "rx-", ""},
        {"application_name:rx-{tenant}", "r", ""},
        {"application_name:rx-{tenant}", "RX-acme", ""},
        {"application_name:rx-{tenant}", " rx-acme", ""},
        {"application_name:{tenant}-rw", "acme-rw", "acme"},
        {"application_name:{tenant}-rw", "acme-rw ", ""},
        {"application_name:a-{tenant}-b", "a-x-b", "x"},
        {"application_name:a-{tenant}-b", "a--b", ""},
        {"application_name:a-{tenant}-b", "a-b", ""},  // one dash is not both
        {"application_name:aba{tenant}aba", "ababa", ""},
        {"application_name:aba{tenant}aba", "abaaba", ""},
        {"application_name:aba{tenant}aba", "aba1aba", "1"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.pattern);
        CAPTURE(row.text);
        tenant_evidence e;
        e.now = answers({{"application_name", std::string{row.text}}});
        CHECK(find_tenant(sources({row.pattern}), e) == row.want);
    }
    const auto e = evidence("", "acme_rw", "db_acme");
    CHECK(find_tenant(sources({"user:{tenant}_rw"}), e) == "acme");
    CHECK(find_tenant(sources({"database:db_{tenant}"}), e) == "acme");
    CHECK(find_tenant(sources({"user"}), e) == "acme_rw");
    CHECK(find_tenant(sources({"database"}), e) == "db_acme");
}

TEST_CASE("tenant: the first source that answers wins") {
    auto e = evidence("SELECT 1 /*tenant='of_comment'*/", "of_user");
    e.at_startup = answers({{"app.t", "of_startup"}});
    e.now = answers({{"app.t", "of_setting"}});
    const auto all = sources({"startup:app.t", "setting:app.t", "comment:tenant", "user"});
    CHECK(find_tenant(all, e) == "of_startup");
    e.at_startup = answers({});
    CHECK(find_tenant(all, e) == "of_setting");
    e.now = nullptr;
    CHECK(find_tenant(all, e) == "of_comment");
    e.sql = "SELECT 1";
    CHECK(find_tenant(all, e) == "of_user");
    e.user = {};
    CHECK(find_tenant(all, e).empty());
    CHECK(find_tenant({}, e).empty());
    e.user = "of_user";
    e.database = "of_database";
    CHECK(find_tenant(sources({"database", "user"}), e) == "of_database");
}

TEST_CASE("tenant: an answer that cannot be a name passes on to the next source") {
    const std::string unusable[] = {"", "a\tb", std::string(101, 'x'), "\xff",
                                    std::string(1, '\0')};
    for (const auto& answer : unusable) {
        CAPTURE(answer);
        auto e = evidence("", "next");
        e.now = answers({{"app.t", answer}});
        CHECK(find_tenant(sources({"setting:app.t", "user"}), e) == "next");
        CHECK(find_tenant(sources({"setting:app.t"}), e).empty());
    }
    const auto e = evidence("SELECT 1 /*tenant='a%0Ab'*/", "next");
    CHECK(find_tenant(sources({"comment:tenant", "user"}), e) == "next");
}

TEST_CASE("comment tag: as sqlcommenter writes it") {
    static constexpr std::pair<std::string_view, std::string_view> rows[] = {
        {"SELECT 1 /*tenant='acme'*/", "acme"},
        {"/*tenant='acme'*/ SELECT 1", "acme"},
        {"SELECT /* tenant='acme' */ 1", "acme"},
        {"SELECT 1 /*a='x',tenant='acme',z='y'*/;", "acme"},
        {"SELECT 1 /*a='x', tenant='acme'*/", "acme"},
        {"SELECT 1 /*a='x'*/ + /*tenant='acme'*/ 1", "acme"},
        {"SELECT 1 /* don't */ /*tenant='acme'*/", "acme"},
        {"SELECT 1 /*tenant='one'*/ /*tenant='two'*/", "one"},
        {"SELECT 1 /*tenant='a%20b%2Fc%c3%A9'*/", "a b/c\xc3\xa9"},
        {"SELECT 1 /*tenant='100%'*/", "100%"},
        {"SELECT 1 /*tenant='%2'*/", "%2"},
        {"SELECT 1 /*tenant='%zz%2g'*/", "%zz%2g"},
        {"SELECT 1 /*tenant='%2541'*/", "%41"},
        {R"(SELECT 1 /*tenant='o\'neil'*/)", "o'neil"},
        {R"(SELECT 1 /*tenant='o%27neil\\'*/)", R"(o'neil\)"},
        {R"(SELECT 1 /*a='\',tenant=\'x',tenant='acme'*/)", "acme"},
        {"SELECT 1 /*a=',tenant=',tenant='acme'*/", "acme"},
        {"SELECT 1 /*tenant=''*/", ""},
        {"SELECT 1", "-"},
        {"SELECT 1 /*a='x'*/", "-"},
        {"SELECT 1 /*sub_tenant='x'*/", "-"},
        {"SELECT 1 /*x.tenant='x'*/", "-"},
        {"SELECT 1 /*tenants='x'*/", "-"},
        {"SELECT 1 /*Tenant='x'*/", "-"},
        {"SELECT 1 /*sub_tenant='x',tenant='acme'*/", "acme"},
        {"SELECT 1 /*tenant = 'x'*/", "-"},
        {"SELECT 1 /*tenant=x*/", "-"},
        {"SELECT 1 /*tenant=\"x\"*/", "-"},
        {"SELECT 1 /*tenant='x*/ , 'y'", "-"},
        {R"(SELECT 1 /*tenant='x\'*/)", "-"},
        {"SELECT 1 /**/", "-"},
    };
    for (const auto& [sql, want] : rows) {
        CAPTURE(sql);
        CHECK(tag(sql) == want);
    }
    CHECK(tag("SELECT 1 /*a='x',b='y'*/", "a") == "x");
    CHECK(tag("SELECT 1 /*a='x',b='y'*/", "b") == "y");
}

TEST_CASE("comment tag: what only looks like a comment is none (trap: data names the tenant)") {
    static constexpr std::pair<std::string_view, std::string_view> rows[] = {
        {"SELECT '/*tenant=''x''*/'", "-"},
        {R"(SELECT E'\'/*tenant=\'x\'*/')", "-"},
        {"SELECT \"/*tenant='x'*/\"", "-"},
        {"SELECT $$/*tenant='x'*/$$", "-"},
        {"SELECT $q$ $$ /*tenant='x'*/ $q$", "-"},
        {"SELECT '/*tenant=''x''*/' /*tenant='acme'*/", "acme"},
        {"SELECT 'a'\n'/*tenant=''x''*/'", "-"},
        {"SELECT '/*' AS tenant, 'x' AS \"tenant='x'*/\"", "-"},
        {"-- tenant='acme'\n\nSELECT 1", "acme"},
        {"-- the list page\r\n-- tenant='acme'\r\nSELECT 1", "acme"},
        {"SELECT 1 -- tenant='acme'\n /*tenant='b'*/", "acme"},
        {"SELECT 1 /*a='b'*/ -- tenant='acme'", "acme"},
        {"SELECT 1 -- tenant='ac\n me'", "-"},
        {"SELECT 1 --tenant\n='acme'", "-"},
        {"SELECT 1 - -1 /*tenant='acme'*/", "acme"},
        {"SELECT '-- tenant=''x''' ", "-"},
        {"SELECT 1 -- /*\n /*tenant='acme'*/", "acme"},
        {"SELECT 1 --\r/*tenant='acme'*/", "acme"},
        // Those inside a comment are part of it.
        {"SELECT 1 /* a /* b */ tenant='acme' */", "acme"},
        {"SELECT 1 /* a /*tenant='acme'*/ b */", "acme"},
        {"SELECT 1 /* a /* b */ -- tenant='acme' */", "acme"},
        {"SELECT 1 /* a /* b */ */ , tenant='x'", "-"},
        // The server refuses these texts.
        {"SELECT 1 /*tenant='x'", "-"},
        {"SELECT 1 /* /*tenant='x'*/", "-"},
        {"SELECT 'a /*tenant='x'*/", "-"},
        {"SELECT 'unterminated /*tenant=x*/", "-"},
        {"SELECT 1 /*tenant='acme'*/ , 'unterminated", "acme"},
    };
    for (const auto& [sql, want] : rows) {
        CAPTURE(sql);
        CHECK(tag(sql) == want);
    }
}
