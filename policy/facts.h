// What a SQL text says, before any catalog is asked: the output of analyze(). Plain values, shared
// as immutable after construction (the memo hands out shared_ptr<const sql_facts>), safe to read
// from any thread. Names are as PostgreSQL would fold them (lower case unless quoted); an empty
// schema means "through the session's search_path".
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pgsidecar::policy {

enum class statement_kind : std::uint8_t {
    empty,
    select,  // SELECT, VALUES, TABLE, WITH ... SELECT
    insert,
    update,
    delete_,
    merge,
    copy_from,
    copy_to,
    truncate,
    explain,          // inner = the explained statement, plain EXPLAIN
    explain_analyze,  // inner = the statement that really runs
    begin,
    commit,
    rollback,
    savepoint,
    release,
    rollback_to,
    prepare_transaction,
    commit_prepared,
    rollback_prepared,
    set,    // settings has the change; also SET TRANSACTION (then settings is empty)
    reset,  // settings has the change
    show,
    discard_all,
    discard_temp,
    discard_other,   // PLANS, SEQUENCES
    prepare,         // name, inner
    execute,         // name
    deallocate,      // name; empty = ALL
    declare_cursor,  // name, inner, with_hold
    fetch,           // FETCH and MOVE
    close_cursor,    // name; empty = ALL
    listen,
    unlisten,
    notify,
    lock,
    call,
    do_block,
    refresh,          // REFRESH MATERIALIZED VIEW
    create_database,  // name = new database, template_name = its template ("" = template1)
    drop_database,    // name
    alter_database,   // name; RENAME, SET TABLESPACE, ... (also ALTER DATABASE ... SET)
    role,             // CREATE, ALTER, DROP ROLE
    privilege,        // GRANT, REVOKE, REASSIGN, DROP OWNED, DEFAULT PRIVILEGES
    alter_system,
    maintenance,  // VACUUM, ANALYZE, CLUSTER, REINDEX, CHECKPOINT
    ddl,          // every other CREATE/ALTER/DROP, COMMENT, SECURITY LABEL, CREATE TABLE AS
    other,        // anything not named here: treated as able to do anything
};
inline constexpr auto statement_kinds = static_cast<std::size_t>(statement_kind::other) + 1;
// Its name above: "select", "delete", "copy_from".
[[nodiscard]] std::string_view to_string(statement_kind kind) noexcept;

// BEGIN, COMMIT, ROLLBACK, savepoints.
[[nodiscard]] constexpr bool controls_transaction(statement_kind kind) noexcept {
    switch (kind) {
        case statement_kind::begin:
        case statement_kind::commit:
        case statement_kind::rollback:
        case statement_kind::savepoint:
        case statement_kind::release:
        case statement_kind::rollback_to:
        case statement_kind::prepare_transaction:
            return true;
        default:
            return false;
    }
}

struct qualified_name {
    std::string schema;
    std::string name;
    auto operator<=>(const qualified_name&) const = default;
};

struct function_call {
    qualified_name name;
    int arguments = 0;
    auto operator<=>(const function_call&) const = default;
};

// SET x = v, SET LOCAL, RESET, RESET ALL, SET ROLE, SET SESSION AUTHORIZATION, SET TIME ZONE,
// SET NAMES, SET SESSION CHARACTERISTICS (as default_transaction_*), set_config('x','v',local).
struct setting_change {
    std::string name;  // lower case; "role" and "session_authorization" included
    std::optional<std::string>
        value;           // canonical text as current_setting() takes it; nullopt = RESET/DEFAULT
    bool local = false;  // until the end of the transaction
    bool all = false;    // RESET ALL; name is empty
};

// SELECT set_config('x', $1, local) by itself: the value is what is bound to the parameter.
struct bound_setting {
    std::string name;  // lower case
    int parameter = 0;
    bool local = false;
};

// What a SELECT's LIMIT or FETCH FIRST says. A literal's value is no fact (texts that differ in
// their literals alone share facts): literal_number() reads it from the very text that is sent.
struct limit_clause {
    enum class kind : std::uint8_t {
        none,       // no LIMIT, LIMIT ALL, LIMIT NULL
        literal,    // number = its place among the number and string literals of the whole text
        parameter,  // number = n of $n, whatever integer type or numeric it is cast to
        other,
    };
    kind is = kind::none;
    std::uint32_t number = 0;
    bool operator==(const limit_clause&) const = default;
};

struct statement_facts {
    statement_kind kind = statement_kind::other;
    std::vector<qualified_name>
        reads;  // relations named anywhere but as a write's target; CTE names removed
    std::vector<qualified_name> writes;  // targets: INSERT/UPDATE/DELETE/MERGE (in CTEs too), COPY
                                         // FROM, TRUNCATE, LOCK excluded
    std::vector<function_call> functions;       // every FuncCall, unsorted duplicates removed
    std::vector<qualified_name> operators;      // operator names used (schema when given)
    std::vector<qualified_name> cast_types;     // types named in casts
    std::vector<std::string> current_settings;  // literal arguments of current_setting()
    std::vector<std::string>
        datetime_cast_columns;             // unqualified column names cast to a date/time type
    std::vector<std::string> field_names;  // the last part of x.name and (x).name: a column, or a
                                           // function of that name called on the row x
    std::vector<setting_change> settings;
    std::vector<bound_setting> bound_settings;
    std::string name;           // see statement_kind
    std::string template_name;  // create_database
    std::shared_ptr<const statement_facts> inner;
    int parameter_count = 0;  // highest $n
    // Of a select itself, or of a whole UNION; not of what is inside it. WITH TIES gives more rows.
    limit_clause page_limit;
    // How many rows an INSERT ... VALUES lists; 1 with DEFAULT VALUES, 0 = unknown. It adds no more
    // (with ON CONFLICT fewer), but for one row with a call of a function that returns a set.
    std::uint32_t values_rows = 0;

    bool locks_rows = false;     // FOR UPDATE/SHARE/...
    bool writes_into = false;    // SELECT INTO, CREATE TABLE AS
    bool returning = false;      // INSERT/UPDATE/DELETE/MERGE ... RETURNING, not one inside WITH
    bool modifying_cte = false;  // INSERT/UPDATE/DELETE/MERGE inside WITH
    bool tablesample = false;
    bool clock_literal = false;   // a literal mentions_clock_word()
    bool clock_function = false;  // CURRENT_DATE, CURRENT_TIMESTAMP, LOCALTIME ...
    bool system_column = false;   // ctid, xmax, cmin, cmax (xmin and tableoid are harmless)
    bool opaque_setting = false;  // set_config() or current_setting() with a non-literal argument,
                                  // or set_config() that may not run exactly once
    bool bound_settings_suffice =
        false;  // opaque_setting, but all is known once the values of bound_settings are
    // SELECT of nothing but set_config() and pg_advisory_unlock_all(): what SET and a pool's reset
    // do.
    bool about_session = false;
    bool unproven_datetime_cast = false;  // cast to a date/time type of something not literal,
                                          // parameter, column or known call
    bool temporary_object = false;        // creates or names something in pg_temp
    bool with_hold = false;
    bool concurrently = false;  // DDL that cannot run in a transaction block
};

struct sql_facts {
    std::vector<statement_facts> statements;
    bool parsed = false;    // false: libpg_query refused the text; treat as able to do anything
    bool too_long = false;  // beyond the limit; not looked at
    std::uint64_t fingerprint = 0;  // pg_query_fingerprint
    std::string
        normalized;  // literals replaced by $n, comments dropped; the only form a log may show
    // True: another text that differs from this one in its literals alone may have other facts.
    // False: it has the same, unless one of its literals mentions_clock_word(). See shape_of().
    bool literals_matter = true;
};

}  // namespace pgsidecar::policy
