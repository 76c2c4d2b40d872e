// What is told of each statement when it is over, and of each transaction.
#include <algorithm>
#include <utility>

#include "proxy/core/session.h"

namespace pgsidecar::core {

// One that is answered without the server, from the cache most of all.
void session::measure_here(const std::shared_ptr<const statement_text>& text, const plan& p,
                           const cache::entry* answer, actions& out, std::size_t which) {
    if (!measures() || limits_->since() == time_point{}) return;
    out.measured.push_back({.tenant = limits_->shared_tenant(),
                            .type = p.type_of(which),
                            .text = text,
                            .where = database_,
                            .since = limits_->since(),
                            .rows = answer ? answer->rows() : 0,
                            .bytes = answer ? answer->body().size() : 0,
                            .why = answer ? how_served() : policy::reason::not_a_select,
                            .by_rule = p.read.rule >= 0,
                            .alone = true});
}

// The server has ended a statement of the front item.
void session::measure_front(std::uint64_t rows, bool failed, time_point now, actions& out) {
    static const auto unknown = std::make_shared<const std::string>("unknown");
    auto& item = owed_.front();
    const auto bytes = std::exchange(answer_bytes_, 0);
    if (item.injected || item.refusal || (item.what != reply::query && item.what != reply::execute))
        return;
    if (item.since == time_point{}) return;  // it was sent before anybody measured
    const auto since = std::max(item.since, measured_until_);
    if (measured_since_ == time_point{}) measured_since_ = since;
    out.measured.push_back({.tenant = limits_->shared_tenant(),
                            .type = item.effects ? item.effects->type_of(item.done) : unknown,
                            .text = item.text,
                            .where = database_,
                            .since = since,
                            .rows = rows,
                            .bytes = bytes,
                            .why = item.why,
                            .by_rule = item.effects && item.effects->read.rule >= 0,
                            .failed = failed});
    measured_until_ = now;
}

void session::end_measured_transaction(actions& out) {
    const auto since = std::exchange(measured_since_, time_point{});
    if (since != time_point{}) out.transactions.push_back({.where = database_, .since = since});
}

}  // namespace pgsidecar::core
