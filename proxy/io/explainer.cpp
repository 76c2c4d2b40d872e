#include "proxy/io/explainer.h"

#include <chrono>
#include <utility>

#include "config/values.h"
#include "policy/analyze.h"
#include "policy/plan_read.h"
#include "proxy/core/answer_key.h"
#include "proxy/io/control_parameters.h"
#include "proxy/io/server.h"
#include "proxy/ops/console_columns.h"
#include "proxy/ops/console_reasons.h"

namespace pgsidecar::io {
namespace {

using policy::reason;
using std::chrono::steady_clock;

constexpr auto patience = std::chrono::seconds{2};
constexpr auto between_looks = std::chrono::milliseconds{20};

// What ends an entry that was computed from these tables.
std::string outdated_by(const std::string& tables, core::outside_coverage::by whom) {
    using by = core::outside_coverage::by;
    return "writes to " + tables + " (through pgsidecar at once, past it " +
           (whom == by::publication ? "as the WAL tells"
            : whom == by::triggers  ? "as NOTIFY tells"
                                    : "not before its ttl is over") +
           "); definitions and rights; INVALIDATE; the end of its ttl";
}

}  // namespace

struct explainer::question {
    question(boost::asio::io_context& context, core::database& its) : timer{context}, where{its} {}
    boost::asio::steady_timer timer;
    core::database& where;
    ops::console_command command;
    std::string user;
    reply done;
    steady_clock::time_point ends = steady_clock::now() + patience;
};

void explainer::explain(const ops::console_command& c, const std::string& user, const reply& done) {
    const auto usual = control_parameters{server_.settings()}.database();
    const auto& name = c.database.empty() ? usual : c.database;
    bool known = !name.empty() && name == usual;
    server_.databases().for_each(
        [&](const core::database& d) { known = known || d.name() == name; });
    if (!known) {
        ops::console_answer out;
        out.error = {"3D000",
                     "no such database is in use",
                     {},
                     "SHOW EXPLAIN DATABASE <db> <statement>; SHOW DATABASES lists them."};
        return done(std::move(out));
    }
    const auto q = std::make_shared<question>(context_, server_.databases().of(name));
    q->command = c;
    q->user = c.user.empty() ? user : c.user;
    q->done = done;
    if (!server_.settings().upstream.control_connection.empty()) server_.catalogs().use(name);
    wait_for_catalog(q);
}

void explainer::wait_for_catalog(const std::shared_ptr<question>& q) {
    const bool comes = !server_.settings().upstream.control_connection.empty();
    if (!comes || q->where.usable_catalog() || steady_clock::now() >= q->ends)
        return q->done(judge(*q));
    q->timer.expires_after(between_looks);
    q->timer.async_wait([this, q](boost::system::error_code error) {
        if (!error && !stopped_) wait_for_catalog(q);
    });
}

ops::console_answer explainer::judge(const question& q) const {
    const auto rules = server_.live()->rules();
    const auto& s = server_.settings();
    core::decider decide{rules, {.max_sql_length = s.max_sql_length}};
    const auto text = decide.text(q.command.value);
    std::string path, role = q.user;
    if (const auto catalog = q.where.latest_catalog()) {
        const auto defaults = decide.defaults_of(q.user, catalog);
        path = defaults->search_path;
        if (!defaults->role.empty() && defaults->role != "none") role = defaults->role;
    }
    const auto scope = decide.scope(q.where, path, role, false);
    const auto plan = decide.plan_for(*text, q.where, scope);
    auto why = plan->read.why;
    if (!s.enable_optimizations || !s.cache.enable_query_result_caching) why = reason::disabled;
    if (why == reason::miss && !q.where.trusted(steady_clock::now()))
        why = reason::invalidation_lost;
    std::string tables, culprit;
    const auto& facts = text->facts();
    if (facts.parsed && facts.statements.size() == 1 && scope->latest_catalog) {
        const auto& known = *scope->latest_catalog;
        const auto found = policy::plan_read(
            facts.statements.front(), known,
            {.search_path = scope->search_path, .current_role = scope->current_role}, *rules);
        culprit = found.culprit;
        for (const auto id : found.tables)
            if (const auto* r = known.find(id))
                tables += (tables.empty() ? "" : ", ") + r->schema + "." + r->name;
    }
    const auto* rule =
        plan->read.rule < 0 ? nullptr : &rules->rules[static_cast<std::size_t>(plan->read.rule)];
    auto outdated =
        tables.empty() ? std::nullopt : ops::cell(outdated_by(tables, q.where.required().whom));
    ops::console_answer out;
    out.table.columns = ops::columns_of(ops::console_view::explain);
    out.table.rows.push_back({ops::flag(why == reason::miss),
                              ops::cell(why == reason::miss ? "cacheable" : policy::to_string(why)),
                              ops::cell(ops::explanation_of(why)),
                              ops::cell(rule ? std::string_view{rule->name} : std::string_view{}),
                              rule ? ops::cell(config::write_duration(rule->ttl)) : std::nullopt,
                              ops::cell(tables), std::move(outdated), ops::cell(core::key_parts),
                              ops::cell(std::move(culprit)), ops::cell(q.where.name()),
                              ops::cell(q.user), ops::cell(path),
                              ops::cell(policy::normalize(q.command.value))});
    return out;
}

}  // namespace pgsidecar::io
