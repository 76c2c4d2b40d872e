// What the statements of a session do, to itself and to everybody else: noted when they leave for
// the server, made true when they are acknowledged. What it has written, what could not be
// followed.
#include <algorithm>
#include <array>
#include <utility>

#include "proxy/core/session.h"

namespace pgsidecar::core {
namespace {

using policy::statement_kind;

constexpr std::size_t unproven_limit = 16;

enum class effect { none, settings, other };

// Does what follows this statement in a pipeline depend on it, and for how long?
effect effect_of(const planned_write& w, statement_kind kind) {
    switch (kind) {
        case statement_kind::set:
        case statement_kind::reset:
        case statement_kind::discard_all:
        case statement_kind::discard_temp:
        case statement_kind::discard_other:
        case statement_kind::deallocate:
            return effect::settings;
        case statement_kind::empty:
        case statement_kind::select:
        case statement_kind::show:
        case statement_kind::explain:
        case statement_kind::listen:
        case statement_kind::unlisten:
        case statement_kind::copy_to:
        case statement_kind::close_cursor:
            if (!w.tables.empty() || w.schema_changed || w.taints_session) return effect::other;
            return w.settings.empty() ? effect::none : effect::settings;
        default:
            return effect::other;
    }
}

// Such that something may be committed.
bool ends_transaction(statement_kind kind) {
    switch (kind) {
        case statement_kind::commit:
        case statement_kind::prepare_transaction:
        case statement_kind::call:
        case statement_kind::do_block:
        case statement_kind::other:
            return true;
        default:
            return false;
    }
}

void insert_unique(std::vector<cache::table_state*>& into, cache::table_state* table) {
    if (std::find(into.begin(), into.end(), table) == into.end()) into.push_back(table);
}

void add(planned_write& to, const planned_write& more) {
    to.reads_only = to.reads_only && more.reads_only;
    to.schema_changed = to.schema_changed || more.schema_changed;
    to.whole_cluster = to.whole_cluster || more.whole_cluster;
    to.taints_session = to.taints_session || more.taints_session;
    to.creates_temporary = to.creates_temporary || more.creates_temporary;
    to.locks_session = to.locks_session || more.locks_session;
    to.seeds_session = to.seeds_session || more.seeds_session;
    to.reads_own_sequences = to.reads_own_sequences || more.reads_own_sequences;
    to.alters_defaults = to.alters_defaults || more.alters_defaults;
    for (auto* table : more.tables) insert_unique(to.tables, table);
    to.settings.insert(to.settings.end(), more.settings.begin(), more.settings.end());
}

}  // namespace

planned_write session::unknown_write() {
    planned_write w{.reads_only = false, .taints_session = true};
    w.tables.push_back(&database_->whole());
    return w;
}

void session::note_text_effects(const std::shared_ptr<const statement_text>& text, const plan& p) {
    if (p.inert && !writing_ && !schema_written_) return;
    const auto& statements = text->facts().statements;
    if (statements.empty()) {
        for (const auto& w : p.writes) note_effects(w, statement_kind::other, true);
        return;
    }
    note_plan(p);
    // Before the first catalog is there, a call of any function might do anything. Such texts are
    // judged again when it is: until then this session is not served anyway.
    const bool unread = !p.generation && (!unproven_ || unproven_->size() < unproven_limit);
    bool keep = false;
    for (std::size_t i = 0; i < statements.size(); ++i) {
        const auto& s = statements[i];
        auto w = p.writes[i];
        if (unread && w.taints_session) {
            keep = true;
            dialect_.note_change();
            w.taints_session = false;
        }
        const auto* execute = execute_in(s);
        // Of a name that is nobody's not even the arguments are looked at.
        if (execute && is_nobodys(execute->name)) continue;
        if (execute) add(w, executed(statements_.client(execute->name), may_move_path(w, s.kind)));
        note_effects(w, s.kind, statements.size() == 1);
        note_holds(w, s);
        if (skipping_) continue;
        if (s.kind == statement_kind::prepare && !statements_.client(s.name)) {
            const auto made = std::make_shared<const prepared>(prepared{
                .text = text, .sql_statement = static_cast<int>(i), .definitions = definitions()});
            statements_.set(s.name, {made, made});
            owed_.back().changes().prepares.push_back({i, s.name, made});
            note_prepare(s.name, *made);
        } else if (s.kind == statement_kind::deallocate || s.kind == statement_kind::discard_all) {
            owed_.back().changes().deallocates.push_back({i, statements_.drop(s.name)});
            note_owed_name();
        }
    }
    if (!keep) return;
    if (!unproven_) unproven_ = std::make_unique<std::vector<unproven>>();
    unproven_->push_back({text, database_->wanted()});
}

// The first catalog is there: did what ran before it change the session?
void session::judge_unproven() {
    const auto judged = std::exchange(unproven_, nullptr);
    for (const auto& [text, generation] : *judged) {
        const auto p = services_.decide.plan_for(*text, *database_, scope_);
        bool followed = generation == database_->wanted();
        for (std::size_t i = 0; i < p->writes.size() && followed; ++i)
            followed = !p->writes[i].taints_session &&
                       p->writes[i].settings.size() == text->facts().statements[i].settings.size();
        if (!followed) ++taints_;
    }
}

// No statement of that name can be at the server.
bool session::is_nobodys(std::string_view name) const {
    return pool_ && follows_all() && statements_.get(name) == prepared_statements::views{};
}

// What a prepared statement does, run by SQL's EXECUTE, or by Bind where SQL's PREPARE made it.
planned_write session::executed(const prepared_ptr& definition, bool path_in_doubt) {
    auto w = unknown_write();
    if (definition) {
        const auto p = plan_of(*definition->text, path_in_doubt);
        const auto i = static_cast<std::size_t>(std::max(definition->sql_statement, 0));
        const auto& of_each = definition->sql_statement < 0 ? p->writes : p->prepared;
        if (i < of_each.size()) w = of_each[i];
        note_plan(*p);
    }
    if (!w.settings.empty()) w.taints_session = true;
    note_holds(w);
    return w;
}

void session::note_plan(const plan& p) {
    const auto writes = [](const planned_write& w) { return !w.tables.empty(); };
    if (!p.generation || (std::none_of(p.writes.begin(), p.writes.end(), writes) &&
                          std::none_of(p.prepared.begin(), p.prepared.end(), writes)))
        return;
    auto& by = pending().planned_by;
    if (by == 0 || *p.generation < by) by = *p.generation;
}

// What a text does. While it is open by which path the server will read its names, by any.
std::shared_ptr<const plan> session::plan_of(const statement_text& text, bool in_doubt) {
    auto found = services_.decide.plan_for(text, *database_, scope());
    const auto& all = text.facts().statements;
    in_doubt = in_doubt || path_in_doubt_;
    for (std::size_t i = 0; i + 1 < all.size() && !in_doubt; ++i)
        in_doubt = may_move_path(found->writes[i], all[i].kind);
    if (!in_doubt) return found;
    return services_.decide.plan_for(
        text, *database_, services_.decide.scope(*database_, {}, current_role(), temporary_));
}

// As far as settings are followed: does it leave all of them as they are? What pools reset by
// mostly does, and what stands behind it in the pipeline means what it meant before.
bool session::changes_nothing(const policy::setting_change& change) const {
    if (untracked_ || taints_ != clean_taints_) return false;
    const auto& set = settings_.changed();
    if (change.all)
        return std::ranges::all_of(
            set, [](const auto& item) { return session_settings::names_a_role(item.first); });
    // Without a role of its own the session works as whoever logged in.
    const bool to_nobody = change.name == "role" && change.value == "none";
    if (to_nobody || (change.name == "session_authorization" && !change.value))
        return current_role() == *user_;
    const auto now = set.find(change.name);
    return change.value ? now != set.end() && now->second == *change.value : now == set.end();
}

namespace {

// What DISCARD ALL does to settings.
const std::array<policy::setting_change, 2> all_discarded{
    policy::setting_change{.name = "session_authorization", .value = {}},
    policy::setting_change{.name = {}, .value = {}, .all = true}};

}  // namespace

// May what follows it in the pipeline find other tables by the same names?
bool session::may_move_path(const planned_write& w, statement_kind kind) const {
    if (w.taints_session) return true;
    const auto any = [](const auto& condition) {
        return std::ranges::any_of(session_settings::of_path, condition);
    };
    const auto moves = [&](const policy::setting_change& change) {
        if (change.all && settings_.changed().contains("search_path")) return true;
        return any([&](std::string_view name) { return name == change.name; }) &&
               !changes_nothing(change);
    };
    if (kind == statement_kind::discard_all) return std::ranges::any_of(all_discarded, moves);
    if (policy::controls_transaction(kind) && kind != statement_kind::begin)
        return any([this](std::string_view name) { return settings_.set_in_transaction(name); });
    return std::ranges::any_of(w.settings, moves);
}

// May the server read what follows it in the pipeline by other settings than are believed to hold?
bool session::may_change_reading(const planned_write& w, statement_kind kind) const {
    if (w.taints_session) return true;
    const auto changes = [&](const policy::setting_change& change) {
        return (change.all || setting_is_read_by(change.name)) && !changes_nothing(change);
    };
    if (kind == statement_kind::discard_all) return std::ranges::any_of(all_discarded, changes);
    if (policy::controls_transaction(kind) && kind != statement_kind::begin)
        return settings_.reading_set_in_transaction();
    return std::ranges::any_of(w.settings, changes);
}

void session::note_effects(const planned_write& w, statement_kind kind, bool alone) {
    if (w.taints_session) ++taints_;
    if (dialect_.may_change(w)) dialect_.note_change();
    for (const auto& change : w.settings) {
        settings_.touch(change.name);
        const bool may_change = reading_in_doubt_ || !changes_nothing(change);
        if (may_change && (change.all || constants_are_written_by(change.name)))
            ++constants_changed_;
        // What is made then without a schema is temporary.
        if (pool_ && change.name == "search_path" && change.value &&
            change.value->find("pg_temp") != std::string::npos)
            temporary_ = true;
    }
    if (w.creates_temporary) temporary_ = true;
    if (w.schema_changed) schema_written_ = true;
    if (w.whole_cluster) cluster_mark_ = true;
    if (w.alters_defaults) {
        defaults_mark_ = true;
        services_.dbs.defaults_altered.fetch_add(1);
    }
    path_in_doubt_ = path_in_doubt_ || may_move_path(w, kind);
    reading_in_doubt_ = reading_in_doubt_ || may_change_reading(w, kind);
    const bool in_block = status_ != 'I' && owed_others_ == 0;
    const auto effect = effect_of(w, kind);
    if (effect == effect::settings) ++owed_settings_;
    if (effect == effect::other) ++owed_others_;
    mark(w, !in_block || ends_transaction(kind) || !alone);
}

session::writing& session::pending() {
    if (!writing_) writing_ = std::make_unique<writing>();
    return *writing_;
}

// A table that is written counts as having a commit in flight from before the bytes that may commit
// it leave until the server has answered.
void session::mark(const planned_write& w, bool may_commit) {
    for (auto* table : w.tables) insert_unique(pending().tables, table);
    if (!may_commit) return;
    if (schema_written_ && !schema_mark_) {
        schema_mark_ = true;
        database_->begin_schema_change();
    }
    if (!writing_ || writing_->tables.empty()) return;
    auto& marked = writing_->marked;
    if (marked.empty()) database_->writers.fetch_add(1);
    for (auto* table : writing_->tables) {
        if (std::find(marked.begin(), marked.end(), table) != marked.end()) continue;
        table->begin_commit();
        marked.push_back(table);
    }
}

// Called before anything that could tell the client (or, through it, anybody) of a commit is passed
// on.
void session::bump_marks() {
    if (cluster_mark_) services_.dbs.want_reload_everywhere();
    if (!commit_in_flight()) return;
    for (auto* table : writing_->marked) table->bump();
    // It may have waited for a lock while a definition changed, and then done more than was
    // planned.
    if (writing_->planned_by != database_->wanted()) database_->whole().bump();
}

void session::release_marks(actions& out, bool lost) {
    if (!database_) return;
    const auto ended = std::exchange(writing_, nullptr);
    const auto marked = ended ? std::move(ended->marked) : std::vector<cache::table_state*>{};
    const bool held = !marked.empty();
    if (std::exchange(defaults_mark_, false)) services_.dbs.defaults_altered.fetch_add(1);
    if (lost && (held || schema_mark_)) {
        for (auto* table : marked) table->lose_commit();
        out.unsettled = {.where = database_,
                         .backend_pid = server_pid_,
                         .tables = marked,
                         .schema_changed = schema_mark_,
                         .whole_cluster = cluster_mark_};
    } else {
        if (cluster_mark_) services_.dbs.want_reload_everywhere();
        for (auto* table : marked) table->end_commit();
        if (schema_mark_) database_->end_schema_change();
        out.catalog_changed = out.catalog_changed || schema_mark_ || cluster_mark_;
    }
    if (held) database_->writers.fetch_sub(1);
    schema_mark_ = schema_written_ = cluster_mark_ = false;
}

// Whoever reads from the server while a commit is under way may see what no entry shows yet.
void session::note_sight_of_writes() {
    if (database_->writers.load() > (commit_in_flight() ? 1U : 0U)) saw_writes_ = true;
}

void session::statement_done(owed_reply& item, std::string_view tag) {
    const std::size_t i = item.done++;
    if (!item.text || i >= item.text->facts().statements.size()) return;
    const auto& s = item.text->facts().statements[i];
    if (limits_ && policy::controls_transaction(s.kind)) control_done_ = true;
    end_holds(s);
    switch (s.kind) {
        case statement_kind::begin:
            settings_.begin();
            return;
        case statement_kind::commit:
        case statement_kind::prepare_transaction:
            if (tag == "ROLLBACK") end_unlisten(false);
            tag == "ROLLBACK" ? settings_.rollback() : settings_.commit();
            return;
        case statement_kind::rollback:
            settings_.rollback();
            return;
        case statement_kind::savepoint:
            if (!settings_.savepoint(s.name)) ++taints_;
            return;
        case statement_kind::release:
            settings_.release(s.name);
            return;
        case statement_kind::rollback_to:
            settings_.rollback_to(s.name);
            return;
        case statement_kind::discard_all:
            note_returned(item.taints);
            settings_.discard_all();
            // What could not be followed may have made custom settings: this session is then like
            // no other for ever.
            if (clean_taints_ != taints_)
                settings_.touch(std::string{taint_mark} + std::to_string(token_));
            if (unproven_ && owed_others_ == 0) {
                unproven_.reset();
                settings_.touch(std::string{taint_mark} + std::to_string(token_));
                if (pool_) pool_->link->unfit = true;
            }
            clean_taints_ = item.taints;
            if (owed_others_ == 0) temporary_ = false;
            return;
        case statement_kind::discard_temp:
            if (owed_others_ == 0) temporary_ = false;
            return;
        default:
            break;
    }
    const auto& changes = item.effects->writes[i].settings;
    if (!changes.empty()) note_returned(item.taints);
    for (const auto& change : changes) {
        settings_.begin();
        settings_.apply(change);
    }
}

// DROP DATABASE, a rename and a copy fail while anybody is connected: what we hold there ourselves
// goes first.
bool session::must_release_database(const statement_text& text, actions& out) {
    if (releasing_ == release::done) return false;
    for (const auto& s : text.facts().statements) {
        std::string name;
        if (s.kind == statement_kind::drop_database || s.kind == statement_kind::alter_database)
            name = s.name;
        else if (s.kind == statement_kind::create_database)
            name = s.template_name.empty() ? "template1" : s.template_name;
        if (name.empty()) continue;
        out.release_database = name;
        releasing_ = release::waiting;
        return true;
    }
    return false;
}

}  // namespace pgsidecar::core
