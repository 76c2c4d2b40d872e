// How plan_read() works, internal to it. The statement opens like a parcel: it names relations,
// functions, operators and types; views, policies and function bodies are parcels inside it, each
// read with its own search_path. First all relations are followed: that decides most, and picks the
// rule. Then everything that computes is judged, which may open more parcels.
// Order of calls: construct, plan() once. The arguments must outlive the planner.
#pragma once
#include <cstddef>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/plan_read.h"
#include "policy/resolve.h"

namespace pgsidecar::policy {

class read_planner {
  public:
    read_planner(const catalog& snapshot, const session_scope& scope, const cache_rules& rules);

    [[nodiscard]] read_plan plan(const statement_facts& statement);

  private:
    // A text to be followed, and how the names in it resolve.
    struct parcel {
        const statement_facts* facts = nullptr;
        const name_path* path = nullptr;     // for the names in it
        const name_path* running = nullptr;  // for the bodies of the functions that it calls
        const relation* view = nullptr;      // whose text it is
        bool of_policy = false;              // whatever fails in it is row_level_security
        bool of_function = false;            // $1 is no bound value here
        std::vector<oid> relations;          // what its own names resolved to
    };
    // A relation is read: named by the statement (view is null) or by a view.
    struct use {
        const relation* used = nullptr;
        const relation* view = nullptr;
    };
    // Copied before a rule is tried, so that the next one starts from the same point.
    struct progress {
        std::vector<parcel> parcels;
        std::size_t followed = 0;  // parcels whose relations are resolved
        std::size_t computed = 0;  // parcels whose functions are judged
        std::vector<use> uses;
        std::vector<oid> tables;
        // Relations and functions already opened, each with the path that was in force.
        std::set<std::pair<const void*, const name_path*>> seen;
    };

    void reject(reason why, std::string_view culprit);

    // Relations: plan_read.cpp
    void shape(const statement_facts& facts);
    void follow_all(progress& p);
    void follow(progress& p, std::size_t at);
    void reach(progress& p, const relation& r, const name_path& running);
    void reach_table(progress& p, const relation& r, const name_path& running);
    void reach_policies(progress& p, const relation& r, const name_path& running);
    void open(progress& p, parcel content);
    [[nodiscard]] const relation* uncovered(const progress& p, const cache_rule& rule) const;
    void finish(progress& p, int rule);

    // Functions, operators, casts: read_planner_compute.cpp
    void compute_all(progress& p, const cache_rule& rule);
    void compute(progress& p, std::size_t at, const cache_rule& rule);
    void call(progress& p, const parcel& in, const function_call& f, const cache_rule& rule);
    void builtin_call(const function_call& f, const cache_rule& rule);
    void user_call(progress& p, const parcel& in, const function_info& f, const cache_rule& rule);
    void check_operator(progress& p, const parcel& in, const qualified_name& name,
                        const cache_rule& rule);
    void check_cast(const parcel& in, const qualified_name& name);

    const catalog& snapshot_;
    const session_scope& scope_;
    const cache_rules& rules_;
    path_set paths_;
    read_plan plan_;
    bool failed_ = false;
};

}  // namespace pgsidecar::policy
