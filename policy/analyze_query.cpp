// Queries: which relations are read and written, and which names are only CTEs.
#include <utility>

#include "policy/analyze_walk.h"

namespace pgsidecar::policy {
namespace {

bool is_modification(std::string_view tag) noexcept {
    return tag == "InsertStmt" || tag == "UpdateStmt" || tag == "DeleteStmt" || tag == "MergeStmt";
}

bool is_bare_target_list(const json_object& select) {
    for (const auto& member : select) {
        const auto key = member.key();
        if (key != "targetList" && key != "limitOption" && key != "op") return false;
    }
    return text_field(select, "op") == "SETOP_NONE";
}

}  // namespace

void statement_walker::query(std::string_view tag, const json_object& body) {
    if (tag == "SelectStmt") {
        lone_set_config(body);
        select(body);
    } else {
        modify(body);
    }
}

// A CTE sees those before it; with RECURSIVE it sees all of its list. Everything else in the
// statement sees the whole list, over what is visible outside.
statement_walker::names statement_walker::enter_with(const json_object& body) {
    names entered;
    const auto* with = object_field(body, "withClause");
    if (with == nullptr) return entered;
    const auto enter = [&](const json_object& cte) {
        entered.push_back(text_field(cte, "ctename"));
        ++visible_[entered.back()];
    };
    const bool recursive = flag_field(*with, "recursive");
    if (recursive) {
        for (const auto& item : array_field(*with, "ctes")) {
            if (const auto cte = as_tagged(item); cte.body != nullptr) enter(*cte.body);
        }
    }
    for (const auto& item : array_field(*with, "ctes")) {
        const auto cte = as_tagged(item);
        if (cte.body == nullptr) continue;
        common_table(*cte.body);
        if (!recursive) enter(*cte.body);
    }
    return entered;
}

void statement_walker::leave_with(const names& visible) {
    for (const auto name : visible) {
        if (--visible_[name] == 0) visible_.erase(name);
    }
}

void statement_walker::common_table(const json_object& body) {
    for (const auto& member : body) {
        if (member.key() != "ctequery") walk(member.value());
    }
    for (const auto& name : array_field(body, "aliascolnames")) {
        if (const auto text = as_string(name)) outputs_.emplace(*text);
    }
    const auto* inner = field(body, "ctequery");
    if (inner == nullptr) return;
    if (is_modification(as_tagged(*inner).tag)) out_.modifying_cte = true;
    columns_are_seen_ = true;
    walk(*inner);
    columns_are_seen_ = false;
}

void statement_walker::select(const json_object& body) {
    const bool seen = std::exchange(columns_are_seen_, false);
    const auto entered = enter_with(body);
    if (seen) {
        for (const auto& target : array_field(body, "targetList")) note_output(target);
        if (!array_field(body, "valuesLists").empty()) unknown_outputs_ = true;
    }
    for (const auto& member : body) {
        const auto key = member.key();
        const auto* inner = member.value().if_object();
        if (key == "withClause") continue;
        if (key == "lockingClause") {
            out_.locks_rows = true;  // the names in it are aliases of the FROM clause
        } else if (key == "intoClause" && inner != nullptr) {
            into(*inner);
        } else if ((key == "larg" || key == "rarg") && inner != nullptr) {
            columns_are_seen_ = seen;
            select(*inner);
        } else {
            walk(member.value());
        }
    }
    leave_with(entered);
}

void statement_walker::modify(const json_object& body) {
    const bool seen = std::exchange(columns_are_seen_, false);
    const auto entered = enter_with(body);
    if (seen) {
        for (const auto& target : array_field(body, "returningList")) note_output(target);
    }
    for (const auto& member : body) {
        const auto* inner = member.value().if_object();
        if (member.key() == "withClause") continue;
        if (member.key() == "relation" && inner != nullptr) {
            write(*inner);
        } else {
            walk(member.value());
        }
    }
    leave_with(entered);
}

void statement_walker::into(const json_object& into_clause) {
    out_.writes_into = true;
    for (const auto& member : into_clause) {
        if (member.key() == "rel") {
            if (const auto* target = member.value().if_object()) write(*target);
        } else if (member.key() != "viewQuery") {
            walk(member.value());
        }
    }
}

void statement_walker::read(const json_object& range_var) {
    auto name = relation_of(range_var);
    note_column_aliases(range_var);
    if (text_field(range_var, "relpersistence") == "t") out_.temporary_object = true;
    note_schema(name.schema);
    if (name.schema.empty() && visible_.contains(name.name)) return;
    out_.reads.push_back(std::move(name));
}

void statement_walker::write(const json_object& range_var) {
    if (text_field(range_var, "relpersistence") == "t") out_.temporary_object = true;
    write(relation_of(range_var));
}

void statement_walker::write(qualified_name relation) {
    note_schema(relation.schema);
    out_.writes.push_back(std::move(relation));
}

// `t AS x (a, b)`: a and b are new names for whatever the columns are.
void statement_walker::note_column_aliases(const json_object& body) {
    const auto* alias = object_field(body, "alias");
    if (alias == nullptr) return;
    for (const auto& name : array_field(*alias, "colnames")) {
        if (const auto text = as_string(name)) outputs_.emplace(*text);
    }
}

// The name under which a column of a subquery in FROM is known outside, unless it is a column that
// keeps its name. What the server would call an expression without AS is not worked out.
void statement_walker::note_output(const json_value& target) {
    const auto result = as_tagged(target);
    const auto* value = result.body == nullptr ? nullptr : field(*result.body, "val");
    if (value == nullptr) return;
    const auto named = text_field(*result.body, "name");
    const auto expression = as_tagged(*value);
    if (expression.tag == "ColumnRef") {
        const auto& fields = array_field(*expression.body, "fields");
        const auto column = fields.empty() ? std::nullopt : as_string(fields.back());
        if (!named.empty() && column != named) outputs_.emplace(named);
    } else if (!named.empty()) {
        outputs_.emplace(named);
    } else if (expression.tag != "A_Const") {
        unknown_outputs_ = true;
    }
}

bool statement_walker::range_item(std::string_view tag, const json_object& body) {
    if (tag == "RangeVar") {
        read(body);
    } else if (tag == "RangeFunction" || tag == "RangeTableFunc" || tag == "JsonTable") {
        unknown_outputs_ = true;
        walk_fields(body);
    } else if (tag == "RangeTableSample") {
        out_.tablesample = true;
        walk_fields(body);
    } else if (tag == "JoinExpr") {
        note_column_aliases(body);
        if (flag_field(body, "isNatural") || !array_field(body, "usingClause").empty()) {
            note_operator("=");
        }
        walk_fields(body);
    } else if (tag == "RangeSubselect") {
        note_column_aliases(body);
        columns_are_seen_ = true;
        walk_fields(body);
        columns_are_seen_ = false;
    } else {
        return false;
    }
    return true;
}

// SELECT set_config(...) alone, with neither FROM nor WHERE: it runs exactly once. Anywhere else
// nobody knows from the text whether and how often it runs.
void statement_walker::lone_set_config(const json_object& select) {
    if (!is_bare_target_list(select)) return;
    for (const auto& item : array_field(select, "targetList")) {
        const auto target = as_tagged(item);
        const auto* value = target.body == nullptr ? nullptr : field(*target.body, "val");
        const auto call = value == nullptr ? tagged{} : as_tagged(*value);
        if (call.tag == "FuncCall" && is_set_config(*call.body) && set_config(*call.body)) {
            settled_.push_back(call.body);
        }
    }
}

}  // namespace pgsidecar::policy
