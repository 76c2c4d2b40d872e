#include "proxy/ops/workload_console.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <utility>

#include "config/json_tree.h"
#include "policy/analyze.h"

namespace pgsidecar::ops {
namespace {

std::optional<std::size_t> column_of(const console_rows& answer, std::string_view name) {
    const auto at = std::ranges::find(answer.columns, name);
    if (at == answer.columns.end()) return std::nullopt;
    return static_cast<std::size_t>(at - answer.columns.begin());
}

std::uint64_t number_of(std::string_view text) {
    std::uint64_t out = 0;
    (void)std::from_chars(text.data(), text.data() + text.size(), out);
    return out;
}

std::string_view cell(const std::vector<std::string>& row, std::optional<std::size_t> column) {
    return column && *column < row.size() ? std::string_view{row[*column]} : std::string_view{};
}

struct seen_query {
    std::string_view text, fingerprint;
    std::uint64_t calls = 0;
};

std::vector<seen_query> most_called(const console_rows& answer, std::string_view database) {
    const auto in = column_of(answer, "database"), query = column_of(answer, "query"),
               calls = column_of(answer, "calls"), fingerprint = column_of(answer, "fingerprint");
    std::vector<seen_query> out;
    for (const auto& row : answer.rows)
        if (database.empty() || cell(row, in) == database)
            out.push_back({cell(row, query), cell(row, fingerprint), number_of(cell(row, calls))});
    std::ranges::stable_sort(out, std::ranges::greater{}, &seen_query::calls);
    return out;
}

// Its sets of values, or why it cannot be asked.
std::string fill(workload_statement& statement, const seen_query& query, std::size_t wanted,
                 const workload_value_sets& values) {
    auto found = values.find(query.text);
    if (found == values.end() && !query.fingerprint.empty()) found = values.find(query.fingerprint);
    if (found == values.end())
        return "it needs values for " + std::to_string(wanted) + " placeholders (--values)";
    for (const auto& set : found->second)
        if (set.size() != wanted)
            return "--values gives " + std::to_string(set.size()) + " values, it has " +
                   std::to_string(wanted) + " placeholders";
    if (found->second.empty()) return "--values gives no set of values";
    statement.parameters = found->second;
    statement.prepared = true;
    return {};
}

}  // namespace

std::optional<workload_value_sets> read_value_sets(std::string_view json, workload_problem& wrong) {
    const auto tree = config::read_json(json);
    if (!tree.problems.empty()) {
        wrong = {tree.problems.front().line, tree.problems.front().reason};
        return std::nullopt;
    }
    const auto refuse = [&wrong](int line, std::string why) {
        wrong = {line, std::move(why)};
        return std::nullopt;
    };
    const auto& root = tree.root;
    if (root.kind != config::node_kind::map)
        return refuse(1, "is not a JSON object of statements and their sets of values");
    workload_value_sets out;
    for (std::size_t i = 0; i < root.keys.size(); ++i) {
        const auto& sets = root.items[i];
        if (sets.kind != config::node_kind::sequence)
            return refuse(sets.line, "a statement's values are an array of arrays");
        auto& into = out[root.keys[i].text];
        for (const auto& set : sets.items) {
            std::string why;
            auto read = values_of(set, why);
            if (!read) return refuse(set.line, why);
            into.push_back(std::move(*read));
        }
    }
    return out;
}

workload console_workload(const console_rows& answer, std::string_view database, std::size_t top,
                          const workload_value_sets& values, bool allow_writes) {
    workload out;
    if (!column_of(answer, "query") || !column_of(answer, "calls")) {
        out.problems.push_back({0, "SHOW QUERIES has no columns query and calls"});
        return out;
    }
    for (const auto& query : most_called(answer, database)) {
        if (out.statements.size() + out.skipped.size() == top) break;
        workload_statement statement;
        statement.sql = query.text;
        statement.normalized = query.text;
        const auto facts = policy::analyze(query.text);
        auto why = why_not_run(facts, allow_writes);
        if (why.empty()) {
            statement.ordered = orders_rows(query.text);
            const auto wanted = static_cast<std::size_t>(facts.statements.front().parameter_count);
            if (wanted > 0) why = fill(statement, query, wanted, values);
        }
        if (why.empty())
            out.statements.push_back(std::move(statement));
        else
            out.skipped.push_back({std::string{query.text}, std::move(why)});
    }
    return out;
}

bool count_hits(const console_rows& answer, std::uint64_t& hits, std::uint64_t& calls) {
    const auto of_hits = column_of(answer, "hits"), of_calls = column_of(answer, "calls");
    hits = calls = 0;
    if (!of_hits || !of_calls) return false;
    for (const auto& row : answer.rows) {
        hits += number_of(cell(row, of_hits));
        calls += number_of(cell(row, of_calls));
    }
    return true;
}

}  // namespace pgsidecar::ops
