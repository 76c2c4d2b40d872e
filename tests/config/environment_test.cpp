// The layers of a configuration: which files are read, in which order, and what they do to each
// other.
#include "config/environment.h"

#include <string>
#include <vector>

#include "config/files.h"
#include "tests/config/folder.h"

using namespace pgsidecar::config;
using namespace std::chrono_literals;

namespace {

const environment test{"Test", "PGSIDECAR_ENVIRONMENT"};

environment named(std::string name) { return {std::move(name), "ASPNETCORE_ENVIRONMENT"}; }

}  // namespace

TEST_CASE("environment: the program's own variable, else .NET's, else none") {
    static const struct {
        const char* own;
        const char* dotnet;
        const char* name;
        const char* variable;
    } rows[] = {
        {nullptr, nullptr, "", ""},
        {"", "", "", ""},
        {"Test", nullptr, "Test", "PGSIDECAR_ENVIRONMENT"},
        {nullptr, "Live", "Live", "ASPNETCORE_ENVIRONMENT"},
        {"Test", "Live", "Test", "PGSIDECAR_ENVIRONMENT"},
        {"", "Live", "Live", "ASPNETCORE_ENVIRONMENT"},
    };
    for (const auto& row : rows) {
        const environment got = choose_environment(row.own, row.dotnet);
        CHECK(got.name == row.name);
        CHECK(got.variable == row.variable);
    }
}

TEST_CASE("environment: the name of its file") {
    CHECK(overlay_name("pgsidecar.yaml", "Test") == "pgsidecar.Test.yaml");
    CHECK(overlay_name("bar.yml", "Live") == "bar.Live.yml");
    CHECK(overlay_name("a.b.yaml", "Live") == "a.b.Live.yaml");
    CHECK(overlay_name("plain", "Live") == "plain.Live");
    CHECK(overlay_name(".hidden", "Live") == ".hidden.Live");
    CHECK(known_environment("pRODUCTION") == "Production");
    CHECK(known_environment("Productio").empty());
    CHECK(known_environments().size() == 5);
}

TEST_CASE("environment: a name cannot leave the folder of the file") {
    folder files;
    files.write("in/p.yaml", "workers: 1\n");
    files.write("p.yaml", "workers: 2\n");
    files.write("in/p.x/../y.yaml", "workers: 3\n");
    for (const char* name : {"../p", "x/../y", "..", ".", "a/b", "a\\b", "a.b", "a b", "a\nb",
                             "\xc3\xa9", "C:", "*"}) {
        CAPTURE(std::string{name});
        const load_result r = load_file(files.at("in/p.yaml"), {}, named(name));
        REQUIRE(r.problems.size() == 1);
        CHECK(to_string(r.problems[0]).find("ASPNETCORE_ENVIRONMENT: \"") == 0);
        CHECK(r.problems[0].reason.find("is not the name of an environment: letters") !=
              std::string::npos);
    }
    CHECK(bad_environment(std::string(64, 'a')).empty());
    CHECK_FALSE(bad_environment(std::string(65, 'a')).empty());
    CHECK_FALSE(bad_environment("").empty());
}

TEST_CASE("environment: the overlay is found in any case, or said to be missing") {
    folder files;
    files.write("p.yaml", "workers: 1\n");
    files.write("p.Test.yaml", "workers: 2\n");
    files.write("p.production.yaml", "workers: 3\n");
    files.write("p.Own-1.yaml", "workers: 4\n");
    files.write("p.both.yaml", "workers: 5\n");
    files.write("p.Both.yaml", "workers: 6\n");
    static const struct {
        const char* name;
        unsigned workers;
        const char* note;
    } rows[] = {
        {"", 1, nullptr},
        {"Test", 2, "the environment is Test; its file is p.Test.yaml"},
        {"TEST", 2, "the environment is Test; its file is p.Test.yaml"},
        {"Production", 3, "the environment is Production; its file is p.production.yaml"},
        {"own-1", 4, "the environment is own-1; its file is p.Own-1.yaml"},
        {"both", 5, "the environment is both; its file is p.both.yaml"},
        {"Both", 6, "the environment is Both; its file is p.Both.yaml"},
        {"live", 1,
         "the environment is Live; there is no file p.Live.yaml, so p.yaml stands alone"},
    };
    for (const auto& row : rows) {
        CAPTURE(std::string{row.name});
        const load_result r = load_file(files.at("p.yaml"), {}, named(row.name));
        CHECK(problems_of(r) == lines{});
        CHECK(r.value.workers == row.workers);
        CHECK(files.shown(r.notes) ==
              (row.note == nullptr ? lines{}
                                   : lines{std::string{"ASPNETCORE_ENVIRONMENT: "} + row.note}));
    }
    CHECK(problems_of(load_file(files.at("p.yaml"), {}, named("Qa"))) ==
          lines{"ASPNETCORE_ENVIRONMENT: \"Qa\" is none of Development, Test, Staging, Production, "
                "Live, and there is no file p.Qa.yaml"});
    CHECK(problems_of(load_file(files.at("p.yaml"), {}, named("BOTH"))) ==
          lines{"ASPNETCORE_ENVIRONMENT: \"BOTH\" may mean p.Both.yaml or p.both.yaml"});
}

