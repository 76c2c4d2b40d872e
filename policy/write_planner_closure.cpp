// The second half of plan_write(): from the tables a statement names to all that it may change.
#include "policy/write_planner.h"

namespace pgsidecar::policy {
namespace {

// pg_trigger.tgtype
constexpr int trigger_insert = 4, trigger_delete = 8, trigger_update = 16, trigger_truncate = 32;

bool fires(int type, unsigned operations) noexcept {
    return ((operations & op_insert) != 0 && (type & trigger_insert) != 0) ||
           ((operations & op_delete) != 0 && (type & trigger_delete) != 0) ||
           ((operations & op_update) != 0 && (type & trigger_update) != 0) ||
           ((operations & op_truncate) != 0 && (type & trigger_truncate) != 0);
}

bool writes_on(char action) noexcept { return action == 'c' || action == 'n' || action == 'd'; }

}  // namespace

void write_planner::write(const qualified_name& name, const name_path& path,
                          const name_path& running, unsigned operations) {
    const auto found = path.find(name);
    // Not in the snapshot: made in this transaction, made elsewhere a moment ago, or temporary. Its
    // triggers and cascades are unknown.
    if (found.empty()) plan_.whole_database = true;
    for (const auto* r : found) write(*r, running, operations);
}

void write_planner::write(const relation& r, const name_path& running, unsigned operations) {
    auto& done = touched_[{&r, &running}];
    const unsigned added = operations & ~done;
    if (added == 0) return;
    done |= added;
    pending_.push_back({&r, added, &running});
}

void write_planner::close() {
    while (!pending_.empty()) {
        const change c = pending_.back();
        pending_.pop_back();
        touch(c);
    }
}

void write_planner::touch(const change& c) {
    const relation& r = *c.table;
    if (is_system_schema(r.schema)) {
        // Someone edits the catalogs by hand.
        plan_.whole_cluster = plan_.schema_changed = true;
        return anything();
    }
    // A rule may put anything in the statement's place; a foreign table may be this very database.
    if (r.has_rules || r.kind == 'f') plan_.whole_database = true;
    fire_triggers(c);
    for (const oid f : r.write_functions) run(f, *c.running);
    if (r.kind == 'v') return touch_view(c);
    if (r.kind == 'm') {
        // REFRESH runs its query.
        if (r.view == nullptr) return anything();
        computes(*r.view, paths_.printed(), *c.running);
    }
    // Rows move between partitions by DELETE and INSERT.
    if ((c.operations & op_update) != 0 && (!r.parents.empty() || r.kind == 'p')) {
        write(r, *c.running, op_insert | op_delete);
    }
    changed_.insert(r.id);
    follow_cascades(c);
    for (const oid id : r.children) {
        if (const auto* child = snapshot_.find(id)) write(*child, *c.running, c.operations);
    }
    touch_above(r);
}

// A parent shows its children's rows, but nothing was done to it: no triggers, no cascades.
void write_planner::touch_above(const relation& r) {
    std::vector<oid> above{r.parents};
    while (!above.empty()) {
        const auto* parent = snapshot_.find(above.back());
        above.pop_back();
        if (parent == nullptr || !changed_.insert(parent->id).second) continue;
        above.insert(above.end(), parent->parents.begin(), parent->parents.end());
    }
}

// An automatically updatable view passes the change on to what it selects from. Which of the
// relations in its text that is does not matter enough to find out: take them all.
void write_planner::touch_view(const change& c) {
    const relation& view = *c.table;
    if (view.view == nullptr) {
        plan_.whole_database = true;
        return;
    }
    for (const auto& name : view.view->reads) {
        write(name, paths_.printed(), *c.running, c.operations);
    }
    computes(*view.view, paths_.printed(), *c.running);
}

void write_planner::fire_triggers(const change& c) {
    for (const auto& t : c.table->triggers) {
        if (!fires(t.type, c.operations)) continue;
        run(t.function, *c.running);
        for (const oid f : t.when_functions) run(f, *c.running);
    }
}

void write_planner::follow_cascades(const change& c) {
    for (const auto& key : c.table->cascades) {
        const auto* referencing = snapshot_.find(key.referencing);
        if (referencing == nullptr) continue;
        unsigned done = 0;
        if ((c.operations & op_truncate) != 0) done |= op_truncate;  // perhaps with CASCADE
        if ((c.operations & op_delete) != 0 && writes_on(key.on_delete)) {
            done |= key.on_delete == 'c' ? op_delete : op_update;
        }
        if ((c.operations & op_update) != 0 && writes_on(key.on_update)) done |= op_update;
        if (done != 0) write(*referencing, *c.running, done);
    }
}

}  // namespace pgsidecar::policy
