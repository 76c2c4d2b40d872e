#include "proxy/core/decider.h"

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

#include "policy/analyze.h"
#include "proxy/core/prepared.h"

namespace pgsidecar::core {
namespace {

constexpr std::size_t plans_per_text = 8;
constexpr std::size_t scope_limit = 256;
// What is remembered costs beside its text, in bytes.
constexpr std::size_t cost_of_text = 256;
// With its plans, as measured with statements of 170 bytes and of some kilobytes.
constexpr std::size_t cost_of_analysis(std::string_view sql) { return 768 + 6 * sql.size(); }
// Texts are soon known again by the analysis they share, so that has the most.
constexpr std::size_t for_texts(std::size_t memory) { return memory / 4; }
constexpr std::size_t for_analyses(std::size_t memory) { return memory - for_texts(memory); }
// Stands for each byte of characters in an encoding that is not the catalogs'. In no UTF-8 text.
constexpr char unknown_byte = '\xff';

planned_write write_of(const policy::statement_facts& facts, database& where,
                       const scope_text& scope) {
    const policy::session_scope view{.search_path = scope.search_path,
                                     .current_role = scope.current_role,
                                     .temporary_objects = scope.temporary_objects};
    auto found = policy::plan_write(facts, scope.latest_catalog.get(), view);
    planned_write out{.reads_only = found.reads_only,
                      .schema_changed = found.schema_changed,
                      .whole_cluster = found.whole_cluster,
                      .taints_session = found.taints_session,
                      .creates_temporary = found.creates_temporary,
                      .locks_session = found.locks_session,
                      .seeds_session = found.seeds_session,
                      .reads_own_sequences = found.reads_own_sequences,
                      .settings = std::move(found.settings)};
    using enum policy::statement_kind;
    out.alters_defaults = facts.kind == role || facts.kind == alter_database ||
                          facts.kind == alter_system || facts.kind == other;
    // A value that was not read for what it is cannot be followed; one to be bound, by Execute
    // only.
    const auto garbled = [](const policy::setting_change& set) {
        return set.value && set.value->find(unknown_byte) != std::string::npos;
    };
    if (std::any_of(out.settings.begin(), out.settings.end(), garbled)) out.taints_session = true;
    if (!facts.bound_settings.empty()) {
        out.awaits_values = !out.taints_session && facts.bound_settings_suffice;
        out.taints_session = true;
    }
    if (found.whole_cluster)
        out.tables.push_back(&where.cluster());
    else if (found.whole_database)
        out.tables.push_back(&where.whole());
    else
        for (const auto id : found.tables) out.tables.push_back(&where.table(id));
    return out;
}

bool leaves_nothing(const planned_write& w) {
    return w.reads_only && !w.schema_changed && !w.whole_cluster && !w.taints_session &&
           !w.creates_temporary && !w.locks_session && !w.seeds_session && !w.reads_own_sequences &&
           !w.alters_defaults && w.tables.empty() && w.settings.empty();
}

}  // namespace

std::uint64_t definitions_in(const database& where, const scope_text& scope) {
    return scope.catalog ? scope.catalog->fingerprint() : where.wanted();
}

decider::decider(std::shared_ptr<const policy::cache_rules> rules, decider_limits limits)
    : rules_{std::move(rules)},
      limits_{limits},
      texts_{for_texts(limits.memory)},
      shapes_{for_analyses(limits.memory)} {
    const auto sentinel = [](policy::reason why) {
        auto known = std::make_shared<analysis>();
        known->facts.too_long = true;
        known->why_unread = why;
        return std::make_shared<const statement_text>(statement_text{{}, std::move(known)});
    };
    unread_ = sentinel(policy::reason::too_long);
    doubtful_ = sentinel(policy::reason::doubtful_text);
}

// Plans hang off their text and hold for one scope, by its address: new scopes have none yet.
void decider::adopt(std::shared_ptr<const policy::cache_rules> rules, decider_limits limits) {
    rules_ = std::move(rules);
    limits_ = limits;
    texts_.limit(for_texts(limits.memory));
    shapes_.limit(for_analyses(limits.memory));
    scopes_.clear();
}

std::shared_ptr<const statement_text> decider::text(std::string_view sql, reading how) {
    if (how == reading::none) return doubtful_;
    if (how == reading::plain)
        if (auto known = texts_.find(sql)) return known;
    if (sql.size() > limits_.max_sql_length) return unread_;
    auto made = std::make_shared<const statement_text>(statement_text{
        std::string{sql}, how == reading::plain ? analyze(sql) : analyze_nameless(sql)});
    const bool shared = !made->known->shape.empty();
    if (how == reading::plain)
        texts_.keep(made, sql.size() + (shared ? cost_of_text : cost_of_analysis(sql)));
    return made;
}

std::shared_ptr<const analysis> decider::analyze(std::string_view sql) {
    const bool may_share = !policy::mentions_clock_word(sql);
    std::string shape;
    if (may_share) {
        shape = policy::shape_of(sql);
        if (auto known = shapes_.find(shape)) return known;
    }
    auto made = std::make_shared<analysis>();
    made->facts = policy::analyze(sql, limits_.max_sql_length);
    if (!may_share || made->facts.literals_matter) return made;
    made->shape = std::move(shape);
    shapes_.keep(made, made->shape.size() + cost_of_analysis(sql));
    return made;
}

std::shared_ptr<const analysis> decider::analyze_nameless(std::string_view sql) const {
    std::string known{sql};
    std::replace_if(
        known.begin(), known.end(), [](char c) { return static_cast<unsigned char>(c) >= 0x80; },
        unknown_byte);
    auto made = std::make_shared<analysis>();
    made->facts = policy::analyze(known, limits_.max_sql_length);
    return made;
}

namespace {

// Whether writes to all of its tables that do not come through here will be heard of.
bool all_covered(const policy::read_plan& plan, const policy::catalog& catalog,
                 const database& where) {
    const auto required = where.required();
    const auto covered = [&](policy::oid id) {
        const auto* table = catalog.find(id);
        if (table == nullptr) return false;
        return required.whom == outside_coverage::by::triggers
                   ? catalog.is_watched(*table)
                   : catalog.publishes(required.publication, *table);
    };
    return required.whom == outside_coverage::by::nobody ||
           std::ranges::all_of(plan.tables, covered);
}

}  // namespace

planned_read decider::read_of(const statement_text& text, database& where,
                              const scope_text& scope) const {
    using policy::reason;
    const auto& facts = text.facts();
    if (facts.too_long) return {.why = text.known->why_unread};
    if (!facts.parsed) return {.why = reason::parse_error};
    if (facts.statements.size() != 1)
        return {.why =
                    facts.statements.empty() ? reason::not_a_select : reason::multiple_statements};
    const auto& statement = facts.statements.front();
    if (statement.kind != policy::statement_kind::select) return {.why = reason::not_a_select};
    const policy::session_scope view{.search_path = scope.search_path,
                                     .current_role = scope.current_role,
                                     .temporary_objects = scope.temporary_objects};
    planned_read out{.why = scope.lack()};
    if (scope.latest_catalog)
        out.unlimited = policy::unlimited_by_rule(statement, *scope.latest_catalog, view, *rules_);
    if (!scope.latest_catalog) return out;
    // Whose rule it is stays known while the catalog is read anew.
    const auto& catalog = scope.catalog ? *scope.catalog : *scope.latest_catalog;
    const auto found = policy::plan_read(statement, catalog, view, *rules_);
    out.rule = found.rule;
    if (!scope.catalog) return out;
    out.why = found.why;
    if (found.why != reason::miss) return out;
    if (!all_covered(found, catalog, where)) {
        out.why = reason::not_watched;
        return out;
    }
    const auto& rule = rules_->rules[static_cast<std::size_t>(found.rule)];
    out.rule_state = &where.versions().rule(rule.name);
    out.ttl = rule.ttl;
    out.mode = rule.mode;
    out.stale_while_revalidate = rule.stale_while_revalidate;
    out.stale_if_error = rule.stale_if_error;
    out.rollout_percent = rule.rollout_percent;
    out.settings = found.settings;
    out.tables.reserve(found.tables.size() + 2);
    out.tables.push_back(&where.whole());
    out.tables.push_back(&where.cluster());
    for (const auto id : found.tables) out.tables.push_back(&where.table(id));
    return out;
}

std::shared_ptr<const plan> decider::plan_for(const statement_text& text, database& where,
                                              const std::shared_ptr<const scope_text>& scope) {
    for (const auto& known : text.known->plans)
        if (known->is_of(scope)) return known;
    auto made = std::make_shared<plan>();
    made->scope = scope;
    if (scope->latest_catalog) made->generation = scope->latest_catalog->generation();
    made->read = read_of(text, where, *scope);
    if (text.facts().too_long || !text.facts().parsed) {
        policy::statement_facts unknown;
        unknown.kind = policy::statement_kind::other;
        // libpg_query reads PostgreSQL 15's grammar; what it refuses a newer server may run.
        made->writes.push_back(write_of(unknown, where, *scope));
    }
    for (std::size_t i = 0; i < text.facts().statements.size(); ++i) {
        const auto& statement = text.facts().statements[i];
        made->writes.push_back(write_of(statement, where, *scope));
        if (statement.kind != policy::statement_kind::prepare || !statement.inner) continue;
        made->prepared.resize(i + 1);
        made->prepared[i] = write_of(*statement.inner, where, *scope);
    }
    const auto& all = text.facts().statements;
    const auto* rule = made->read.rule < 0
                           ? nullptr
                           : &rules_->rules[static_cast<std::size_t>(made->read.rule)].name;
    for (const auto& statement : all)
        made->types.push_back(intern(rule ? *rule : std::string{to_string(statement.kind)}));
    if (all.empty()) made->types.push_back(intern(text.facts().parsed ? "empty" : "unknown"));
    made->inert = text.facts().statements.size() == 1 &&
                  text.facts().statements.front().kind == policy::statement_kind::select &&
                  made->writes.size() == 1 && leaves_nothing(made->writes.front());
    auto& plans = text.known->plans;
    std::erase_if(plans, [](const auto& known) { return known->scope.expired(); });
    if (plans.size() >= plans_per_text) plans.erase(plans.begin());
    plans.push_back(made);
    return made;
}

std::shared_ptr<const scope_text> decider::scope(
    database& where, std::string_view search_path, std::string_view role, bool temporary,
    const std::shared_ptr<const policy::catalog>& instead) {
    const auto epoch = where.epoch();
    std::erase_if(scopes_, [&](const known_scope& known) {
        return known.where == &where && known.epoch != epoch;
    });
    for (const auto& known : scopes_)
        if (known.where == &where && known.instead == static_cast<bool>(instead) &&
            known.scope->search_path == search_path && known.scope->current_role == role &&
            known.scope->temporary_objects == temporary)
            return known.scope;
    const bool is_instead = static_cast<bool>(instead);
    auto made = std::make_shared<scope_text>(scope_text{
        std::string{search_path}, std::string{role}, is_instead ? instead : where.usable_catalog(),
        is_instead ? instead : where.latest_catalog(), temporary, where.suspended()});
    if (scopes_.size() >= scope_limit) scopes_.erase(scopes_.begin());
    scopes_.push_back({&where, epoch, is_instead, made});
    return made;
}

void decider::forget_old_scopes() {
    std::erase_if(scopes_,
                  [](const known_scope& known) { return known.where->epoch() != known.epoch; });
}

std::shared_ptr<const login_defaults> decider::defaults_of(
    const std::string& user, const std::shared_ptr<const policy::catalog>& catalog) {
    std::erase_if(defaults_, [](const known_defaults& known) { return known.catalog.expired(); });
    for (const auto& known : defaults_)
        if (known.user == user && known.catalog.lock() == catalog) return known.defaults;
    const auto get = [&](std::string_view name) {
        return std::string{catalog->login_default(user, name)};
    };
    auto made = std::make_shared<login_defaults>(
        login_defaults{catalog->login_defaults_text(user), catalog->server_settings_text(),
                       get("search_path"), get("role"), get("default_transaction_isolation")});
    if (defaults_.size() >= scope_limit) defaults_.erase(defaults_.begin());
    defaults_.push_back({catalog, user, made});
    return made;
}

std::shared_ptr<const std::string> decider::intern(std::string text) {
    auto& slot = interned_[text];
    if (auto alive = slot.lock()) return alive;
    auto made = std::make_shared<const std::string>(std::move(text));
    slot = made;
    if (interned_.size() >= sweep_at_) {
        std::erase_if(interned_, [](const auto& item) { return item.second.expired(); });
        sweep_at_ = std::max<std::size_t>(1024, interned_.size() * 2);
    }
    return made;
}

std::shared_ptr<const decider::values> decider::intern_values(values from) {
    auto& slot = interned_values_[from];
    if (auto alive = slot.lock()) return alive;
    auto made = std::make_shared<const values>(std::move(from));
    slot = made;
    if (interned_values_.size() >= sweep_values_at_) {
        std::erase_if(interned_values_, [](const auto& item) { return item.second.expired(); });
        sweep_values_at_ = std::max<std::size_t>(1024, interned_values_.size() * 2);
    }
    return made;
}

std::shared_ptr<const prepared> decider::definition(
    const std::shared_ptr<const statement_text>& text, std::string_view types, database& where,
    const std::shared_ptr<const scope_text>& s,
    const std::shared_ptr<const std::string>& literals) {
    const auto definitions = definitions_in(where, *s);
    const auto [first, last] = definitions_.equal_range(text.get());
    unsigned version = 0;
    for (auto it = first; it != last; ++it) {
        auto known = it->second.lock();
        if (!known || known->definitions != definitions || known->types != types) continue;
        if (known->outdated)
            version = std::max(version, known->version + 1);
        else if (known->literals == literals)
            return known;
    }
    const std::hash<std::string_view> hash;
    auto made = std::make_shared<const prepared>(
        prepared{.text = text,
                 .types = std::string{types},
                 .version = version,
                 .definitions = definitions,
                 .literals = literals,
                 .hash = ((hash(text->sql) * 31 + hash(types)) * 31 + version) * 31 +
                         static_cast<std::size_t>(definitions),
                 .tables = plan_for(*text, where, s)->read.tables,
                 .bound_by = definitions});
    definitions_.emplace(text.get(), made);
    if (definitions_.size() >= sweep_definitions_at_) {
        std::erase_if(definitions_, [](const auto& item) { return item.second.expired(); });
        sweep_definitions_at_ = std::max<std::size_t>(1024, definitions_.size() * 2);
    }
    return made;
}

}  // namespace pgsidecar::core
