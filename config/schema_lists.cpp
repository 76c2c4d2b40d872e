#include <array>

#include "config/schema.h"

namespace pgsidecar::config {
namespace {

using policy::cache_rule;
using policy::tier;

constexpr std::uint64_t kb = 1024, tb = kb * kb * kb * kb;
constexpr std::uint64_t day = 86'400'000;  // milliseconds

constexpr std::array rule_table{
    key_row<cache_rule>{"name",
                        [](cache_rule& r) -> slot { return &r.name; },
                        "Name of the rule, unique; it is the query type in statistics. 50 "
                        "characters at most. Required.",
                        {},
                        check_rule_name},
    key_row<cache_rule>{"tables",
                        [](cache_rule& r) -> slot { return &r.tables; },
                        "Patterns `schema.table` with `*` and `?`, upper and lower case as in the "
                        "catalog; without a dot in schema `public`; `*` alone is every table. "
                        "Required.",
                        {0, 1000},
                        check_table_pattern},
    key_row<cache_rule>{"functions",
                        [](cache_rule& r) -> slot { return &r.functions; },
                        "Functions, `schema.name` or `name`, that the rule vouches for: same "
                        "arguments, same answer, whatever their declared volatility.",
                        {0, 1000},
                        check_function},
    key_row<cache_rule>{
        "ttl",
        [](cache_rule& r) -> slot { return &r.ttl; },
        "How long an answer is served at most; a write ends it at once. Left out, it is "
        "`cache.default_ttl`.",
        {1, 365 * day}},
    key_row<cache_rule>{
        "stale_while_revalidate",
        [](cache_rule& r) -> slot { return &r.stale_while_revalidate; },
        "For how long beyond its `ttl` an answer is served still while one session asks the server "
        "anew: that one waits, the others do not. A write ends it at once all the same. Such "
        "answers "
        "are counted as `stale`, not as hits. Needs `single_flight`.",
        {0, 365 * day}},
    key_row<cache_rule>{"stale_if_error",
                        [](cache_rule& r) -> slot { return &r.stale_if_error; },
                        "For how long an answer is served in place of the error that no server "
                        "connection could be had: "
                        "the server cannot be reached, starts, shuts down or has no place left, or "
                        "`query_wait_timeout` "
                        "is over. It begins when the answer's `ttl` is over or, if that is "
                        "earlier, when writes and "
                        "definitions could not be followed any more. What had been written before "
                        "is never undone by "
                        "it; what is written past pgsidecar while it has lost the server is not "
                        "seen. Such answers are "
                        "counted as `stale_if_error`. Needs `pool_mode: transaction`; elsewhere a "
                        "client's connection "
                        "ends with its server's.",
                        {0, 365 * day}},
    key_row<cache_rule>{
        "mode", [](cache_rule& r) -> slot { return &r.mode; },
        "`on` serves from the cache; `off` keeps these tables out; `shadow` asks the server "
        "each time, and compares its answer, byte by byte, with what the cache would "
        "have given: differences are counted and logged."},
    key_row<cache_rule>{
        "rollout_percent",
        [](cache_rule& r) -> slot { return &r.rollout_percent; },
        "For how many tenants in a hundred the rule serves (or compares). Which "
        "they are follows from the names of tenant and rule, so they stay in as the "
        "number grows.",
        {0, 100}},
    key_row<cache_rule>{"unlimited", [](cache_rule& r) -> slot { return &r.unlimited; },
                        "A SELECT of these tables without LIMIT, while `tenants.limits` is "
                        "`enforce`: `allow` it, `refuse` it, or `cut` its answer after "
                        "`default_page_size` rows, with a notice. Needs the catalogs, so caching "
                        "must be on."},
};

// How a row's lambda hands out a member.
#define PGSIDECAR_AT(member) [](tier& t) -> slot { return &t.member; }

constexpr std::array tier_table{
    key_row<tier>{"name",
                  PGSIDECAR_AT(name),
                  "Name of the tier, unique: a letter, then letters, digits, `_` and `-`. 50 "
                  "characters at most. Required.",
                  {},
                  check_tier_name},
    key_row<tier>{"members",
                  PGSIDECAR_AT(members),
                  "Names of the tenants in it, upper and lower case as they come, with `*` and "
                  "`?`; not inherited. `default` has none.",
                  {0, 10'000},
                  check_tenant_pattern},
    key_row<tier>{
        "query_timeout", PGSIDECAR_AT(query_timeout), "How long a request may run.", {1, day}},
    key_row<tier>{"query_timeout_mode", PGSIDECAR_AT(query_timeout_mode),
                  "What becomes of a request that runs longer."},
    key_row<tier>{"max_result_rows",
                  PGSIDECAR_AT(max_result_rows),
                  "Rows that one answer may have.",
                  {1, 4'000'000'000}},
    key_row<tier>{"max_result_rows_mode", PGSIDECAR_AT(max_result_rows_mode),
                  "What becomes of an answer with more rows."},
    key_row<tier>{"max_result_bytes",
                  PGSIDECAR_AT(max_result_bytes),
                  "Bytes that the messages of one answer may take.",
                  {1 * kb, 1 * tb}},
    key_row<tier>{"max_result_bytes_mode", PGSIDECAR_AT(max_result_bytes_mode),
                  "What becomes of a larger answer."},
    key_row<tier>{"queries_per_minute",
                  PGSIDECAR_AT(queries_per_minute),
                  "Queries of one tenant in a minute, in the long run.",
                  {1, 100'000'000}},
    key_row<tier>{"burst",
                  PGSIDECAR_AT(burst),
                  "Queries that a tenant which was silent may send at once; 0 is as many as in a "
                  "minute.",
                  {0, 100'000'000}},
    key_row<tier>{"queries_per_minute_mode", PGSIDECAR_AT(queries_per_minute_mode),
                  "What becomes of queries above that rate."},
    key_row<tier>{"max_concurrent",
                  PGSIDECAR_AT(max_concurrent),
                  "Requests of one tenant that run at a time.",
                  {1, 1'000'000}},
    key_row<tier>{"max_concurrent_mode", PGSIDECAR_AT(max_concurrent_mode),
                  "What becomes of requests above that number; enforced, they wait."},
    key_row<tier>{"query_wait_timeout",
                  PGSIDECAR_AT(query_wait_timeout),
                  "How long a request may wait for its turn to run; then it is refused.",
                  {1, day}},
    key_row<tier>{"max_page_size",
                  PGSIDECAR_AT(max_page_size),
                  "Rows that the LIMIT of a query may ask for.",
                  {1, 1'000'000'000}},
    key_row<tier>{"max_page_size_mode", PGSIDECAR_AT(max_page_size_mode),
                  "What becomes of a query that asks for more."},
    key_row<tier>{"default_page_size",
                  PGSIDECAR_AT(default_page_size),
                  "Rows of a SELECT without LIMIT, for rules with `unlimited: cut`.",
                  {1, 1'000'000'000}},
};
#undef PGSIDECAR_AT

constexpr item_kind<cache_rule> rules{"rule", "rules", "name, tables, ttl", "The keys of one rule.",
                                      rule_table};

constexpr std::string_view tier_meaning =
    R"(The keys of one tier. The defaults shown are those of the tier `default`, which starts from
the shipped numbers: 3000 ms, 10,000 rows and 120 queries a minute. Every other tier starts from
`default` as the file has it, wherever that stands in the list; what it says itself goes on top.
`premium` has 5000 ms, 50,000 rows and 600 queries a minute before its own keys are read. Both are
there even when the file does not name them.

Each limit has a mode: `off`, there is no such limit; `warn`, what goes beyond it is let through,
counted, and the client is told in a notice; `enforce`, it is not let through. `tenants.limits` is
the most that any of these modes may do: nothing is enforced until that says so.)";
constexpr item_kind<tier> tiers{"tier", "tiers", "name, members, query_timeout", tier_meaning,
                                tier_table};

}  // namespace

template <>
const item_kind<cache_rule>& kind_of() noexcept {
    return rules;
}
template <>
const item_kind<tier>& kind_of() noexcept {
    return tiers;
}

}  // namespace pgsidecar::config
