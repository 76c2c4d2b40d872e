// The pages an operator reads say what the program does.
#include <algorithm>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "config/appsettings.h"
#include "config/appsettings_keys.h"
#include "tests/config/support.h"

using namespace pgsidecar::config;

namespace {

std::string read(const std::string& path) {
    std::ifstream in{std::string{PGSIDECAR_SOURCE_DIR} + "/" + path, std::ios::binary};
    REQUIRE_MESSAGE(in.good(), path);
    return {std::istreambuf_iterator<char>{in}, {}};
}

std::string leaf(const std::string& key) {
    const std::size_t dot = key.rfind('.');
    return dot == std::string::npos ? key : key.substr(dot + 1);
}

// The sample with its commented-out settings ("#key: value", no blank after #) switched on.
std::string uncommented(const std::string& text) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        std::string line = text.substr(at, end - at);
        const std::size_t hash = line.find_first_not_of(' ');
        if (hash != std::string::npos && hash + 1 < line.size() && line[hash] == '#' &&
            line[hash + 1] != ' ' && line[hash + 1] != '#') {
            line.erase(hash, 1);
        }
        out.append(line).append("\n");
        at = end + 1;
    }
    return out;
}

}  // namespace

TEST_CASE("config/SETTINGS.md is what the table of keys says") {
    // Differs? Print it anew: the target settings_reference.
    CHECK(read("config/SETTINGS.md") == reference());
    for (const std::string& key : known_keys()) {
        CAPTURE(key);
        CHECK(reference().find("| `" + key + "` | ") != std::string::npos);
    }
}

TEST_CASE("the sample file loads, as it stands and with everything in it switched on") {
    const std::string text = read("deploy/config/pgsidecar.yaml");
    for (const std::string& sample : {text, uncommented(text)}) {
        const load_result r = load_text(sample, "pgsidecar.yaml");
        for (const problem& p : r.problems) FAIL_CHECK(to_string(p));
    }
}

TEST_CASE("the sample file names every key, and what it shows commented out is the default") {
    const std::string text = read("deploy/config/pgsidecar.yaml");
    const std::string all = uncommented(text);
    for (const std::string& key : known_keys()) {
        CAPTURE(key);
        const std::string name = leaf(key) + ":";
        const bool named =
            all.find("\n" + name) != std::string::npos || all.find(" " + name) != std::string::npos;
        CHECK(named);
    }
    CHECK(all != text);
    CHECK(changed_keys(load_text(text, "as it stands").value,
                       load_text(all, "all switched on").value) == std::vector<std::string>{});
}

TEST_CASE("the sample overlays load on top of the sample file, and with the sample appsettings") {
    const std::string base = std::string{PGSIDECAR_SOURCE_DIR} + "/deploy/config/pgsidecar.yaml";
    const load_result alone = load_file(base);
    for (const std::string_view name : known_environments()) {
        CAPTURE(std::string{name});
        const load_result r = load_file(base, {}, {std::string{name}, "E"});
        for (const problem& p : r.problems) FAIL_CHECK(to_string(p));
        REQUIRE_FALSE(r.notes.empty());
        CHECK(r.notes[0].reason.find("its file is ") != std::string::npos);
        CHECK_FALSE(changed_keys(alone.value, r.value).empty());
    }
}

TEST_CASE("the sample appsettings name every key that is read") {
    const std::string text = read("deploy/config/appsettings.json");
    const std::vector<std::string> tiers{"default", "premium"};
    const appsettings_result r = read_appsettings(text, tiers);
    for (const text_problem& p : r.problems) FAIL_CHECK(p.reason);
    for (const std::span<const json_key> keys : {performance_keys(), limit_keys()}) {
        for (const json_key& key : keys) {
            CAPTURE(std::string{key.name});
            CHECK(text.find("\"" + std::string{key.name} + "\": ") != std::string::npos);
        }
    }
}
