// One database's system catalogs as a value: what exists, what a view, a policy, a trigger or a
// function hides, and which defaults a log-in brings. The caller owns the connection: it runs every
// text of catalog_queries() in one REPEATABLE READ READ ONLY transaction with search_path = '' set
// by SET LOCAL (not as a start-up option: that would hide the server's own value), feeds each row
// as text to a catalog_builder, and finish() yields the immutable snapshot, shared by all threads.
// Only what every role may read is asked for. PostgreSQL 12 to 18.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "policy/facts.h"

namespace pgsidecar::policy {

using oid = std::uint32_t;
inline constexpr oid first_user_oid = 16384;  // FirstNormalObjectId: below are pg_catalog's own

struct function_effects;  // policy/function_body.h

struct catalog_query {
    std::string_view name;  // for messages
    std::string_view sql;
    std::size_t columns;
};
[[nodiscard]] std::span<const catalog_query> catalog_queries() noexcept;

enum class volatility : std::uint8_t { immutable, stable, volatile_ };  // ascending

// A table whose rows change when the referenced one's are deleted or updated.
struct cascade {
    oid referencing = 0;
    char on_delete = 'a';  // pg_constraint.confdeltype: a, r do nothing; c, n, d write
    char on_update = 'a';
};

struct trigger {
    oid function = 0;
    int type = 0;                     // pg_trigger.tgtype
    std::vector<oid> when_functions;  // user functions in its WHEN
};

struct policy_info {
    char command = '*';                            // pg_policy.polcmd
    std::shared_ptr<const statement_facts> facts;  // of its expressions
};

struct relation {
    oid id = 0;
    std::string schema;
    std::string name;
    char kind = 'r';        // pg_class.relkind
    bool unlogged = false;  // its changes are in no WAL stream
    bool row_security = false;
    bool has_rules = false;      // rules other than a view's own SELECT
    bool volatile_type = false;  // a column's type has an input function that is not immutable
    bool unreadable = false;     // the parser refused the text of its view or of a policy
    std::vector<oid> parents;    // partitions and inheritance, direct
    std::vector<oid> children;
    std::vector<cascade> cascades;
    std::vector<trigger> triggers;
    std::vector<policy_info> policies;
    std::shared_ptr<const statement_facts> view;  // what a view selects; names are qualified
    std::vector<oid> write_functions;  // user functions in defaults, constraints, policies
};

struct function_info {
    oid id = 0;
    std::string schema;
    std::string name;
    volatility kind = volatility::volatile_;
    bool harmless = false;  // compiled code known to write no table and to change no setting
    bool definer = false;   // SECURITY DEFINER: "$user" is the owner
    bool aggregate = false;
    bool takes_row = false;  // "row.name" may call it, without parentheses
    std::string owner;
    std::optional<std::string> search_path;           // SET search_path in its definition
    std::vector<oid> parts;                           // an aggregate's own user functions
    std::shared_ptr<const function_effects> body;     // null: its language or text is opaque
    std::shared_ptr<const statement_facts> defaults;  // of its arguments; null: there are none
};

struct operator_info {
    std::string schema;
    volatility kind = volatility::volatile_;
    oid function = 0;
};

// A type that a user or an extension made, or a built-in one that a user cast leads to.
struct type_info {
    std::string schema;
    char type = 'b';                          // pg_type.typtype
    volatility kind = volatility::immutable;  // the worst of its input function and the casts to it
    std::vector<oid> functions;               // user functions among those that are not immutable
};

struct schema_info {
    std::string name;
    bool usage_for_all = false;
    std::vector<std::string> usage;  // roles that have USAGE by name, its owner too unless revoked
};

class catalog {
  public:
    // What `user` gets at log-in for a setting: role in database > role > database > server.
    // Empty when unknown; an empty search_path is given as `""`. Lives as long as the catalog.
    [[nodiscard]] std::string_view login_default(std::string_view user,
                                                 std::string_view setting) const noexcept;
    // Canonical texts, parts of the cache key. The defaults of roles and databases that apply to
    // this user: a session has those that held when it logged in.
    [[nodiscard]] std::string login_defaults_text(std::string_view user) const;
    // The server's configuration: a session follows it when it is reloaded.
    [[nodiscard]] const std::string& server_settings_text() const noexcept {
        return server_settings_text_;
    }

    // The caller's own number for this snapshot, given to finish().
    [[nodiscard]] std::uint64_t generation() const noexcept { return generation_; }
    // A hash of every row that was fed, privileges and role attributes included: when two snapshots
    // differ here, something that decides or shapes an answer changed, seen or unseen by the proxy.
    [[nodiscard]] std::uint64_t fingerprint() const noexcept { return fingerprint_; }
    [[nodiscard]] int server_version() const noexcept { return server_version_; }  // e.g. 150004

