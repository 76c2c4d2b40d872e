// A SQL text. Whatever it is: facts, a normal form and a shape without a crash or a leak; the same
// facts each time; tokens that cover the text in order; literals that do not show; the same facts
// with other literals, where they are said not to matter; and limits that name a literal.
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

std::size_t literals_in(std::string_view sql) {
    std::size_t count = 0;
    sql_scanner scan{sql};
    for (token t = scan.next(); t.kind != token_kind::end; t = scan.next())
        if (is_literal(t.kind)) ++count;
    return count;
}

// A limit that is a literal is one of the text's.
void check_limit(const statement_facts& s, std::size_t literals) {
    const auto& limit = s.page_limit;
    require(limit.is <= limit_clause::kind::other);
    if (limit.is == limit_clause::kind::literal) require(limit.number < literals);
    if (limit.is == limit_clause::kind::parameter)
        require(limit.number > 0 && static_cast<int>(limit.number) <= s.parameter_count);
    require(limit.is == limit_clause::kind::none || s.kind == statement_kind::select);
    require(s.values_rows == 0 || s.kind == statement_kind::insert);
    if (s.inner) check_limit(*s.inner, literals);
}

// Every literal is another one.
std::string with_other_literals(std::string_view sql) {
    std::string out;
    const char* end = sql.data();
    sql_scanner scan{sql};
    for (token t = scan.next(); t.kind != token_kind::end; t = scan.next()) {
        out.append(end, t.text.data());
        end = t.text.data() + t.text.size();
        if (t.kind == token_kind::string)
            out += "'q'";
        else if (t.kind == token_kind::number)
            out += '7';
        else
            out += t.text;
    }
    return out.append(end, sql.data() + sql.size());
}

void check_same(const statement_facts& a, const statement_facts& b) {
    require(a.kind == b.kind && a.reads == b.reads && a.writes == b.writes);
    require(a.functions == b.functions && a.operators == b.operators);
    require(a.cast_types == b.cast_types && a.field_names == b.field_names);
    require(a.datetime_cast_columns == b.datetime_cast_columns);
    require(a.parameter_count == b.parameter_count && a.locks_rows == b.locks_rows);
    require(a.writes_into == b.writes_into && a.modifying_cte == b.modifying_cte);
    require(a.tablesample == b.tablesample && a.clock_function == b.clock_function);
    require(a.system_column == b.system_column && a.opaque_setting == b.opaque_setting);
    require(a.unproven_datetime_cast == b.unproven_datetime_cast);
    require(a.temporary_object == b.temporary_object && a.settings.empty() && b.settings.empty());
    require(a.returning == b.returning && a.values_rows == b.values_rows);
    require(a.page_limit == b.page_limit);
}

void check_other_literals(std::string_view sql, const sql_facts& facts) {
    if (!facts.parsed || facts.literals_matter || mentions_clock_word(sql)) return;
    const auto other = with_other_literals(sql);
    if (shape_of(other) != shape_of(sql)) return;  // UESCAPE 'x', a literal beside a word
    const auto its = analyze(other, 4096);
    if (!its.parsed) return;
    require(its.statements.size() == facts.statements.size());
    for (std::size_t i = 0; i < facts.statements.size(); ++i) {
        check_same(facts.statements[i], its.statements[i]);
        const auto& limit = its.statements[i].page_limit;
        if (limit.is == limit_clause::kind::literal)
            require(literal_number(other, limit.number).value_or(7) == 7);
    }
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
    const auto literals = literals_in(sql);
    for (const auto& s : facts.statements) {
        check_statement(s, 0);
        check_limit(s, literals);
    }
    for (std::uint32_t i = 0; i < 8; ++i) require(i < literals || !literal_number(sql, i));
    check_other_literals(sql, facts);

    const auto again = analyze(sql, 4096);
    require(again.parsed == facts.parsed && again.statements.size() == facts.statements.size());

    sql_scanner normal{facts.normalized};
    for (token t = normal.next(); t.kind != token_kind::end; t = normal.next()) {
        require(t.kind != token_kind::string || t.text.empty());
    }
    return 0;
}