TEST_CASE("layers: each over those before it") {
    folder files;
    const auto size = [&](const std::vector<std::string>& overrides = {}) {
        const load_result r = load_file(files.at("p.yaml"), overrides, test);
        CHECK(files.shown(r.problems) == lines{});
        return r.value.pool.default_pool_size;
    };
    const auto json = [](const char* number) {
        return std::string{"{\"Performance\": {\"DatabaseConnectionPoolSize\": "} + number + "}}";
    };
    files.write("p.yaml", "workers: 1\n");
    CHECK(size() == 20);
    files.write("p.yaml", "default_pool_size: 31\n");
    CHECK(size() == 31);
    files.write("p.yaml", "default_pool_size: 31\ninclude_appsettings: app/a.json\n");
    files.write("app/a.json", json("32"));
    CHECK(size() == 32);
    files.write("p.Test.yaml", "default_pool_size: 33\n");
    CHECK(size() == 33);
    files.write("p.Test.yaml", "include_appsettings: b.json\ndefault_pool_size: 33\n");
    files.write("b.json", json("34"));
    CHECK(size() == 34);
    CHECK(size({"default_pool_size=35"}) == 35);
    // Both are read: what the first one says alone is still there.
    files.write("app/a.json", "{\"Performance\": {\"MaxConcurrentRequests\": 36}}");
    CHECK(load_file(files.at("p.yaml"), {}, test).value.tenants.max_concurrent_requests == 36);
}

TEST_CASE("layers: maps are merged, lists replace, tiers are merged by their name") {
    folder files;
    files.write("p.yaml",
                "upstream: {host: a.example, port: 1}\n"
                "cache:\n"
                "  key_settings: [x.a, x.b]\n"
                "  rules: [{name: r1, tables: [a], ttl: 1m}, {name: r2, tables: [b]}]\n"
                "tenants:\n"
                "  sources: [user, database]\n"
                "  tiers:\n"
                "    - {name: gold, members: [g], burst: 5, max_page_size: 50}\n"
                "    - {name: default, burst: 6, max_concurrent: 7}\n");
    files.write("p.Test.yaml",
                "upstream: {port: 2}\n"
                "cache:\n"
                "  key_settings: [x.c]\n"
                "  rules: [{name: r3, tables: [c]}]\n"
                "  default_ttl: 7m\n"
                "tenants:\n"
                "  sources: [user]\n"
                "  tiers:\n"
                "    - {name: default, max_concurrent: 8, max_page_size: 9}\n"
                "    - {name: gold, burst: 10}\n"
                "    - {name: silver}\n");
    const load_result r = load_file(files.at("p.yaml"), {}, test);
    REQUIRE(files.shown(r.problems) == lines{});
    const settings& s = r.value;
    CHECK(s.upstream.host == "a.example");
    CHECK(s.upstream.port == 2);
    CHECK(s.cache.rules.key_settings == lines{"x.c"});
    REQUIRE(s.cache.rules.rules.size() == 1);
    CHECK(s.cache.rules.rules[0].name == "r3");
    CHECK(s.cache.rules.rules[0].ttl == 7min);  // not the 1m of another rule at that place
    CHECK(s.tenants.sources.size() == 1);
    REQUIRE(s.tenants.tiers.size() == 4);
    const auto& base = s.tenants.tiers[0];
    CHECK(base.name == "default");
    CHECK(base.burst == 6);
    CHECK(base.max_concurrent == 8);
    CHECK(base.max_page_size == 9);
    const auto& gold = s.tenants.tiers[1];
    CHECK(gold.name == "gold");
    CHECK(gold.members == lines{"g"});
    CHECK(gold.burst == 10);
    CHECK(gold.max_page_size == 50);
    CHECK(gold.max_concurrent == 8);  // from default, as all layers have it
    CHECK(s.tenants.tiers[2].name == "silver");
    CHECK(s.tenants.tiers[2].burst == 6);
    // On the command line it is the whole list.
    const std::vector<std::string> overrides{"tenants.tiers=[{name: default, burst: 1}]"};
    const load_result whole = load_file(files.at("p.yaml"), overrides, test);
    REQUIRE(files.shown(whole.problems) == lines{});
    CHECK(whole.value.tenants.tiers.size() == 2);
    CHECK(whole.value.tenants.tiers[0].burst == 1);
    CHECK(whole.value.tenants.tiers[0].max_concurrent == 32);
}

