// How plan_write() works, internal to it. Texts are read for the functions they call and the tables
// they write; each written table joins a work list with what is done to it, and the closure follows
// cascades, partitions, triggers and defaults, whose functions are texts again.
// Order of calls: construct, plan() once. The arguments must outlive the planner.
#pragma once
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "policy/plan_write.h"
#include "policy/resolve.h"

namespace pgsidecar::policy {

// What is done to a table's rows, as bits.
enum write_operation : unsigned {
    op_insert = 1,
    op_update = 2,
    op_delete = 4,
    op_truncate = 8,
    op_any = 15,
};

class write_planner {
  public:
    write_planner(const catalog& snapshot, const session_scope& scope);

    [[nodiscard]] write_plan plan(const statement_facts& statement);

  private:
    // Every function below that runs something is told which search_path is then in force.

    // write_planner.cpp: kinds of statements, calls
    void statement(const statement_facts& facts);
    void data_change(const statement_facts& facts, unsigned operations);
    void definition(const statement_facts& facts);
    [[nodiscard]] bool is_own_temporary(const qualified_name& name) const;
    void settings(const statement_facts& facts);
    void anything();  // to the database, to the session
    void computes(const statement_facts& facts, const name_path& path, const name_path& running);
    void computes_unnamed(const statement_facts& facts, const name_path& path,
                          const name_path& running);
    [[nodiscard]] std::vector<const relation*> meant(const qualified_name& name,
                                                     const name_path& path) const;
    void reads(const statement_facts& facts, const name_path& path, const name_path& running);
    void call(const function_call& f, const name_path& path, const name_path& running);
    void builtin_call(const std::string& name);
    [[nodiscard]] bool calls_user_functions(const function_effects& body) const;
    void run(oid function, const name_path& running);
    void run(const function_info& f, const name_path& running);

    // write_planner_closure.cpp: tables
    struct change {
        const relation* table = nullptr;
        unsigned operations = 0;
        const name_path* running = nullptr;
    };
    void write(const qualified_name& name, const name_path& path, const name_path& running,
               unsigned operations);
    void write(const relation& r, const name_path& running, unsigned operations);
    void close();
    void touch(const change& c);
    void touch_view(const change& c);
    void touch_above(const relation& r);
    void fire_triggers(const change& c);
    void follow_cascades(const change& c);

    const catalog& snapshot_;
    const session_scope& scope_;
    path_set paths_;
    std::set<std::pair<const void*, const name_path*>> seen_;  // functions, views, policies
    std::map<std::pair<const relation*, const name_path*>, unsigned> touched_;
    std::vector<change> pending_;
    std::set<oid> changed_;
    write_plan plan_;
    bool other_change_ = false;  // a sequence, a lock: nothing that a cached answer shows
};

}  // namespace pgsidecar::policy
