// Any text as a configuration file, its last line as an override. Whatever loads must dump to a
// text that loads to the same settings; whatever does not must say why, briefly and on one line.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "config/conninfo.h"
#include "config/load.h"

using namespace pgsidecar::config;

namespace {

void require(bool holds, std::string_view what, std::string_view text) {
    if (holds) return;
    std::fprintf(stderr, "%.*s\n%.*s\n", static_cast<int>(what.size()), what.data(),
                 static_cast<int>(text.size()), text.data());
    std::abort();
}

void check_message(const problem& p) {
    const std::string text = to_string(p);
    const auto is_control = [](char c) { return static_cast<unsigned char>(c) < 0x20; };
    require(!p.reason.empty(), "a problem without a reason", text);
    require(text.size() < 2'000, "a problem without end", text);
    require(std::ranges::none_of(text, is_control), "a problem that forges lines", text);
}

void check_round_trip(settings s) {
    // The dump hides passwords, so it is compared with what has none.
    s.upstream.control_connection = redact_conninfo(s.upstream.control_connection);
    const std::string text = dump(s);
    const load_result back = load_text(text, "dump");
    require(back.ok(), "a dump that does not load", text);
    require(changed_keys(s, back.value).empty(), "a dump that changes the settings", text);
    const auto& tenants = back.value.tenants;
    require(tenants.sources.size() == s.tenant_source_texts.size(), "a source is lost", text);
    require(tenants.tiers.front().name == "default", "default is not the first tier", text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view text{reinterpret_cast<const char*>(data), size};
    const load_result alone = load_text(text, "f");
    for (const problem& p : alone.problems) check_message(p);
    if (alone.ok()) check_round_trip(alone.value);

    std::string_view last = text;
    if (last.ends_with('\n')) last.remove_suffix(1);
    if (const std::size_t at = last.rfind('\n'); at != std::string_view::npos) {
        const std::vector<std::string> overrides{std::string{last.substr(at + 1)}};
        const load_result both = load_text(text.substr(0, at), "f", overrides);
        for (const problem& p : both.problems) check_message(p);
        if (both.ok()) check_round_trip(both.value);
    }
    return 0;
}
