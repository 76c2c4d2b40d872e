#include "tests/policy/analyze_say.h"

#include <doctest/doctest.h>

#include <vector>

namespace pgsidecar::policy {
namespace {

std::string dotted(const qualified_name& name) {
    return name.schema.empty() ? name.name : name.schema + '.' + name.name;
}
std::string dotted(const std::string& name) { return name; }
std::string dotted(const function_call& call) {
    return dotted(call.name) + '/' + std::to_string(call.arguments);
}

template <class T>
void list(std::string& out, const char* label, const std::vector<T>& values) {
    if (values.empty()) return;
    out.append(" ").append(label);
    const char* between = "";
    for (const auto& value : values) {
        out.append(between).append(dotted(value));
        between = ",";
    }
}

void settings(std::string& out, const statement_facts& facts) {
    for (const auto& change : facts.settings) {
        out.append(" ").append(change.all ? "ALL" : change.name).append(":=");
        out.append(change.value ? *change.value : "DEFAULT").append(change.local ? " local" : "");
    }
    for (const auto& change : facts.bound_settings) {
        out.append(" ").append(change.name).append(":=$").append(std::to_string(change.parameter));
        out.append(change.local ? " local" : "");
    }
}

void flags(std::string& out, const statement_facts& f) {
    const std::pair<bool, const char*> all[] = {
        {f.locks_rows, "locks_rows"},         {f.writes_into, "writes_into"},
        {f.returning, "returning"},           {f.modifying_cte, "modifying_cte"},
        {f.tablesample, "tablesample"},       {f.clock_literal, "clock_literal"},
        {f.clock_function, "clock_function"}, {f.system_column, "system_column"},
        {f.opaque_setting, "opaque_setting"}, {f.bound_settings_suffice, "bound_settings_suffice"},
        {f.about_session, "about_session"},   {f.unproven_datetime_cast, "unproven"},
        {f.temporary_object, "temporary"},    {f.with_hold, "with_hold"},
        {f.concurrently, "concurrently"},
    };
    for (const auto& [on, name] : all) {
        if (on) out.append(" ").append(name);
    }
}

void rows(std::string& out, const statement_facts& facts) {
    const auto number = std::to_string(facts.page_limit.number);
    switch (facts.page_limit.is) {
        case limit_clause::kind::none:
            break;
        case limit_clause::kind::literal:
            out.append(" limit=#").append(number);
            break;
        case limit_clause::kind::parameter:
            out.append(" limit=$").append(number);
            break;
        case limit_clause::kind::other:
            out.append(" limit=other");
            break;
    }
    if (facts.values_rows > 0) out.append(" values=").append(std::to_string(facts.values_rows));
}

}  // namespace

std::string say(const statement_facts& facts) {
    std::string out{to_string(facts.kind)};
    if (!facts.name.empty()) out += " name=" + facts.name;
    if (!facts.template_name.empty()) out += " template=" + facts.template_name;
    list(out, "r=", facts.reads);
    list(out, "w=", facts.writes);
    list(out, "f=", facts.functions);
    list(out, "c=", facts.cast_types);
    list(out, "dt=", facts.datetime_cast_columns);
    list(out, "cur=", facts.current_settings);
    settings(out, facts);
    if (facts.parameter_count > 0) out += " $" + std::to_string(facts.parameter_count);
    rows(out, facts);
    flags(out, facts);
    if (facts.inner) out += " {" + say(*facts.inner) + "}";
    return out;
}

std::string say(std::string_view sql) {
    const auto facts = analyze(sql);
    if (facts.too_long) return "too long";
    if (!facts.parsed) return "unparsed";
    std::string out;
    for (const auto& statement : facts.statements) {
        if (!out.empty()) out += "; ";
        out += say(statement);
    }
    return out;
}

void check_rows(const said* first, const said* last) {
    for (; first != last; ++first) {
        CAPTURE(first->sql);
        CHECK(say(first->sql) == first->want);
    }
}

}  // namespace pgsidecar::policy
