// SET, RESET and SHOW: which setting gets which value, in the words in which the server keeps it.
#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "policy/analyze_scan.h"
#include "policy/analyze_statement.h"
#include "policy/analyze_words.h"

namespace pgsidecar::policy {
namespace {

// Keywords that are quoted as identifiers: all but the unreserved ones of PostgreSQL 15, and what
// 16 and 17 have added.
constexpr std::string_view quoted_keywords[] = {"all",
                                                "analyse",
                                                "analyze",
                                                "and",
                                                "any",
                                                "array",
                                                "as",
                                                "asc",
                                                "asymmetric",
                                                "authorization",
                                                "between",
                                                "bigint",
                                                "binary",
                                                "bit",
                                                "boolean",
                                                "both",
                                                "case",
                                                "cast",
                                                "char",
                                                "character",
                                                "check",
                                                "coalesce",
                                                "collate",
                                                "collation",
                                                "column",
                                                "concurrently",
                                                "constraint",
                                                "create",
                                                "cross",
                                                "current_catalog",
                                                "current_date",
                                                "current_role",
                                                "current_schema",
                                                "current_time",
                                                "current_timestamp",
                                                "current_user",
                                                "dec",
                                                "decimal",
                                                "default",
                                                "deferrable",
                                                "desc",
                                                "distinct",
                                                "do",
                                                "else",
                                                "end",
                                                "except",
                                                "exists",
                                                "extract",
                                                "false",
                                                "fetch",
                                                "float",
                                                "for",
                                                "foreign",
                                                "freeze",
                                                "from",
                                                "full",
                                                "grant",
                                                "greatest",
                                                "group",
                                                "grouping",
                                                "having",
                                                "ilike",
                                                "in",
                                                "initially",
                                                "inner",
                                                "inout",
                                                "int",
                                                "integer",
                                                "intersect",
                                                "interval",
                                                "into",
                                                "is",
                                                "isnull",
                                                "join",
                                                "json",
                                                "json_array",
                                                "json_arrayagg",
                                                "json_exists",
                                                "json_object",
                                                "json_objectagg",
                                                "json_query",
                                                "json_scalar",
                                                "json_serialize",
                                                "json_table",
                                                "json_value",
                                                "lateral",
                                                "leading",
                                                "least",
                                                "left",
                                                "like",
                                                "limit",
                                                "localtime",
                                                "localtimestamp",
                                                "merge_action",
                                                "national",
                                                "natural",
                                                "nchar",
                                                "none",
                                                "normalize",
                                                "not",
                                                "notnull",
                                                "null",
                                                "nullif",
                                                "numeric",
                                                "offset",
                                                "on",
                                                "only",
                                                "or",
                                                "order",
                                                "out",
                                                "outer",
                                                "overlaps",
                                                "overlay",
                                                "placing",
                                                "position",
                                                "precision",
                                                "primary",
                                                "real",
                                                "references",
                                                "returning",
                                                "right",
                                                "row",
                                                "select",
                                                "session_user",
                                                "setof",
                                                "similar",
                                                "smallint",
                                                "some",
                                                "substring",
                                                "symmetric",
                                                "system_user",
                                                "table",
                                                "tablesample",
                                                "then",
                                                "time",
                                                "timestamp",
                                                "to",
                                                "trailing",
                                                "treat",
                                                "trim",
                                                "true",
                                                "union",
                                                "unique",
                                                "user",
                                                "using",
                                                "values",
                                                "varchar",
                                                "variadic",
                                                "verbose",
                                                "when",
                                                "where",
                                                "window",
                                                "with",
                                                "xmlattributes",
                                                "xmlconcat",
                                                "xmlelement",
                                                "xmlexists",
                                                "xmlforest",
                                                "xmlnamespaces",
                                                "xmlparse",
                                                "xmlpi",
                                                "xmlroot",
                                                "xmlserialize",
                                                "xmltable"};

// Lists whose elements the server keeps as quoted identifiers (GUC_LIST_QUOTE).
constexpr std::array quoted_lists{"local_preload_libraries", "search_path",
                                  "session_preload_libraries", "temp_tablespaces"};

// What cannot be put into the server's words: unequal to any real value, equal to itself.
std::string as_written(std::string_view text) { return std::string{"\x01"}.append(text); }

// From the given place to the end of the statement, without what is blank.
std::string_view rest_of_statement(std::string_view sql, std::size_t from) {
    const auto rest = sql.substr(std::min(from, sql.size()));
    sql_scanner scan{rest};
    std::size_t end = 0;
    for (token t = scan.next(); t.kind != token_kind::end && t.text != ";"; t = scan.next()) {
        end = static_cast<std::size_t>(t.text.data() + t.text.size() - rest.data());
    }
    return rest.substr(0, end);
}

std::size_t place_of(const json_object& node) {
    return static_cast<std::size_t>(std::max<std::int64_t>(number_field(node, "location"), 0));
}

// The tree of PostgreSQL 15 leaves negative integers out like zeros, so numbers come from the text.
std::string number_at(std::string_view sql, std::size_t place) {
    sql_scanner scan{sql.substr(std::min(place, sql.size()))};
    token t = scan.next();
    std::string out;
    if (t.kind == token_kind::operator_ && (t.text == "-" || t.text == "+")) {
        if (t.text == "-") out = "-";
        t = scan.next();
    }
    if (t.kind != token_kind::number) return as_written(rest_of_statement(sql, place));
    return out.append(t.text);
}

std::string value_of(const json_value& argument, std::string_view sql, bool quote) {
    const auto node = as_tagged(argument);
    if (node.tag == "A_Const") {
        if (const auto* text = object_field(*node.body, "sval")) {
            const auto value = text_field(*text, "sval");
            return quote ? quote_identifier(value) : std::string{value};
        }
        return number_at(sql, place_of(*node.body));
    }
    // TIME ZONE INTERVAL '...': from the word INTERVAL on.
    const auto* type = node.body == nullptr ? nullptr : object_field(*node.body, "typeName");
    return as_written(rest_of_statement(sql, type == nullptr ? 0 : place_of(*type)));
}

// SESSION CHARACTERISTICS AS TRANSACTION sets the defaults of later transactions; TRANSACTION sets
// this one's, which end with it.
void session_characteristics(const json_object& body, statement_facts& out) {
    for (const auto& item : array_field(body, "args")) {
        const auto option = as_tagged(item);
        const auto* argument = option.body == nullptr ? nullptr : field(*option.body, "arg");
        const auto constant = argument == nullptr ? tagged{} : as_tagged(*argument);
        if (constant.tag != "A_Const") continue;
        setting_change change;
        change.name = "default_" + std::string{text_field(*option.body, "defname")};
        if (const auto* text = object_field(*constant.body, "sval")) {
            change.value = text_field(*text, "sval");
        } else {
            const auto* number = object_field(*constant.body, "ival");
            change.value = number != nullptr && number_field(*number, "ival") != 0 ? "on" : "off";
        }
        out.settings.push_back(std::move(change));
    }
}

}  // namespace

std::string quote_identifier(std::string_view name) {
    const auto plain = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
    };
    const bool safe =
        !name.empty() && !(name[0] >= '0' && name[0] <= '9') &&
        std::all_of(name.begin(), name.end(), plain) &&
        !std::binary_search(std::begin(quoted_keywords), std::end(quoted_keywords), name);
    if (safe) return std::string{name};
    std::string out{'"'};
    for (const char c : name) {
        if (c == '"') out += c;
        out += c;
    }
    return out += '"';
}

void read_variable_set(const json_object& body, std::string_view sql, statement_facts& out) {
    const auto kind = text_field(body, "kind");
    const bool reset = kind == "VAR_RESET" || kind == "VAR_RESET_ALL";
    out.kind = reset ? statement_kind::reset : statement_kind::set;
    setting_change change;
    change.name = lower_case(text_field(body, "name"));
    change.local = flag_field(body, "is_local");
    if (kind == "VAR_SET_MULTI") {
        if (change.name == "session characteristics") session_characteristics(body, out);
        return;
    }
    if (kind == "VAR_RESET_ALL") {
        change.all = true;
        change.name.clear();
    } else if (kind == "VAR_SET_CURRENT") {
        change.value = as_written("current");
    } else if (kind == "VAR_SET_VALUE") {
        const bool quote = is_one_of(change.name, quoted_lists);
        const auto& arguments = array_field(body, "args");
        change.value.emplace();
        for (std::size_t i = 0; i < arguments.size(); ++i) {
            if (i > 0) *change.value += ", ";
            *change.value += value_of(arguments[i], sql, quote);
        }
    }
    out.name = change.name;
    out.settings.push_back(std::move(change));
}

}  // namespace pgsidecar::policy
