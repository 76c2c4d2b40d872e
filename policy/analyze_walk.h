// One walk over the parse tree of one statement, filling its facts. Internal to analyze. The walker
// goes through every node there is, also those it does not know, so that a relation or a function
// in a place nobody thought of is still seen; known nodes only add meaning. Order of calls: any
// number of walk() and the entries below, then finish(). The tree must outlive the walker.
#pragma once
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "policy/analyze_tree.h"
#include "policy/facts.h"

namespace pgsidecar::policy {

class statement_walker {
  public:
    explicit statement_walker(statement_facts& out) : out_{out} {}

    void walk(const json_value& value);
    void walk_all(const json_array& values);
    void walk_fields(const json_object& body);
    void query(std::string_view tag, const json_object& body);  // a SELECT or a modifying statement
    void function(const json_object& call);
    void read(const json_object& range_var);
    void write(const json_object& range_var);
    void write(qualified_name relation);
    void into(const json_object& into_clause);  // SELECT INTO, CREATE TABLE AS
    void finish();  // removes duplicates, settles what needs the whole statement

  private:
    // analyze_query.cpp
    using names = std::vector<std::string_view>;
    [[nodiscard]] names enter_with(const json_object& body);
    void leave_with(const names& visible);
    void select(const json_object& body);
    void modify(const json_object& body);
    void common_table(const json_object& body);
    void note_output(const json_value& target);
    void note_column_aliases(const json_object& body);
    [[nodiscard]] bool range_item(std::string_view tag, const json_object& body);
    void lone_set_config(const json_object& select);

    // analyze_expression.cpp
    void node(std::string_view tag, const json_object& body);
    [[nodiscard]] bool expression(std::string_view tag, const json_object& body);
    void column(const json_object& body);
    void constant(const json_object& body);
    void operation(const json_object& body);
    void clock_or_user(const json_object& body);
    void note_schema(std::string_view schema);
    void note_operator(const json_array& parts);
    void note_operator(std::string_view name);

    // analyze_call.cpp
    void current_setting(const json_object& call);
    [[nodiscard]] bool set_config(const json_object& call);

    // analyze_cast.cpp
    void cast(const json_object& body);
    void type(const json_object& type_name);
    [[nodiscard]] bool is_never_text(const json_value& expression);
    [[nodiscard]] bool call_is_never_text(const json_object& call);
    [[nodiscard]] bool all_never_text(const json_array& expressions);
    void datetime_cast(const json_value* argument);

    statement_facts& out_;
    std::unordered_map<std::string_view, int> visible_;  // CTE names in scope, with their number
    std::unordered_set<std::string> outputs_;  // columns that subqueries and aliases name anew
    bool unknown_outputs_ = false;             // functions or VALUES stand in FROM
    bool columns_are_seen_ = false;  // the next query's columns are named by another query
    std::vector<const json_object*> settled_;  // set_config() calls whose effect is known
    bool unknown_setting_ = false;  // some call's effect on the settings is not known at all
};

[[nodiscard]] bool is_set_config(const json_object& call);
[[nodiscard]] bool is_unlock_all(const json_object& call);  // pg_advisory_unlock_all()

// date, timestamp, timestamptz, time, timetz and ranges of them: types whose input reads the clock
// for 'now' and 'today'.
[[nodiscard]] bool is_datetime_type(const qualified_name& type) noexcept;

}  // namespace pgsidecar::policy
