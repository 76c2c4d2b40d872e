// Joins policy and cache: SQL text -> facts -> plan, remembered. One decider belongs to one worker
// and is used by its thread alone. Plans hang off their text and hold for one scope: the catalog,
// the search path, the role. Both memories are bounded by what they are estimated to take; a text
// lives as long as somebody (a prepared statement, a reply that is owed) holds it.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cache/versions.h"
#include "policy/facts.h"
#include "policy/plan_read.h"
#include "policy/plan_write.h"
#include "policy/rules.h"
#include "proxy/core/databases.h"
#include "proxy/core/memo.h"

namespace pgsidecar::core {

// A scope in which names mean the same: equal ids mean equal text. Interned by the worker.
struct scope_text {
    std::string search_path;
    std::string current_role;
    std::shared_ptr<const policy::catalog> catalog;         // usable, or null
    std::shared_ptr<const policy::catalog> latest_catalog;  // for writes
    bool temporary_objects = false;
    bool suspended = false;  // for another process's sake there is no usable catalog
    // Why nothing may be cached without a usable one.
    [[nodiscard]] policy::reason lack() const noexcept {
        if (suspended) return policy::reason::handover;
        return latest_catalog ? policy::reason::stale_catalog : policy::reason::no_catalog;
    }
};

// A number of what is defined in the database, as far as that is known.
[[nodiscard]] std::uint64_t definitions_in(const database& where, const scope_text& scope);

// What a role is given at log-in, by one catalog.
struct login_defaults {
    std::string of_login;   // canonical, of the role and the database
    std::string of_server;  // canonical, of its configuration
    std::string search_path, role, isolation;
};

struct planned_read {
    policy::reason why = policy::reason::not_a_select;
    std::vector<const cache::table_state*> tables{};  // with the database's and the cluster's
    std::vector<std::string> settings{};              // what it asks current_setting() for
    std::chrono::milliseconds ttl{};
    std::chrono::milliseconds stale_while_revalidate{};
    std::chrono::milliseconds stale_if_error{};
    int rule = -1;
    const cache::table_state* rule_state = nullptr;  // what INVALIDATE RULE moves
    policy::unlimited_select unlimited = policy::unlimited_select::allow;
    policy::rule_mode mode = policy::rule_mode::on;
    unsigned rollout_percent = 100;
};

struct planned_write {
    bool reads_only = true;
    bool schema_changed = false;
    bool whole_cluster = false;
    bool taints_session = false;
    bool creates_temporary = false;
    bool locks_session = false;
    bool seeds_session = false;
    bool reads_own_sequences = false;
    bool alters_defaults = false;  // what a later log-in is given: ALTER ROLE, DATABASE, SYSTEM
    bool awaits_values = false;    // taints only because set_config() takes a value still unbound
    std::vector<cache::table_state*> tables{};
    std::vector<policy::setting_change> settings{};
};

struct plan {
    // Weak: a plan that nobody asks for again must not keep the catalog of its time.
    std::weak_ptr<const scope_text> scope;
    [[nodiscard]] bool is_of(const std::shared_ptr<const scope_text>& s) const noexcept {
        return !scope.owner_before(s) && !s.owner_before(scope);
    }
    std::optional<std::uint64_t> generation;  // of the catalog that writes were planned by, if any
    planned_read read;
    std::vector<planned_write> writes;  // one for each statement of the text
    // For each statement that is a PREPARE: what its EXECUTE will do. Empty when there is none.
    std::vector<planned_write> prepared;
    // One SELECT that leaves nothing behind, in its session or elsewhere.
    bool inert = false;
    // For each statement of the text, or for the text that was not read: measurement's type.
    std::vector<std::shared_ptr<const std::string>> types;
    [[nodiscard]] const std::shared_ptr<const std::string>& type_of(std::size_t i) const {
        return types[i < types.size() ? i : types.size() - 1];
    }
};

// How the bytes of a text are to be taken (dialect.h).
enum class reading : std::uint8_t {
    plain,          // as the analysis takes them
    names_unknown,  // likewise, but names outside ASCII are not those of the catalog
    none            // the server may see something else entirely
};

// Shared by texts that differ in literals alone, if their facts do not.
struct analysis {
    std::string shape;  // empty: shared with no other text
    policy::sql_facts facts;
    policy::reason why_unread = policy::reason::too_long;    // with facts.too_long
    mutable std::vector<std::shared_ptr<const plan>> plans;  // newest last; the decider's to change
};

struct statement_text {
    std::string sql;
    std::shared_ptr<const analysis> known;
    [[nodiscard]] const policy::sql_facts& facts() const noexcept { return known->facts; }
};

struct prepared;

struct decider_limits {
    std::size_t max_sql_length = 1U << 20;  // bytes; longer texts are not looked at
    std::size_t memory = 64U << 20;         // bytes for texts, their facts and plans
};

class decider {
  public:
    decider(std::shared_ptr<const policy::cache_rules> rules, decider_limits limits);