TEST_CASE("layers: a rule without ttl has cache.default_ttl, wherever that stands") {
    const load_result r = load_text(
        "cache:\n  rules: [{name: a, tables: [a]}, {name: b, tables: [b], ttl: 5m}]\n"
        "  default_ttl: 2m\n",
        "f");
    REQUIRE(problems_of(r) == lines{});
    CHECK(r.value.cache.rules.rules[0].ttl == 2min);
    CHECK(r.value.cache.rules.rules[1].ttl == 5min);
}

TEST_CASE("layers: mistakes are found in each file, by its own lines and numbers") {
    folder files;
    files.write("p.yaml",
                "workers: x\nlisten_port: 7000\nmin_pool_size: 30\n"
                "tenants: {tiers: [{name: a}, {name: b, burst: x}]}\n");
    files.write("p.Test.yaml",
                "workers: 1\nmax_clients: 1\ntenants:\n  tiers:\n    - {name: b, burst: 1}\n"
                "    - {name: b}\n    - {members: [x]}\n");
    CHECK(
        files.shown(load_file(files.at("p.yaml"), {}, test).problems) ==
        lines{"p.yaml:1: workers: \"x\" is not a whole number from 0 to 1024",
              "p.yaml:4: tenants.tiers[1].burst: \"x\" is not a whole number from 0 to 100000000",
              "p.Test.yaml:2: max_clients: is not a known key",
              "p.Test.yaml:6: tenants.tiers[1].name: \"b\" is the name of tenants.tiers[0] already",
              "p.yaml:3: min_pool_size: 30 is more than default_pool_size, 20",
              "p.Test.yaml:7: tenants.tiers[2]: has no name"});
    files.write("p.Test.yaml", "a: [\n");
    CHECK(load_file(files.at("p.yaml"), {}, test).problems.size() == 3);
    files.write("p.yaml", "workers: 1\n");
    files.write("p.Test.yaml", "- a\n");
    CHECK(files.shown(load_file(files.at("p.yaml"), {}, test).problems) ==
          lines{"p.Test.yaml:1: the file is no map of keys"});
}

TEST_CASE("include_appsettings: one file, relative to the file that names it") {
    folder files;
    const auto shown = [&](const char* yaml) {
        files.write("p.yaml", yaml);
        return files.shown(load_file(files.at("p.yaml")).problems);
    };
    CHECK(shown("\ninclude_appsettings: no.json\n") ==
          lines{"p.yaml:2: include_appsettings: \"no.json\" cannot be read: No such file or "
                "directory"});
    CHECK(shown("include_appsettings: [a.json]\n") ==
          lines{"p.yaml:1: include_appsettings: takes the name of one file"});
    CHECK(shown("include_appsettings:\n") ==
          lines{"p.yaml:1: include_appsettings: takes the name of one file"});
    CHECK(shown("include_appsettings: \"a\\nb\"\n") ==
          lines{"p.yaml:1: include_appsettings: holds a control character"});
    CHECK(shown("include_appsetings: a.json\n") ==
          lines{"p.yaml:1: include_appsetings: is not a known key; did you mean "
                "include_appsettings?"});
    CHECK(shown("cache: {include_appsettings: a.json}\n") ==
          lines{"p.yaml:1: cache.include_appsettings: is not a known key; did you mean "
                "include_appsettings?"});
    // YAML is no JSON, so a file cannot include itself and go round in circles.
    CHECK(shown("include_appsettings: p.yaml\n") ==
          lines{"p.yaml:1: is not valid JSON: syntax error"});
    files.write("a.json", "{\"include_appsettings\": \"a.json\"}");
    CHECK(shown("include_appsettings: a.json\n") == lines{});
    CHECK(problems("include_appsettings: a.json\n") ==
          lines{"f:1: include_appsettings: has no file that it stands in"});
    CHECK(problems("", {"include_appsettings=a.json"}) ==
          lines{"--set include_appsettings: is for a file, not for the command line"});
}

