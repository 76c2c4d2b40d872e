// A SQL text. Whatever it is: facts, a normal form and a shape without a crash or a leak; the same
// facts each time; tokens that cover the text in order; and literals that do not show.
#include "policy/analyze.h"

#include <cstdint>
#include <cstdlib>

#include "policy/analyze_scan.h"

using namespace pgsidecar::policy;

namespace {

void require(bool condition) {
    if (!condition) std::abort();
}

void check_tokens(std::string_view sql) {
    sql_scanner scan{sql};
    const char* end = sql.data();
    for (token t = scan.next(); t.kind != token_kind::end; t = scan.next()) {
        require(!t.text.empty());
        require(t.text.data() >= end);
        end = t.text.data() + t.text.size();
        require(end <= sql.data() + sql.size());
    }
}

void check_statement(const statement_facts& s, int depth) {
    require(depth < 8);
    require(s.kind <= statement_kind::other);
    require(s.parameter_count >= 0);
    require(!s.bound_settings_suffice || s.opaque_setting);
    for (const auto& change : s.settings) require(change.all == change.name.empty());
    if (s.inner) check_statement(*s.inner, depth + 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view sql{reinterpret_cast<const char*>(data), size};
    check_tokens(sql);
    (void)mentions_clock_word(sql);
    (void)shape_of(sql);
    auto facts = analyze(sql, 4096);
    describe(sql.substr(0, 4096), facts);
    require(facts.too_long == (size > 4096));
    require(facts.parsed ? !facts.statements.empty() : facts.statements.empty());
    for (const auto& s : facts.statements) check_statement(s, 0);

    const auto again = analyze(sql, 4096);
    require(again.parsed == facts.parsed && again.statements.size() == facts.statements.size());

    sql_scanner normal{facts.normalized};
    for (token t = normal.next(); t.kind != token_kind::end; t = normal.next()) {
        require(t.kind != token_kind::string || t.text.empty());
    }
    return 0;
}
