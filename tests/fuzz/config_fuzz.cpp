// Any text as a configuration file, its last line as an override. Whatever loads must dump to a
// text that loads to the same settings; whatever does not must say why, briefly and on one line.
// No configuration begins with a control character, so those stand for other files: what follows
// \1 is read as an auth_file, what follows \2 as an auth_hba_file, what follows \3 as the
// application's appsettings.json.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "config/appsettings.h"
#include "config/auth_file.h"
#include "config/conninfo.h"
#include "config/hba_file.h"
#include "config/load.h"
#include "config/loader.h"
#include "protocol/utf8.h"

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

void check_messages(const std::vector<text_problem>& problems) {
    require(problems.size() <= 20, "problems without end", {});
    int line = 0;
    for (const text_problem& p : problems) {
        check_message({"f", p.line, p.column, p.key, p.reason});
        require(pgsidecar::protocol::is_utf8(p.reason), "a message that is not UTF-8", p.reason);
        require(p.line >= line, "problems out of order", p.reason);
        line = p.line;
    }
}

void check_auth_file(std::string_view text) {
    const auth_file_result r = read_auth_file(text);
    check_messages(r.problems);
    require(r.problems.empty() || r.users.empty(), "users beside problems", text);
    for (const auth_user& user : r.users) {
        require(r.find(user.name) == &user, "a user that is not found", user.name);
        require(!user.name.empty() && user.name.size() <= max_name_size, "a bad name", user.name);
    }
    require(r.find({}) == nullptr, "a user without a name", text);
}

// A client that the record lets in, unless one above it does.
void check_record(const hba_rules& rules, const hba_record& r) {
    const auto kind = r.type == hba_type::local     ? hba_connection::local
                      : r.type == hba_type::hostssl ? hba_connection::tls
                                                    : hba_connection::plain;
    const bool alike = r.databases.same_user;
    if (!r.databases.all && !alike && r.databases.names.empty()) return;  // only replication
    const std::string user = r.users.names.empty() ? "u" : r.users.names.back();
    const std::string database = alike                       ? user
                                 : r.databases.names.empty() ? "d"
                                                             : r.databases.names.front();
    const hba_record* const found = rules.find(kind, database, user, r.network);
    require(found != nullptr && found <= &r, "a record that does not fit itself", database);
    const auto method = rules.match(kind, database, user, r.network);
    require(method == found->method, "another method", database);
}

void check_hba_file(std::string_view text) {
    const hba_file_result r = read_hba_file(text);
    check_messages(r.problems);
    require(r.problems.empty() || r.rules.records.empty(), "records beside problems", text);
    // Quadratic in the records; a text that fits a fuzzer has few.
    for (const hba_record& record : r.rules.records) check_record(r.rules, record);

    ip_address client{};
    const std::string_view last = text.substr(text.size() - std::min(text.size(), client.size()));
    std::ranges::transform(last, client.begin(), [](char c) { return std::uint8_t(c); });
    for (const auto kind : {hba_connection::local, hba_connection::plain, hba_connection::tls}) {
        const auto* const found = r.rules.find(kind, last, last, client);
        const auto method = r.rules.match(kind, last, last, client);
        require(found != nullptr || method == hba_method::reject, "let in by nothing", text);
    }
    if (const auto address = read_ip_address(last)) {
        require(last.find(':') != std::string_view::npos || holds_ipv4(*address), "family", last);
    }
}

// Whatever is accepted fits the settings that it becomes: nothing is left for the loader to refuse
// but combinations.
void check_appsettings(std::string_view text) {
    const std::vector<std::string> tiers{"default", "premium"};
    const appsettings_result r = read_appsettings(text, tiers);
    for (const text_problem& p : r.problems) {
        check_message({"f", p.line, p.column, {}, p.reason});
        require(pgsidecar::protocol::is_utf8(p.reason), "a message that is not UTF-8", p.reason);
    }
    loader load{"f"};
    load.read_appsettings(text, "f");
    const load_result whole = load.finish();
    for (const problem& p : whole.problems) check_message(p);
    for (const problem& p : whole.notes) check_message(p);
    if (!whole.ok()) return;
    require(r.problems.empty(), "problems that the loader does not know of", text);
    check_round_trip(whole.value);
    require(load_text(dump(whole), "dump").ok(), "origins that are no comments", text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view text{reinterpret_cast<const char*>(data), size};
    if (text.starts_with('\1')) return check_auth_file(text.substr(1)), 0;
    if (text.starts_with('\2')) return check_hba_file(text.substr(1)), 0;
    if (text.starts_with('\3')) return check_appsettings(text.substr(1)), 0;
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