TEST_CASE("origins: where each value comes from stands behind it") {
    folder files;
    files.write("p.yaml",
                "workers: 1\nlisten_port: 2\ninclude_appsettings: a.json\n"
                "upstream:\n  control_connection: \"user=u password=hunter2\"\n"
                "cache:\n  default_ttl: 3m\n  rules:\n    - name: r\n      tables: [t]\n"
                "tenants:\n  tiers:\n    - name: gold\n      burst: 4\n    - name: default\n"
                "      max_concurrent: 5\n");
    files.write("a.json",
                "{\n\"Performance\": {\n\"maxPageSize\": 6}, \"PerformanceLimits\": {\n"
                "\"premiumtenant\": {\"QueryTimeoutMs\": 7}}}");
    files.write("p.Test.yaml", "\nworkers: 8\n");
    const std::vector<std::string> overrides{"log.level=debug"};
    const load_result r = load_file(files.at("p.yaml"), overrides, test);
    REQUIRE(files.shown(r.problems) == lines{});
    const std::string text = files.without_path(dump(r));
    for (const char* want : {
             "\nlisten_port: 2  # p.yaml:2\n",
             "\nworkers: 8  # p.Test.yaml:2\n",
             "\nlisten_backlog: 128  # default\n",
             "  rules:  # p.yaml:8\n    - name: \"r\"  # p.yaml:9\n",
             "      ttl: 3m  # p.yaml:7\n",
             "  tiers:  # a.json:3 Performance.maxPageSize\n    - name: \"default\"  # p.yaml:15\n",
             "    - name: \"gold\"  # p.yaml:13\n",
             "      burst: 4  # p.yaml:14\n",
             "      max_page_size: 6  # a.json:3 Performance.maxPageSize\n",
             "      max_concurrent: 5  # p.yaml:16\n",
             "      query_timeout: 7ms  # a.json:4 "
             "PerformanceLimits.premiumtenant.QueryTimeoutMs\n",
             "  level: debug  # --set\n",
         }) {
        CAPTURE(std::string{want});
        CHECK(text.find(want) != std::string::npos);
    }
    // What gold and premium have from default is from where default has it.
    std::size_t inherited = 0;
    for (std::size_t at = 0; (at = text.find("max_concurrent: 5  # p.yaml:16", at)) != text.npos;) {
        ++inherited, ++at;
    }
    CHECK(inherited == 3);
    CHECK(text.find("hunter2") == std::string::npos);
    // The comments are comments: it loads back as what it was.
    const load_result back = load_text(text, "dump");
    REQUIRE(problems_of(back) == lines{});
    CHECK(changed_keys(r.value, back.value) == lines{"upstream.control_connection"});
    CHECK(dump(r.value).find('#') == std::string::npos);
}

TEST_CASE("layers: a hostile overlay is refused like a hostile file, in its own name") {
    const folder files;
    files.write("p.yaml", "workers: 1\n");
    static const struct {
        const char* name;
        std::string text;
        const char* want;
    } rows[] = {
        {"unknown key", "\nworkrs: 1\n",
         "p.Test.yaml:2: workrs: is not a known key; did you mean workers?"},
        {"key twice", "workers: 1\nworkers: 2\n",
         "p.Test.yaml:2: workers: is given twice; the first is in line 1"},
        {"tab", "cache:\n\tshards: 1\n",
         "p.Test.yaml:2: a tab in the indentation; YAML takes spaces only"},
        {"alias bomb", "a: &a [x, x]\nb: [*a, *a]\n",
         "p.Test.yaml:1: an anchor (&); write the value where it is needed"},
        {"10 MB", std::string(10u << 20, '['), "p.Test.yaml: is larger than 1MB"},
        {"nesting", std::string(1u << 19, '['), "p.Test.yaml:1: is nested too deeply"},
        {"Latin-1", "# \xe9\n", "p.Test.yaml:1: is not UTF-8"},
        {"number", "workers: 1e999\n",
         "p.Test.yaml:1: workers: \"1e999\" is not a whole number from 0 to 1024"},
        {"fraction", "workers: 1.5\n",
         "p.Test.yaml:1: workers: \"1.5\" is not a whole number from 0 to 1024"},
    };
    for (const auto& row : rows) {
        CAPTURE(std::string{row.name});
        files.write("p.Test.yaml", row.text);
        const lines got = files.shown(load_file(files.at("p.yaml"), {}, test).problems);
        REQUIRE_FALSE(got.empty());
        CHECK(got[0] == row.want);
    }
}
