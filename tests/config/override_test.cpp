// Overrides of one key of a rule or tier, overrides while the program runs, and files that are
// taken again as they were.
#include <string>
#include <vector>

#include "tests/config/folder.h"

using namespace pgsidecar::config;
using namespace std::chrono_literals;

namespace {

const std::string two_rules =
    "cache: {rules: [{name: a, tables: [x]}, {name: \"b.[c]\", tables: [y]}]}";

load_result with(const std::string& yaml, const std::vector<std::string>& overrides) {
    return load_text(yaml, "f", overrides);
}

}  // namespace

TEST_CASE("one key of a rule is set by the rule's name") {
    const load_result r =
        with(two_rules, {"cache.rules[a].mode=shadow", "cache.rules[b.[c]].ttl=3s",
                         "cache.rules[a].tables=[p, q]", "cache.rules[a].rollout_percent=25"});
    REQUIRE(problems_of(r) == lines{});
    const auto& rules = r.value.cache.rules.rules;
    CHECK(rules[0].mode == pgsidecar::policy::rule_mode::shadow);
    CHECK(rules[0].tables == lines{"p", "q"});
    CHECK(rules[0].rollout_percent == 25);
    CHECK(rules[1].ttl == 3s);
    CHECK(rules[1].mode == pgsidecar::policy::rule_mode::on);
    CHECK(r.origins.at("cache.rules[0].mode") == "--set");
    CHECK(r.origins.at("cache.rules[1].name") == "f:1");
    CHECK(r.origins.at("cache.rules") == "f:1");
}

TEST_CASE("one key of a tier is set by the tier's name, and goes on top of what it inherits") {
    const load_result r =
        with("tenants: {tiers: [{name: default, burst: 5}, {name: gold}]}",
             {"tenants.tiers[gold].queries_per_minute=7", "tenants.tiers[premium].members=[p, q]",
              "tenants.tiers[default].max_concurrent=9"});
    REQUIRE(problems_of(r) == lines{});
    const auto tier = [&](const std::string& name) -> const pgsidecar::policy::tier& {
        for (const auto& t : r.value.tenants.tiers)
            if (t.name == name) return t;
        FAIL("no tier ", name);
        return r.value.tenants.tiers.front();
    };
    CHECK(tier("gold").queries_per_minute == 7);
    CHECK(tier("gold").burst == 5);
    CHECK(tier("gold").max_concurrent == 9);
    CHECK(tier("premium").members == lines{"p", "q"});
    CHECK(tier("premium").queries_per_minute == 600);
    CHECK(tier("default").burst == 5);
}

TEST_CASE("what is wrong with such an override is said under the name it was given") {
    CHECK(problems(two_rules,
                   {"cache.rules[c].mode=on", "cache.rules[a].mod=on", "cache.rules[a].mode=maybe",
                    "cache.rules[a].name=z", "cache.rules[a]=off", "cache.rules[].mode=on",
                    "cache.rules[a].rollout_percent=101", "tenants.tiers[none].burst=1",
                    "tenants.tiers[default].bursts=1", "tenants.tiers[default].burst=x",
                    "tenants.tiers[default].name=x"}) ==
          lines{"--set cache.rules[c].mode: there is no rule of that name",
                "--set cache.rules[a].mod: is not a known key; did you mean cache.rules[].mode?",
                "--set cache.rules[0].mode: \"maybe\" is not one of: off, shadow, on",
                "--set cache.rules[a].name: is how the rule is called here",
                "--set cache.rules[a]: rules are set as a whole, as cache.rules",
                "--set cache.rules[].mode: there is no rule of that name",
                "--set cache.rules[0].rollout_percent: \"101\" is not a whole number from 0 to 100",
                "--set tenants.tiers[none].burst: there is no tier of that name",
                "--set tenants.tiers[default].bursts: is not a known key; did you mean "
                "tenants.tiers[].burst?",
                "--set tenants.tiers[0].burst: \"x\" is not a whole number from 0 to 100000000",
                "--set tenants.tiers[default].name: is how the tier is called here"});
}

TEST_CASE("files that are remembered are not read again, and what is SET stands above --set") {
    folder dir;
    dir.write("f.yaml", "max_client_conn: 5\n");
    dir.write("f.Test.yaml", "include_appsettings: a.json\n");
    dir.write("a.json", R"({"Performance": {"MaxPageSize": 7}})");
    sources from{dir.at("f.yaml"), {"max_client_conn=6"}, {"Test", "E"}};
    file_memory memory;
    REQUIRE(problems_of(load(from, memory)) == lines{});
    CHECK(memory.texts.size() == 3);

    dir.write("f.yaml", "nonsense");
    dir.write("a.json", "nonsense");
    from.later_overrides = {"max_client_conn=7"};
    const load_result again = load(from, memory);
    REQUIRE(problems_of(again) == lines{});
    CHECK(again.value.max_client_conn == 7);
    CHECK(again.origins.at("max_client_conn") == "SET");
    CHECK(again.value.tenants.tiers.front().max_page_size == 7);

    from.later_overrides = {"max_client_conn=x", "log.level=loud"};
    CHECK(problems_of(load(from, memory)) ==
          lines{"SET max_client_conn: \"x\" is not a whole number from 1 to 1000000",
                "SET log.level: \"loud\" is not one of: trace, debug, info, warning, error, off"});
    file_memory anew;
    CHECK_FALSE(load(from, anew).ok());
}
