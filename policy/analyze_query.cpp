// Queries: which relations are read and written, which names are only CTEs, and how many rows the
// text itself allows.
#include <array>
#include <utility>

#include "policy/analyze_statement.h"
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

// A type that a number goes through unchanged, or not at all: bits and texts are cut and filled.
bool keeps_number(const json_object& type_name) noexcept {
    constexpr std::array<std::string_view, 4> types{"int2", "int4", "int8", "numeric"};
    const auto name = name_of(array_field(type_name, "names"));
    return is_builtin_schema(name.schema) && array_field(type_name, "arrayBounds").empty() &&
           array_field(type_name, "typmods").empty() &&
           std::find(types.begin(), types.end(), name.name) != types.end();
}

// Without such casts around it; nothing under any other.
tagged without_casts(tagged node) noexcept {
    while (node.tag == "TypeCast") {
        const auto* type = object_field(*node.body, "typeName");
        const auto* argument = field(*node.body, "arg");
        if (type == nullptr || argument == nullptr || !keeps_number(*type)) return {};
        node = as_tagged(*argument);
    }
    return node;
}

}  // namespace

limit_clause read_limit(const json_object& select, literal_places& places) {
    using kind = limit_clause::kind;
    const auto* count = field(select, "limitCount");
    if (count == nullptr) return {};
    const auto node = without_casts(as_tagged(*count));
    if (node.tag == "ParamRef") {
        const auto number = number_field(*node.body, "number");
        if (number > 0 && number <= 65535) {
            return {kind::parameter, static_cast<std::uint32_t>(number)};
        }
    }
    if (node.tag != "A_Const") return {kind::other};
    if (flag_field(*node.body, "isnull")) return {kind::none};
    // The place is that of a minus sign, if there is one; -1 is a number that is not in the text.
    const auto place = number_field(*node.body, "location");
    const bool numeric =
        node.body->contains("ival") || node.body->contains("fval") || node.body->contains("sval");
    if (place < 0 || !numeric) return {kind::other};
    const auto ordinal = places.ordinal_at(static_cast<std::size_t>(place));
    return ordinal ? limit_clause{kind::literal, *ordinal} : limit_clause{kind::other};
}

std::uint32_t listed_rows(const json_object& insert) noexcept {
    const auto* source = field(insert, "selectStmt");
    if (source == nullptr) return 1;  // DEFAULT VALUES
    const auto select = as_tagged(*source);
    if (select.tag != "SelectStmt") return 0;
    return static_cast<std::uint32_t>(array_field(*select.body, "valuesLists").size());
}

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
    const auto& targets = array_field(select, "targetList");
    std::size_t unlocks = 0;
    for (const auto& item : targets) {
        const auto target = as_tagged(item);
        const auto* value = target.body == nullptr ? nullptr : field(*target.body, "val");
        const auto call = value == nullptr ? tagged{} : as_tagged(*value);
        if (call.tag == "FuncCall" && is_set_config(*call.body) && set_config(*call.body)) {
            settled_.push_back(call.body);
        }
        if (call.tag == "FuncCall" && is_unlock_all(*call.body)) ++unlocks;
    }
    out_.about_session = !targets.empty() && settled_.size() + unlocks == targets.size();
}

}  // namespace pgsidecar::policy
