// The section `tenants`: where each key lands, what a tier inherits, and what is refused.
#include <string>
#include <vector>

#include "tests/config/support.h"

using namespace pgsidecar::config;
using namespace std::chrono_literals;
using pgsidecar::policy::enforcement;
using pgsidecar::policy::tenant_source;
using pgsidecar::policy::tier;

namespace {

// The tiers of a text that must load, `written` below "tiers:".
std::vector<tier> tiers(std::string_view written) {
    const load_result r = load_text("tenants:\n  tiers:\n" + std::string{written}, "f");
    REQUIRE(problems_of(r) == lines{});
    return r.value.tenants.tiers;
}

lines names(const std::vector<tier>& all) {
    lines out;
    for (const tier& t : all) out.push_back(t.name);
    return out;
}

// Of one tier, `keys` as in a flow map; line 3.
lines tier_problems(std::string_view keys) {
    return problems("tenants:\n  tiers:\n    - {" + std::string{keys} + "}\n");
}

}  // namespace

TEST_CASE("tenants: without a word nothing is limited, and everybody is the default tenant") {
    for (const settings& s : {settings{}, load_text("", "f").value}) {
        CHECK(s.tenants.limits == enforcement::off);
        REQUIRE(s.tenants.sources.size() == 2);
        CHECK(s.tenants.sources[0].where == tenant_source::from::startup);
        CHECK(s.tenants.sources[0].name == "pgsidecar.tenant");
        CHECK(s.tenants.sources[1].where == tenant_source::from::setting);
        CHECK(s.tenants.sources[1].name == "app.tenant_id");
        CHECK(s.tenants.default_tenant == "default");
        CHECK(s.tenants.default_tier == "default");
        CHECK(s.tenants.max_concurrent_requests == 0);
        CHECK(s.tenants.max_tenants == 10'000);
        REQUIRE(names(s.tenants.tiers) == lines{"default", "premium"});
        CHECK(s.tenants.tiers[0].query_timeout == 3000ms);
        CHECK(s.tenants.tiers[0].max_result_rows == 10'000);
        CHECK(s.tenants.tiers[0].queries_per_minute == 120);
        CHECK(s.tenants.tiers[1].query_timeout == 5000ms);
        CHECK(s.tenants.tiers[1].max_result_rows == 50'000);
        CHECK(s.tenants.tiers[1].queries_per_minute == 600);
    }
}

TEST_CASE("tenants: sources are parsed, and printed as they were written") {
    const load_result r = load_text(R"(tenants:
  sources:
    - setting:App.Tenant
    - comment:Tenant
    - user:app_{tenant}_rw
    - application_name:{tenant}
    - database
)",
                                    "f");
    REQUIRE(problems_of(r) == lines{});
    const auto& got = r.value.tenants.sources;
    REQUIRE(got.size() == 5);
    CHECK(got[0].where == tenant_source::from::setting);
    CHECK(got[0].name == "app.tenant");
    CHECK(got[1].where == tenant_source::from::comment);
    CHECK(got[1].name == "Tenant");
    CHECK(got[2].where == tenant_source::from::user);
    CHECK(got[2].before == "app_");
    CHECK(got[2].behind == "_rw");
    CHECK(got[3].where == tenant_source::from::application_name);
    CHECK(got[4].where == tenant_source::from::database);
    CHECK(dump(r.value).find(
              "  sources: [\"setting:App.Tenant\", \"comment:Tenant\", \"user:app_{tenant}_rw\", "
              "\"application_name:{tenant}\", \"database\"]\n") != std::string::npos);
    CHECK(load_text("tenants: {sources: []}", "f").value.tenants.sources.empty());
}

TEST_CASE("tiers: every key reaches its own member, a bare off is a mode") {
    const auto got = tiers(R"(
    - name: t_1-x
      members: [a, "b*", "?c"]
      query_timeout: 1
      query_timeout_mode: off
      max_result_rows: 4000000000
      max_result_rows_mode: warn
      max_result_bytes: 3kB
      max_result_bytes_mode: off
      queries_per_minute: 4
      burst: 5
      queries_per_minute_mode: warn
      max_concurrent: 6
      max_concurrent_mode: off
      query_wait_timeout: 7ms
      max_page_size: 8
      max_page_size_mode: warn
      default_page_size: 9
)");
    REQUIRE(names(got) == lines{"default", "t_1-x", "premium"});
    const tier& t = got[1];
    CHECK(t.members == lines{"a", "b*", "?c"});
    CHECK(t.query_timeout == 1s);
    CHECK(t.query_timeout_mode == enforcement::off);
    CHECK(t.max_result_rows == 4'000'000'000);
    CHECK(t.max_result_rows_mode == enforcement::warn);
    CHECK(t.max_result_bytes == 3 * 1024);
    CHECK(t.max_result_bytes_mode == enforcement::off);
    CHECK(t.queries_per_minute == 4);
    CHECK(t.burst == 5);
    CHECK(t.queries_per_minute_mode == enforcement::warn);
    CHECK(t.max_concurrent == 6);
    CHECK(t.max_concurrent_mode == enforcement::off);
    CHECK(t.query_wait_timeout == 7ms);
    CHECK(t.max_page_size == 8);
    CHECK(t.max_page_size_mode == enforcement::warn);
    CHECK(t.default_page_size == 9);
    // The others have nothing of it.
    CHECK(got[0].query_timeout == 3s);
    CHECK(got[0].members.empty());
    CHECK(got[2].query_timeout_mode == enforcement::enforce);
}

TEST_CASE("tiers: each starts from default as the file has it, wherever that stands") {
    const auto got = tiers(R"(
    - {name: gold, members: [g], max_result_rows: 7}
    - {name: premium, members: [p], query_timeout: 9s}
    - {name: default, query_timeout: 1s, max_result_rows: 5, burst: 3, max_page_size_mode: off}
    - {name: iron}
)");
    REQUIRE(names(got) == lines{"default", "gold", "premium", "iron"});
    for (const tier& t : got) {
        CAPTURE(t.name);
        CHECK(t.burst == 3);
        CHECK(t.max_page_size_mode == enforcement::off);
    }
    CHECK(got[0].query_timeout == 1s);
    CHECK(got[0].max_result_rows == 5);
    CHECK(got[0].queries_per_minute == 120);
    CHECK(got[1].query_timeout == 1s);
    CHECK(got[1].max_result_rows == 7);
    CHECK(got[1].members == lines{"g"});
    CHECK(got[2].query_timeout == 9s);  // its own, over the shipped 5 s
    CHECK(got[2].max_result_rows == 50'000);
    CHECK(got[2].queries_per_minute == 600);
    CHECK(got[2].members == lines{"p"});
    CHECK(got[3].query_timeout == 1s);
    CHECK(got[3].members.empty());
}

TEST_CASE("tiers: what the file does not name is there as shipped") {
    auto got = tiers("    - {name: default, query_timeout: 1s, burst: 3}\n");
    REQUIRE(names(got) == lines{"default", "premium"});
    CHECK(got[1].burst == 3);  // inherits likewise
    CHECK(got[1].query_timeout == 5s);
    CHECK(got[1].queries_per_minute == 600);

    got = tiers("    - {name: premium, burst: 4}\n    - {name: a}\n");
    REQUIRE(names(got) == lines{"default", "premium", "a"});
    CHECK(got[0].burst == 0);
    CHECK(got[0].query_timeout == 3s);
    CHECK(got[1].burst == 4);
    CHECK(got[1].query_timeout == 5s);
    CHECK(got[2].burst == 0);

    got = tiers("    []\n");
    REQUIRE(names(got) == lines{"default", "premium"});
    CHECK(got[0].query_timeout == 3s);
    CHECK(got[1].query_timeout == 5s);
}

TEST_CASE("tiers: the dump shows each with every key and loads back") {
    const load_result r = load_text(R"(tenants:
  limits: enforce
  sources: [comment:t, "user:{tenant}"]
  default_tier: gold
  tiers:
    - {name: gold, members: ["g*"], max_result_bytes: 1GB}
    - {name: default, query_timeout: 1500ms, queries_per_minute_mode: warn}
)",
                                    "f");
    REQUIRE(problems_of(r) == lines{});
    const std::string text = dump(r.value);
    CHECK(text.find("    - name: \"default\"\n      members: []\n      query_timeout: 1500ms\n"
                    "      query_timeout_mode: enforce\n") != std::string::npos);
    CHECK(text.find("    - name: \"gold\"\n      members: [\"g*\"]\n") != std::string::npos);
    CHECK(text.find("    - name: \"premium\"\n      members: []\n") != std::string::npos);
    const load_result back = load_text(text, "dump");
    REQUIRE(problems_of(back) == lines{});
    CHECK(changed_keys(r.value, back.value) == lines{});
    CHECK(back.value.tenants.sources.size() == 2);
    CHECK(dump(back.value) == text);
    CHECK(changed_keys({}, r.value) ==
          lines{"tenants.limits", "tenants.sources", "tenants.default_tier", "tenants.tiers"});
}

TEST_CASE("tenants: overrides") {
    const load_result r = load_text(
        "tenants: {limits: warn, tiers: [{name: default, burst: 3}, {name: a}]}", "f",
        std::vector<std::string>{"tenants.limits=enforce", "tenants.sources=[user]",
                                 "tenants.default_tier=b", "tenants.max_tenants=5",
                                 "tenants.tiers=[{name: b}, {name: default, max_concurrent: 9}]"});
    REQUIRE(problems_of(r) == lines{});
    CHECK(r.value.tenants.limits == enforcement::enforce);
    REQUIRE(r.value.tenants.sources.size() == 1);
    CHECK(r.value.tenants.sources[0].where == tenant_source::from::user);
    CHECK(r.value.tenants.max_tenants == 5);
    REQUIRE(names(r.value.tenants.tiers) == lines{"default", "b", "premium"});
    for (const tier& t : r.value.tenants.tiers) {
        CHECK(t.max_concurrent == 9);
        CHECK(t.burst == 0);  // of the list that was replaced
    }
    CHECK(problems("", {"tenants.limits=on", "tenants.tiers[0].burst=1", "tenants=1",
                        "tenants.limit=off", "tenants.tiers=gold",
                        "tenants.tiers=[{name: a, burst: x}]", "tenants.default_tenant="}) ==
          lines{"--set tenants.limits: \"on\" is not one of: off, warn, enforce",
                "--set tenants.tiers[0].burst: there is no tier of that name",
                "--set tenants: is no single key; name one below it",
                "--set tenants.limit: is not a known key; did you mean tenants.limits?",
                "--set tenants.tiers: takes a list of tiers",
                "--set tenants.tiers[0].burst: \"x\" is not a whole number from 0 to 100000000",
                "--set tenants.default_tenant: is empty"});
}

TEST_CASE("tenants: a value that does not fit is refused at its line") {
    const std::string long_name(101, 'n');
    const struct {
        std::string yaml;
        lines want;
    } rows[] = {
        {"limits: on", {"f:2: tenants.limits: \"on\" is not one of: off, warn, enforce"}},
        {"limits: [warn]", {"f:2: tenants.limits: takes one value"}},
        {"sources: user", {"f:2: tenants.sources: takes a list, [a, b]"}},
        {"sources:\n    - user\n    - host\n    - [user]\n    - 'startup:'\n    - user:x",
         {"f:4: tenants.sources[1]: \"host\" is not one of: startup:NAME, setting:NAME, "
          "comment:KEY, application_name:PATTERN, user, database",
          "f:5: tenants.sources[2]: takes one value",
          "f:6: tenants.sources[3]: \"startup:\" names nothing behind startup:",
          "f:7: tenants.sources[4]: \"user:x\" has no {tenant} in its pattern"}},
        {"sources: [\"setting:a\\tb\"]",
         {"f:2: tenants.sources[0]: \"setting:a\\x09b\" holds a control character"}},
        {"sources: [setting:" + std::string(193, 'a') + "]",
         {"f:2: tenants.sources[0]: \"setting:" + std::string(52, 'a') +
          "\"... is longer than 200 bytes"}},
        {"default_tenant: ''", {"f:2: tenants.default_tenant: is empty"}},
        {"default_tenant: \"a\\nb\"", {"f:2: tenants.default_tenant: holds a control character"}},
        {"default_tenant: " + long_name, {"f:2: tenants.default_tenant: is longer than 100 bytes"}},
        {"\n  default_tier: gold",
         {"f:3: tenants.default_tier: \"gold\" is not one of the tiers: default, premium"}},
        {"default_tier: gold\n  tiers: [{name: iron}]",
         {"f:2: tenants.default_tier: \"gold\" is not one of the tiers: default, premium, iron"}},
        {"default_tier: a.b",
         {"f:2: tenants.default_tier: \"a.b\" is not the name of a tier: a letter, then letters, "
          "digits, _ and -"}},
        {"max_concurrent_requests: 1000001",
         {"f:2: tenants.max_concurrent_requests: \"1000001\" is not a whole number from 0 to "
          "1000000"}},
        {"max_tenants: 0",
         {"f:2: tenants.max_tenants: \"0\" is not a whole number from 1 to 1000000"}},
        {"limts: off", {"f:2: tenants.limts: is not a known key; did you mean tenants.limits?"}},
        {"tiers:", {"f:2: tenants.tiers: has no value; [] is an empty list"}},
        {"tiers: {default: {burst: 1}}", {"f:2: tenants.tiers: takes a list of tiers"}},
        {"tiers:\n    - gold",
         {"f:3: tenants.tiers[0]: is not a tier; a tier has keys: name, members, query_timeout"}},
        // What only follows from another problem is not said.
        {"default_tier: gold\n  tiers: {gold: 1}", {"f:3: tenants.tiers: takes a list of tiers"}},
        {"default_tier: gold\n  tiers:\n    - members: [a]",
         {"f:4: tenants.tiers[0]: has no name"}},
    };
    for (const auto& row : rows) {
        CAPTURE(row.yaml);
        CHECK(problems("tenants:\n  " + row.yaml + "\n") == row.want);
    }
    CHECK(problems("tenants: 5") ==
          lines{"f:1: tenants: takes keys of its own, indented below it"});
    CHECK(problems("limits: off") ==
          lines{"f:1: limits: is not a known key; did you mean tenants.limits?"});
    // With a blank an element is a map.
    CHECK(problems("tenants:\n  sources:\n    - user: x") ==
          lines{"f:3: tenants.sources[0]: takes one value"});
}

TEST_CASE("tiers: a value that does not fit is refused at its line") {
    const struct {
        std::string keys;
        std::string want;  // behind "f:3: tenants.tiers[0]"
    } rows[] = {
        {"burst: 1", ": has no name"},
        {"name: ''", ".name: is empty"},
        {"name: 9a",
         ".name: \"9a\" is not the name of a tier: a letter, then letters, digits, _ and -"},
        {"name: a b",
         ".name: \"a b\" is not the name of a tier: a letter, then letters, digits, _ and -"},
        {"name: " + std::string(51, 'n'),
         ".name: \"" + std::string(51, 'n') + "\" is longer than 50 characters"},
        {"name: [a]", ".name: takes one value"},
        {"name: a, members: b", ".members: takes a list, [a, b]"},
        {"name: a, members: [b, '']", ".members[1]: is empty"},
        {"name: a, members: [\"b\\tc\"]", ".members[0]: holds a control character"},
        {"name: a, members: ['" + std::string(101, '*') + "']",
         ".members[0]: is longer than 100 bytes"},
        {"name: default, members: [a]",
         ".members: is not for default: tenants that no tier names have tenants.default_tier"},
        {"name: a, query_timeout: 2d", ".query_timeout: \"2d\" is not between 1ms and 1d"},
        {"name: a, query_timeout: 0",
         ".query_timeout: \"0\" is not between 1ms and 1d; for no limit set query_timeout_mode "
         "to off"},
        {"name: a, query_timeout_mode: on",
         ".query_timeout_mode: \"on\" is not one of: off, warn, enforce"},
        {"name: a, query_timeout_mode: ", ".query_timeout_mode: has no value"},
        {"name: a, max_result_rows: -1",
         ".max_result_rows: \"-1\" is not a whole number from 1 to 4000000000"},
        {"name: a, max_result_rows: 4000000001",
         ".max_result_rows: \"4000000001\" is not a whole number from 1 to 4000000000"},
        {"name: a, max_result_bytes: -1kB",
         ".max_result_bytes: \"-1kB\" is not a size such as 256MB (B, kB, MB, GB, TB; a bare "
         "number is bytes)"},
        {"name: a, max_result_bytes: 1000",
         ".max_result_bytes: \"1000\" is not between 1kB and 1TB"},
        {"name: a, queries_per_minute: 0",
         ".queries_per_minute: \"0\" is not a whole number from 1 to 100000000; for no limit set "
         "queries_per_minute_mode to off"},
        {"name: a, burst: 100000001",
         ".burst: \"100000001\" is not a whole number from 0 to 100000000"},
        {"name: a, max_concurrent: many",
         ".max_concurrent: \"many\" is not a whole number from 1 to 1000000"},
        {"name: a, query_wait_timeout: 0", ".query_wait_timeout: \"0\" is not between 1ms and 1d"},
        {"name: a, max_page_size: 1000000001",
         ".max_page_size: \"1000000001\" is not a whole number from 1 to 1000000000"},
        {"name: a, max_rows: 5", ".max_rows: is not a known key"},
        {"name: a, query_timeot: 5s",
         ".query_timeot: is not a known key; did you mean tenants.tiers[].query_timeout?"},
        {"name: a, ttl: 5s", ".ttl: is not a known key; did you mean cache.rules[].ttl?"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.keys);
        CHECK(tier_problems(row.keys) == lines{"f:3: tenants.tiers[0]" + row.want});
    }
}

TEST_CASE("tiers: messages count by the list as the file has it, each problem once and in order") {
    CHECK(problems("tenants:\n"
                   "  tiers:\n"
                   "    - name: gold\n"
                   "      max_result_rows: x\n"
                   "    - name: default\n"
                   "      burst: x\n"
                   "      brust: 1\n"
                   "      members: [a]\n"
                   "    - name: gold\n"
                   "    - name: default\n"
                   "      max_page_size: x\n") ==
          lines{"f:4: tenants.tiers[0].max_result_rows: \"x\" is not a whole number from 1 to "
                "4000000000",
                "f:6: tenants.tiers[1].burst: \"x\" is not a whole number from 0 to 100000000",
                "f:7: tenants.tiers[1].brust: is not a known key; did you mean "
                "tenants.tiers[].burst?",
                "f:11: tenants.tiers[3].max_page_size: \"x\" is not a whole number from 1 to "
                "1000000000",
                "f:9: tenants.tiers[2].name: \"gold\" is the name of tenants.tiers[0] already",
                "f:10: tenants.tiers[3].name: \"default\" is the name of tenants.tiers[1] "
                "already",
                "f:8: tenants.tiers[1].members: is not for default: tenants that no tier names "
                "have tenants.default_tier"});
}

TEST_CASE("tiers: neither the name nor refused members of default are inherited") {
    CHECK(problems("tenants:\n  tiers:\n    - {name: default, members: [a]}\n    - {burst: 1}\n") ==
          lines{"f:3: tenants.tiers[0].members: is not for default: tenants that no tier names "
                "have tenants.default_tier",
                "f:4: tenants.tiers[1]: has no name"});
}

TEST_CASE("tiers: a thousand at most, and no message names them all") {
    std::string list = "tenants:\n  default_tier: none\n  tiers:\n";
    for (int i = 0; i < 1000; ++i) list += "    - {name: t" + std::to_string(i) + "}\n";
    CHECK(
        problems(list) ==
        lines{"f:2: tenants.default_tier: \"none\" is not one of the tiers: default, premium, t0, "
              "t1, t2, t3, t4, t5 and 994 more"});
    CHECK(problems(list + "    - {name: more}\n") ==
          lines{"f:3: tenants.tiers: has more than 1000 tiers"});
}