    [[nodiscard]] std::span<const relation> relations() const noexcept { return relations_; }
    [[nodiscard]] const relation* find(oid id) const noexcept;
    [[nodiscard]] const relation* find(std::string_view schema,
                                       std::string_view name) const noexcept;
    [[nodiscard]] const schema_info* find_schema(std::string_view name) const noexcept;
    // True when the role surely may look into the schema; a right inherited from another role is
    // not followed, so false means "perhaps not". PostgreSQL skips what the role may not use.
    [[nodiscard]] bool surely_usable(const schema_info& schema,
                                     std::string_view role) const noexcept;

    // Whether the publication tells of every change of the table's rows. Of a partitioned table it
    // tells partition by partition, also when only the parent is named in it.
    [[nodiscard]] bool publishes(std::string_view publication, const relation& table) const;

    // Whether triggers of `pgsidecar migrate up --notify` tell of every statement that may change
    // its rows: its own, and those of all above it, since a statement fires those of what it names.
    // Of a materialised view the event trigger tells.
    [[nodiscard]] bool is_watched(const relation& table) const;

    // pg_catalog's functions are known by name only: the most volatile of that name, or nothing.
    [[nodiscard]] std::optional<volatility> builtin_function(std::string_view name) const noexcept;
    [[nodiscard]] std::optional<volatility> builtin_operator(std::string_view name) const noexcept;
    [[nodiscard]] const function_info* find_function(oid id) const noexcept;
    // Every schema's functions, operators, types of that name, pg_catalog excluded.
    [[nodiscard]] std::span<const function_info* const> functions_named(
        std::string_view name) const noexcept;
    [[nodiscard]] std::span<const operator_info> operators_named(
        std::string_view name) const noexcept;
    [[nodiscard]] std::span<const type_info> types_named(std::string_view name) const noexcept;

    // True when, among these relations, at least one has a date/time column of that name and none
    // has a column of that name and another type: then a cast of it to a date reads no clock.
    [[nodiscard]] bool is_datetime_column(std::string_view name,
                                          std::span<const oid> relations) const noexcept;
    // A user cast that PostgreSQL applies unasked runs a function that is not immutable.
    [[nodiscard]] bool implicit_cast_hazard() const noexcept { return implicit_cast_hazard_; }
    [[nodiscard]] std::span<const oid> implicit_cast_functions() const noexcept {
        return implicit_cast_functions_;
    }

  private:
    friend class catalog_builder;
    struct text_hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view s) const noexcept {
            return std::hash<std::string_view>{}(s);
        }
    };
    template <typename T>
    using by_name = std::unordered_map<std::string, T, text_hash, std::equal_to<>>;
    struct column_use {
        std::vector<oid> datetime, other;  // relations, ascending
    };
    struct default_value {
        std::string role, name, value;  // role "" = every role
        bool this_database = false;
    };

    std::vector<relation> relations_;
    std::unordered_map<oid, std::size_t> relation_by_id_;
    by_name<by_name<std::size_t>> relation_by_name_;  // schema, then name
    by_name<schema_info> schemas_;
    by_name<bool> superusers_;
    by_name<volatility> builtin_functions_, builtin_operators_;
    std::unordered_map<oid, std::unique_ptr<function_info>> functions_;
    by_name<std::vector<const function_info*>> functions_by_name_;
    by_name<std::vector<operator_info>> operators_;
    by_name<std::vector<type_info>> types_;
    by_name<column_use> columns_;
    by_name<std::vector<oid>> publications_;  // 0: all tables; the rest ascending
    std::vector<default_value> defaults_;
    std::map<std::string, std::string, std::less<>> server_settings_;
    std::string server_settings_text_;
    std::uint64_t generation_ = 0, fingerprint_ = 0;
    int server_version_ = 0;
    bool implicit_cast_hazard_ = false;
    std::vector<oid> implicit_cast_functions_;
};

// Feed the rows of each query in the order of catalog_queries(); views are copied. A malformed row
// (wrong width, a null where none can be) makes finish() return null.
class catalog_builder {
  public:
    catalog_builder();
    ~catalog_builder();
    catalog_builder(catalog_builder&&) noexcept;
    catalog_builder& operator=(catalog_builder&&) noexcept;

    void row(std::size_t query_index, std::span<const std::optional<std::string_view>> columns);
    [[nodiscard]] std::shared_ptr<const catalog> finish(std::uint64_t generation = 0);
    // The name of the query whose rows made, or would make, finish() return null; else empty.
    [[nodiscard]] std::string_view problem() const noexcept { return problem_; }

  private:
    struct state;
    std::unique_ptr<state> state_;
    std::string_view problem_;
};

}  // namespace pgsidecar::policy
