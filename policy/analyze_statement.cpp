// Which kind of statement it is, and what is special about each kind.
#include "policy/analyze_statement.h"

#include <algorithm>
#include <array>
#include <utility>

#include "policy/analyze_walk.h"
#include "policy/analyze_words.h"

namespace pgsidecar::policy {
namespace {

using kind = statement_kind;

struct plain_kind {
    std::string_view tag;
    kind is;
    std::string_view name_field;
};

// Statements whose kind and name are all there is to say beyond the generic walk.
constexpr std::array plain_kinds{
    plain_kind{"AlterDatabaseRefreshCollStmt", kind::alter_database, "dbname"},
    plain_kind{"AlterDatabaseSetStmt", kind::alter_database, "dbname"},
    plain_kind{"AlterDatabaseStmt", kind::alter_database, "dbname"},
    plain_kind{"AlterDefaultPrivilegesStmt", kind::privilege, ""},
    plain_kind{"AlterRoleSetStmt", kind::role, ""},
    plain_kind{"AlterRoleStmt", kind::role, ""},
    plain_kind{"AlterSystemStmt", kind::alter_system, ""},
    plain_kind{"CallStmt", kind::call, ""},
    plain_kind{"CheckPointStmt", kind::maintenance, ""},
    plain_kind{"ClosePortalStmt", kind::close_cursor, "portalname"},
    plain_kind{"ClusterStmt", kind::maintenance, ""},
    plain_kind{"ConstraintsSetStmt", kind::set, ""},
    plain_kind{"CreateRoleStmt", kind::role, ""},
    plain_kind{"DeallocateStmt", kind::deallocate, "name"},
    plain_kind{"DoStmt", kind::do_block, ""},
    plain_kind{"DropOwnedStmt", kind::privilege, ""},
    plain_kind{"DropRoleStmt", kind::role, ""},
    plain_kind{"DropdbStmt", kind::drop_database, "dbname"},
    plain_kind{"ExecuteStmt", kind::execute, "name"},
    plain_kind{"FetchStmt", kind::fetch, "portalname"},
    plain_kind{"GrantRoleStmt", kind::privilege, ""},
    plain_kind{"GrantStmt", kind::privilege, ""},
    plain_kind{"ListenStmt", kind::listen, "conditionname"},
    plain_kind{"LockStmt", kind::lock, ""},
    plain_kind{"NotifyStmt", kind::notify, "conditionname"},
    plain_kind{"ReassignOwnedStmt", kind::privilege, ""},
    plain_kind{"ReindexStmt", kind::maintenance, ""},
    plain_kind{"UnlistenStmt", kind::unlisten, "conditionname"},
    plain_kind{"VacuumStmt", kind::maintenance, ""},
    plain_kind{"VariableShowStmt", kind::show, "name"},
};

constexpr std::array<std::pair<std::string_view, kind>, 10> transaction_kinds{{
    {"TRANS_STMT_BEGIN", kind::begin},
    {"TRANS_STMT_START", kind::begin},
    {"TRANS_STMT_COMMIT", kind::commit},
    {"TRANS_STMT_ROLLBACK", kind::rollback},
    {"TRANS_STMT_SAVEPOINT", kind::savepoint},
    {"TRANS_STMT_RELEASE", kind::release},
    {"TRANS_STMT_ROLLBACK_TO", kind::rollback_to},
    {"TRANS_STMT_PREPARE", kind::prepare_transaction},
    {"TRANS_STMT_COMMIT_PREPARED", kind::commit_prepared},
    {"TRANS_STMT_ROLLBACK_PREPARED", kind::rollback_prepared},
}};

// CREATE, ALTER and DROP of anything not named elsewhere, and these.
constexpr std::array other_ddl{
    "CommentStmt", "CompositeTypeStmt", "DefineStmt", "ImportForeignSchemaStmt",
    "IndexStmt",   "RenameStmt",        "RuleStmt",   "SecLabelStmt",
    "ViewStmt"};

// Outside CREATE/DROP DATABASE: what the server refuses in a transaction block.
constexpr std::array never_in_a_block{"AlterSystemStmt",      "CreateSubscriptionStmt",
                                      "CreateTableSpaceStmt", "CreatedbStmt",
                                      "DropTableSpaceStmt",   "DropdbStmt"};

bool is_ddl(std::string_view tag) noexcept {
    if (!tag.ends_with("Stmt")) return false;
    return tag.starts_with("Create") || tag.starts_with("Alter") || tag.starts_with("Drop") ||
           std::find(other_ddl.begin(), other_ddl.end(), tag) != other_ddl.end();
}

// defGetBoolean() of the server; an unknown word errs there, and counts as yes here.
bool is_on(const json_object& option) {
    const auto* argument = field(option, "arg");
    const auto node = argument == nullptr ? tagged{} : as_tagged(*argument);
    if (node.tag == "String") {
        const auto word = lower_case(text_field(*node.body, "sval"));
        return word != "false" && word != "off" && word != "0" && word != "no";
    }
    if (node.tag == "Integer") return number_field(*node.body, "ival") != 0;
    if (node.tag == "Boolean") return flag_field(*node.body, "boolval");
    return true;
}

bool has_option(const json_array& options, std::string_view name) {
    bool on = false;  // the last one counts
    for (const auto& item : options) {
        const auto option = as_tagged(item);
        if (option.tag == "DefElem" && text_field(*option.body, "defname") == name) {
            on = is_on(*option.body);
        }
    }
    return on;
}

class statement_reader {
  public:
    statement_reader(literal_places& places, statement_facts& out)
        : places_{places}, out_{out}, walker_{out} {}

