#include "proxy/ops/migration_status.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

#include "protocol/ascii.h"
#include "proxy/ops/migration_sql.h"

namespace pgsidecar::ops {
namespace {

using row = std::vector<std::string>;

constexpr std::string_view ok_state = "ok";
constexpr std::string_view missing = "missing";

constexpr std::string_view publication = "publication ";

const row* find_row(const answer_rows& rows, std::string_view first) {
    const auto it = std::ranges::find_if(rows, [&](const row& r) { return r.at(0) == first; });
    return it == rows.end() ? nullptr : &*it;
}

std::vector<table_column> columns_of(const answer_rows& rows) {
    std::vector<table_column> out;
    for (const auto& r : rows) out.push_back({r.at(0), r.at(1), r.at(2)});
    return out;
}

std::string table_state(const row& relation, const migration_facts& facts) {
    if (relation.at(1) != "r" && relation.at(1) != "p") return "is no table";
    const auto difference = column_difference(relation.at(0), expected_columns(migration_sql::up),
                                              columns_of(facts.columns));
    return difference.value_or(std::string{ok_state});
}

std::string index_state(const answer_rows& index) {
    if (index.empty()) return "is no index";
    const auto& i = index.front();
    if (i.at(0) != "prescription_query_cache") return "is an index of another table";
    if (i.at(1) != "tenant_id, expiration_time")
        return "is on (" + i.at(1) + "), expected is (tenant_id, expiration_time)";
    return i.at(2) == "t" ? std::string{ok_state} : "is unique, partial or not valid";
}

// Who the records say made it. What lies in the schema of the tables must also bear the mark, for
// it may have been replaced.
std::string origin(int version, std::string_view object, const row* relation,
                   const migration_facts& facts) {
    const auto recorded = std::ranges::any_of(facts.records, [&](const row& r) {
        return r.at(0) == std::to_string(version) && r.at(4) == object && r.at(5) == "t";
    });
    return recorded && (!relation || relation->at(2) == made_mark) ? "made" : "found";
}

// The row of an object outside the schema of the tables; a publication by whatever name it has.
const row* find_outside(const answer_rows& rows, std::string_view object) {
    if (!object.starts_with(publication)) return find_row(rows, object);
    const auto it =
        std::ranges::find_if(rows, [](const row& r) { return r.at(0).starts_with(publication); });
    return it == rows.end() ? nullptr : &*it;
}

object_status object_of(int version, std::string_view object, const migration_facts& facts) {
    object_status out{.object = std::string{object}, .from = {}, .state = std::string{missing}};
    if (version >= 3) {
        const auto* found = find_outside(facts.outside, object);
        if (!found) return out;
        out.object = found->at(0);
        out.state = found->at(1).empty() ? std::string{ok_state} : found->at(1);
        out.from = origin(version, out.object, nullptr, facts);
        return out;
    }
    const auto* relation = find_row(facts.relations, object.substr(object.find(' ') + 1));
    if (!relation) return out;
    out.state =
        object.starts_with("table ") ? table_state(*relation, facts) : index_state(facts.index);
    out.from = origin(version, object, relation, facts);
    return out;
}

// One line for the triggers that are as they must be, and one for each that is not.
void add_triggers(const answer_rows& watched, std::vector<object_status>& out) {
    const auto good = std::ranges::count_if(watched, [](const row& r) { return r.at(2) == "A"; });
    if (good > 0)
        out.push_back(
            {"triggers on " + std::to_string(good) + " tables", "made", std::string{ok_state}});
    for (const auto& r : watched) {
        if (r.at(2) == "A") continue;
        const bool there = !r.at(2).empty();
        out.push_back({"trigger on " + r.at(0) + "." + r.at(1), there ? "made" : "",
                       there ? "is not enabled for all" : std::string{missing}});
    }
}

// So with the tables of the publication. One that cannot be in it is told, and nothing to mend.
void add_published(const answer_rows& published, std::vector<object_status>& out) {
    const auto good =
        std::ranges::count(published, "in step", [](const row& r) { return r.at(1); });
    if (good > 0)
        out.push_back({std::to_string(good) + " published tables", "made", std::string{ok_state}});
    for (const auto& r : published) {
        object_status o{"published table " + r.at(0), "made", "", true};
        const auto& state = r.at(1);
        if (state == "missing") {
            o.from.clear();
            o.state = missing;
        } else if (state == "left out") {
            o.from.clear();
            o.state = "left out: it " + r.at(2);
            o.mends = false;
        } else if (state == "not wanted") {
            o.state = "must not be published: it " + r.at(2);
        } else if (state != "in step") {
            o.state = "is published with other columns, or not every row";
        } else {
            continue;
        }
        out.push_back(std::move(o));
    }
}

std::string state_of(const step_status& step) {
    if (step.applied_at.empty()) return step.optional ? "not applied (optional)" : "not applied";
    return step.ok(true) ? "applied" : "applied, but not as expected";
}

}  // namespace

bool step_status::ok(bool optional_wanted) const {
    if (applied_at.empty()) return optional && !optional_wanted;
    return std::ranges::all_of(objects, [](const object_status& o) { return o.ok(); });
}

std::vector<step_status> migration_status(const migration_facts& facts) {
    std::vector<step_status> out;
    for (const auto& step : migration_steps()) {
        step_status s{.version = step.version,
                      .name = std::string{step.name},
                      .optional = step.optional,
                      .applied_at = {},
                      .applied_by = {},
                      .objects = {}};
        if (const auto* record = find_row(facts.records, std::to_string(step.version))) {
            s.applied_at = record->at(2);
            s.applied_by = record->at(3);
        }
        for (const auto object : step.objects)
            s.objects.push_back(object_of(step.version, object, facts));
        // What it would share with a step that is applied tells nothing of this one.
        if (s.optional && s.applied_at.empty())
            std::erase_if(s.objects, [&](const object_status& o) {
                return std::ranges::any_of(facts.records,
                                           [&](const row& r) { return r.at(4) == o.object; });
            });
        if (step.version == 3) add_triggers(facts.watched, s.objects);
        if (step.version == 4) add_published(facts.published, s.objects);
        out.push_back(std::move(s));
    }
    return out;
}

std::string records_problem(const migration_facts& facts) {
    const auto* relation = find_row(facts.relations, versions_table);
    if (!relation) return {};
    const auto state = table_state(*relation, facts);
    if (state != ok_state)
        return "table " + std::string{versions_table} + " is not pgsidecar's: " + state;
    return relation->at(3) == "t" ? ""
                                  : "needs SELECT on table " + std::string{versions_table} +
                                        " and USAGE on its schema";
}

std::string render(const std::vector<step_status>& steps) {
    constexpr std::size_t columns = 5;
    std::vector<std::array<std::string, columns>> lines{
        {"step", "object", "applied", "by", "state"}};
    for (const auto& s : steps) {
        const bool applied = !s.applied_at.empty();
        lines.push_back({std::to_string(s.version) + " " + s.name, "", applied ? s.applied_at : "-",
                         applied ? s.applied_by : "-", state_of(s)});
        // Of what was not asked for there is nothing to tell, unless some of it is there.
        const bool untouched =
            s.optional && !applied && std::ranges::all_of(s.objects, [](const object_status& o) {
                return o.state == missing;
            });
        if (untouched) continue;
        for (const auto& o : s.objects)
            lines.push_back({"", o.object, o.from.empty() ? "-" : o.from, "", o.state});
    }
    std::array<std::size_t, columns> widths{};
    for (auto& line : lines)
        for (std::size_t c = 0; c < columns; ++c) {
            line[c] = protocol::printable(line[c]);
            widths[c] = std::max(widths[c], line[c].size());
        }
    std::string out;
    for (const auto& line : lines) {
        for (std::size_t c = 0; c + 1 < columns; ++c)
            out.append(line[c]).append(widths[c] - line[c].size() + 2, ' ');
        out.append(line.back()).append("\n");
    }
    return out;
}

}  // namespace pgsidecar::ops
