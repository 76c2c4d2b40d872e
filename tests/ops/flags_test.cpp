#include "proxy/ops/flags.h"

#include <doctest/doctest.h>

using namespace pgsidecar;
using namespace std::chrono_literals;

TEST_CASE("flags: every switch with its value, where it is from, and what shadow has counted") {
    const std::string set[] = {"cache.rules[rx].mode=shadow"};
    const auto r = config::load_text(
        "enable_optimizations: false\n"
        "cache:\n"
        "  rules:\n"
        "    - {name: rx, tables: [a], rollout_percent: 5}\n"
        "    - {name: rest, tables: [\"*\"]}\n",
        "f.yaml", set);
    REQUIRE(r.ok());
    std::string said;
    for (const auto& f : ops::flags(r, {{"rx", {7, 2}}, {"gone", {1, 1}}}))
        said += f.name + " | " + f.scope + " | " + f.value + " | " + f.origin + " | " +
                std::to_string(f.compared.equal) + "/" + std::to_string(f.compared.different) +
                "\n";
    CHECK(said ==
          "enable_optimizations | all | false | f.yaml:1 | 0/0\n"
          "cache.enable_query_result_caching | all | false | default | 0/0\n"
          "tenants.limits | all | off | default | 0/0\n"
          "metrics.enable_performance_metrics | all | false | default | 0/0\n"
          "cache.rules[rx].mode | rule rx | shadow | --set | 7/2\n"
          "cache.rules[rx].rollout_percent | rule rx | 5 | f.yaml:4 | 0/0\n"
          "cache.rules[rest].mode | rule rest | on | default | 0/0\n"
          "cache.rules[rest].rollout_percent | rule rest | 100 | default | 0/0\n");
}

TEST_CASE("comparisons: counted by rule; differences of one rule are told of now and then") {
    ops::comparisons all;
    const ops::comparisons::time_point start{1h};
    CHECK_FALSE(all.add("a", true, start));
    CHECK(all.add("a", false, start));
    CHECK_FALSE(all.add("a", false, start + 9s));
    CHECK(all.add("b", false, start + 9s));
    CHECK(all.add("a", false, start + 10s));
    CHECK(all.counts().at("a").equal == 1);
    CHECK(all.counts().at("a").different == 3);
    CHECK(all.counts().at("b").different == 1);
}