    void read(std::string_view tag, const json_object& body) {
        if (!query(tag, body) && !utility(tag, body) && !plain(tag, body)) {
            out_.kind = is_ddl(tag) ? kind::ddl : kind::other;
            definition(tag, body);
        }
        const auto never = std::find(never_in_a_block.begin(), never_in_a_block.end(), tag);
        if (never != never_in_a_block.end() || flag_field(body, "concurrent") ||
            has_option(array_field(body, "params"), "concurrently") ||
            (tag == "VacuumStmt" && flag_field(body, "is_vacuumcmd"))) {
            out_.concurrently = tag != "RefreshMatViewStmt";
        }
        walker_.finish();
    }

  private:
    bool query(std::string_view tag, const json_object& body);
    bool utility(std::string_view tag, const json_object& body);
    bool plain(std::string_view tag, const json_object& body);
    void copy(const json_object& body);
    void explain(const json_object& body);
    void discard(const json_object& body);
    void transaction(const json_object& body);
    void create_database(const json_object& body);
    void definition(std::string_view tag, const json_object& body);
    void dropped(const json_object& body);
    void inner(const json_object& body);
    void write_relation(const json_object& body);

    literal_places& places_;
    statement_facts& out_;
    statement_walker walker_;
};

bool statement_reader::query(std::string_view tag, const json_object& body) {
    if (tag == "SelectStmt")
        out_.kind = kind::select;
    else if (tag == "InsertStmt")
        out_.kind = kind::insert;
    else if (tag == "UpdateStmt")
        out_.kind = kind::update;
    else if (tag == "DeleteStmt")
        out_.kind = kind::delete_;
    else if (tag == "MergeStmt")
        out_.kind = kind::merge;
    else
        return false;
    if (out_.kind == kind::select) out_.page_limit = read_limit(body, places_);
    if (out_.kind == kind::insert) out_.values_rows = listed_rows(body);
    // A list up to PostgreSQL 17, a clause from 18 on.
    out_.returning = body.contains("returningList") || body.contains("returningClause");
    walker_.query(tag, body);
    return true;
}

bool statement_reader::plain(std::string_view tag, const json_object& body) {
    const auto* found = std::find_if(plain_kinds.begin(), plain_kinds.end(),
                                     [&](const plain_kind& one) { return one.tag == tag; });
    if (found == plain_kinds.end()) return false;
    out_.kind = found->is;
    if (!found->name_field.empty()) out_.name = text_field(body, found->name_field);
    if (const auto* call = object_field(body, "funccall"); tag == "CallStmt" && call != nullptr) {
        walker_.function(*call);
    } else if (tag != "AlterRoleSetStmt" && tag != "AlterDatabaseSetStmt") {
        walker_.walk_fields(body);
    }
    return true;
}

bool statement_reader::utility(std::string_view tag, const json_object& body) {
    if (tag == "VariableSetStmt") {
        read_variable_set(body, places_.sql(), out_);
    } else if (tag == "TransactionStmt") {
        transaction(body);
    } else if (tag == "CopyStmt") {
        copy(body);
    } else if (tag == "TruncateStmt") {
        out_.kind = kind::truncate;
        for (const auto& item : array_field(body, "relations")) {
            if (const auto one = as_tagged(item); one.body != nullptr) walker_.write(*one.body);
        }
    } else if (tag == "ExplainStmt") {
        explain(body);
    } else if (tag == "DiscardStmt") {
        discard(body);
    } else if (tag == "PrepareStmt") {
        out_.kind = kind::prepare;
        out_.name = text_field(body, "name");
        inner(body);
    } else if (tag == "DeclareCursorStmt") {
        constexpr std::int64_t hold = 0x20;  // CURSOR_OPT_HOLD
        out_.kind = kind::declare_cursor;
        out_.name = text_field(body, "portalname");
        out_.with_hold = (number_field(body, "options") & hold) != 0;
        inner(body);
        if (out_.inner) out_.parameter_count = out_.inner->parameter_count;
    } else if (tag == "RefreshMatViewStmt") {
        out_.kind = kind::refresh;
        write_relation(body);
    } else if (tag == "CreatedbStmt") {
        create_database(body);
    } else {
        return false;
    }
    return true;
}

void statement_reader::write_relation(const json_object& body) {
    if (const auto* relation = object_field(body, "relation")) walker_.write(*relation);
}

void statement_reader::inner(const json_object& body) {
    const auto* statement = field(body, "query");
    if (statement == nullptr) return;
    out_.inner = std::make_shared<const statement_facts>(read_statement(*statement, places_));
}

void statement_reader::transaction(const json_object& body) {
    const auto what = text_field(body, "kind");
    for (const auto& [name, is] : transaction_kinds) {
        if (name == what) out_.kind = is;
    }
    out_.name = text_field(body, "savepoint_name");
    if (out_.name.empty()) out_.name = text_field(body, "gid");
}

void statement_reader::copy(const json_object& body) {
    const bool from = flag_field(body, "is_from");
    out_.kind = from ? kind::copy_from : kind::copy_to;
    for (const auto& member : body) {
        const auto* relation = member.value().if_object();
        if (from && member.key() == "relation" && relation != nullptr) {
            walker_.write(*relation);
        } else {
            walker_.walk(member.value());
        }
    }
}

void statement_reader::explain(const json_object& body) {
    out_.kind =
        has_option(array_field(body, "options"), "analyze") ? kind::explain_analyze : kind::explain;
    inner(body);
    if (out_.inner) out_.parameter_count = out_.inner->parameter_count;
}

void statement_reader::discard(const json_object& body) {
    const auto target = text_field(body, "target");
    out_.kind = target == "DISCARD_ALL"    ? kind::discard_all
                : target == "DISCARD_TEMP" ? kind::discard_temp
                                           : kind::discard_other;
}

void statement_reader::create_database(const json_object& body) {
    out_.kind = kind::create_database;
    out_.name = text_field(body, "dbname");
    for (const auto& item : array_field(body, "options")) {
        const auto option = as_tagged(item);
        if (option.tag != "DefElem" || text_field(*option.body, "defname") != "template") continue;
        const auto* argument = field(*option.body, "arg");
        out_.template_name = argument == nullptr ? "" : as_string(*argument).value_or("");
    }
}

// DDL: what it creates, changes or drops counts as written, what else it names as read.
void statement_reader::definition(std::string_view tag, const json_object& body) {
    const auto object = text_field(body, tag == "RenameStmt" ? "renameType" : "objectType");
    if ((tag == "RenameStmt" || tag == "AlterOwnerStmt") && object == "OBJECT_DATABASE") {
        out_.kind = kind::alter_database;
        out_.name = text_field(body, "subname");
        const auto* named = field(body, "object");
        if (named != nullptr) out_.name = as_string(*named).value_or(out_.name);
        return;
    }
    if (tag == "RenameStmt" && object == "OBJECT_ROLE") out_.kind = kind::role;
    if (tag == "DropStmt") dropped(body);
    for (const auto& member : body) {
        const auto* inner_body = member.value().if_object();
        if (inner_body != nullptr && inner_body->contains("relname")) {
            walker_.write(*inner_body);
        } else if (inner_body != nullptr && member.key() == "into") {
            walker_.into(*inner_body);
        } else if (inner_body != nullptr &&
                   (member.key() == "base" || member.key() == "base_stmt")) {
            definition("CreateStmt", *inner_body);
        } else {
            walker_.walk(member.value());
            if (member.key() == "query" && as_tagged(member.value()).tag == "ExecuteStmt")
                inner(body);
        }
    }
    for (const auto& item : array_field(body, "cmds")) {
        const auto command = as_tagged(item);
        const auto* what = command.body == nullptr ? nullptr : field(*command.body, "def");
        const auto partition = what == nullptr ? tagged{} : as_tagged(*what);
        if (partition.tag == "PartitionCmd" && flag_field(*partition.body, "concurrent")) {
            out_.concurrently = true;
        }
    }
}

void statement_reader::dropped(const json_object& body) {
    constexpr std::array relations{"OBJECT_FOREIGN_TABLE", "OBJECT_INDEX", "OBJECT_MATVIEW",
                                   "OBJECT_SEQUENCE",      "OBJECT_TABLE", "OBJECT_VIEW"};
    const auto type = text_field(body, "removeType");
    if (std::find(relations.begin(), relations.end(), type) == relations.end()) return;
    for (const auto& item : array_field(body, "objects")) {
        const auto name = as_tagged(item);
        if (name.tag == "List") walker_.write(name_of(array_field(*name.body, "items")));
    }
}

}  // namespace

statement_facts read_statement(const json_value& statement, literal_places& places) {
    statement_facts out;
    const auto node = as_tagged(statement);
    if (node.body != nullptr) statement_reader{places, out}.read(node.tag, *node.body);
    return out;
}

}  // namespace pgsidecar::policy