    // Other rules from now on. Plans made before stay right for scopes asked for before: ask again.
    void adopt(std::shared_ptr<const policy::cache_rules> rules, decider_limits limits);

    [[nodiscard]] std::shared_ptr<const statement_text> text(std::string_view sql,
                                                             reading how = reading::plain);
    // Stands for a text that is too long to be looked at.
    [[nodiscard]] const std::shared_ptr<const statement_text>& unread() const { return unread_; }
    [[nodiscard]] std::size_t max_sql_length() const noexcept { return limits_.max_sql_length; }
    [[nodiscard]] std::shared_ptr<const plan> plan_for(const statement_text& text, database& where,
                                                       const std::shared_ptr<const scope_text>& s);
    // Equal arguments give the same pointer for as long as the database's catalog stands.
    // `instead`: the catalog to go by while there is no usable one.
    [[nodiscard]] std::shared_ptr<const scope_text> scope(
        database& where, std::string_view search_path, std::string_view role, bool temporary,
        const std::shared_ptr<const policy::catalog>& instead = nullptr);
    // Those of catalogs that have been replaced, which nobody may ask for again.
    void forget_old_scopes();
    [[nodiscard]] std::shared_ptr<const login_defaults> defaults_of(
        const std::string& user, const std::shared_ptr<const policy::catalog>& catalog);
    // The same text gives the same pointer while anybody holds it.
    [[nodiscard]] std::shared_ptr<const std::string> intern(std::string text);
    using values = std::map<std::string, std::string, std::less<>>;
    [[nodiscard]] std::shared_ptr<const values> intern_values(values from);
    // What a Parse makes now: equal texts with equal types are one, while anybody holds it and what
    // is defined stays as it is. `literals`: interned.
    [[nodiscard]] std::shared_ptr<const prepared> definition(
        const std::shared_ptr<const statement_text>& text, std::string_view types, database& where,
        const std::shared_ptr<const scope_text>& s,
        const std::shared_ptr<const std::string>& literals);

  private:
    [[nodiscard]] std::shared_ptr<const analysis> analyze(std::string_view sql);
    [[nodiscard]] std::shared_ptr<const analysis> analyze_nameless(std::string_view sql) const;
    [[nodiscard]] planned_read read_of(const statement_text&, database&, const scope_text&) const;

    static std::string_view sql_of(const statement_text& text) { return text.sql; }
    static std::string_view shape_of(const analysis& known) { return known.shape; }
    std::shared_ptr<const policy::cache_rules> rules_;
    decider_limits limits_;
    std::shared_ptr<const statement_text> unread_, doubtful_;
    memo<statement_text, sql_of> texts_;
    memo<analysis, shape_of> shapes_;
    std::unordered_map<std::string, std::weak_ptr<const std::string>> interned_;
    std::size_t sweep_at_ = 1024;
    std::map<values, std::weak_ptr<const values>> interned_values_;
    std::size_t sweep_values_at_ = 1024;
    std::unordered_multimap<const statement_text*, std::weak_ptr<const prepared>> definitions_;
    std::size_t sweep_definitions_at_ = 1024;
    struct known_scope {
        const database* where;
        std::uint64_t epoch;
        bool instead;
        std::shared_ptr<const scope_text> scope;
    };
    std::vector<known_scope> scopes_;
    struct known_defaults {
        std::weak_ptr<const policy::catalog> catalog;
        std::string user;
        std::shared_ptr<const login_defaults> defaults;
    };
    std::vector<known_defaults> defaults_;
};

}  // namespace pgsidecar::core
