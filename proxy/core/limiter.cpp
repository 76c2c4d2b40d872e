#include "proxy/core/limiter.h"

#include <algorithm>
#include <utility>

#include "protocol/notice.h"

namespace pgsidecar::core {
namespace {

using policy::enforcement;
using policy::limit_kind;
using std::chrono::milliseconds;

// Npgsql keeps its pool for these, and EF Core tries the first one again.
constexpr std::string_view try_again = "55P03", query_canceled = "57014", too_much = "54000";
// Who waited in vain for a place is told to come back after this.
constexpr milliseconds wait_hint{1000};

std::string ms(milliseconds d) { return std::to_string(d.count()) + " ms"; }

std::string retry_after(std::chrono::nanoseconds d) {
    return "Retry after " + ms(std::chrono::ceil<milliseconds>(d)) + ".";
}

}  // namespace

limiter::limiter(policy::tenant_directory& directory) : directory_{directory} { take_options(); }

void limiter::take_options() {
    generation_ = directory_.generation();
    options_ = directory_.options();
    reads_comments_ = options_->reads_comments();
}

void limiter::adopt(time_point now) {
    if (generation_ == directory_.generation()) return;
    if (place_ != place::none || charged_ || !refusal.empty()) return;
    take_options();
    lifted_ = false;
    outdated_ = true;
    if (tenant_) tenant_ = directory_.find(tenant_->name, now);
}

const cache::table_state* limiter::tenant_state(const cache::versions& all) {
    const auto named = all.tenants_named();
    if (named == 0) return nullptr;
    if (!tenant_ || stands_in_) return &all.any_tenant();
    if (named != named_) {
        named_ = named;
        state_ = all.tenant(tenant_->name);
    }
    return state_;
}

void limiter::lift() noexcept {
    lifted_ = true;
    charged_ = false;
    prepaid_ = 0;
    refusal.clear();
}

bool limiter::may_be_tagged(std::string_view sql) const noexcept {
    return reads_comments_ && policy::has_comment(sql);
}

bool limiter::is_settled(bool tagged, std::uint64_t revision) const noexcept {
    if (!tenant_) return false;
    return place_ == place::waiting || charged_ ||
           (revision == revision_ && !tagged && !by_comment_ && !outdated_);
}

bool limiter::changes_with(const policy::tenant_evidence& evidence, std::uint64_t revision) const {
    if (is_settled(may_be_tagged(evidence.sql), revision)) return false;
    return !tenant_ || tenant_->name != policy::find_tenant(options_->sources, evidence);
}

void limiter::resolve(const policy::tenant_evidence& evidence, std::uint64_t revision,
                      time_point now) {
    const bool tagged = may_be_tagged(evidence.sql);
    if (is_settled(tagged, revision)) return;
    outdated_ = false;
    by_comment_ = tagged;
    revision_ = revision;
    const auto name = policy::find_tenant(options_->sources, evidence);
    if (tenant_ && tenant_->name == name) {
        stands_in_ = false;
        return;
    }
    tenant_ = directory_.find(name, now);
    stands_in_ = !name.empty() && tenant_->name != name;
    named_ = 0;
}

enforcement limiter::mode_of(limit_kind k) const noexcept {
    const auto& t = *tenant_->of;
    const auto configured = [&] {
        switch (k) {
            case limit_kind::query_timeout:
                return t.query_timeout_mode;
            case limit_kind::max_result_rows:
                return t.max_result_rows_mode;
            case limit_kind::max_result_bytes:
                return t.max_result_bytes_mode;
            case limit_kind::queries_per_minute:
                return t.queries_per_minute_mode;
            case limit_kind::max_concurrent:
                return t.max_concurrent_mode;
            case limit_kind::max_page_size:
                return t.max_page_size_mode;
            default:
                return enforcement::enforce;
        }
    }();
    return effective(configured);
}

ruling limiter::met(limit_kind k, std::string_view sqlstate, std::string_view message,
                    std::string_view detail, std::string_view hint) {
    ruling out{.what = mode_of(k)};
    if (out.what == enforcement::off) return out;
    directory_.count(*tenant_, k);
    const auto text = std::string{message} + " of tenant \"" + tenant_->name + "\"";
    if (out.refused())
        protocol::write_error(out.message, "ERROR", sqlstate, text, detail, hint);
    else
        protocol::write_notice(out.message, "WARNING", "01000", text, detail, hint);
    return out;
}

ruling limiter::charge(std::uint32_t queries, time_point now) {
    if (std::exchange(charged_, true) || queries == 0) return {};
    if (mode_of(limit_kind::queries_per_minute) == enforcement::off) return {};
    prepaid_ = queries;
    const auto rate = tenant_->of->rate();
    const auto wait = tenant_->queries.take(now, rate, queries);
    if (wait.count() == 0) return {};
    auto out = met(limit_kind::queries_per_minute, try_again, "over queries_per_minute",
                   std::to_string(rate.per_minute) + " queries a minute, at most " +
                       std::to_string(rate.burst) + " at once.",
                   retry_after(wait));
    if (out.refused()) charged_ = false, prepaid_ = 0;
    return out;
}

ruling limiter::charge_one(time_point now) {
    if (prepaid_ > 0) return --prepaid_, ruling{};
    const bool before = std::exchange(charged_, false);
    auto out = charge(1, now);
    charged_ = before;
    prepaid_ = 0;
    return out;
}

void limiter::request_consumed() noexcept {
    last_ = since();
    asked_ = never;
    pages_judged = false;
    charged_ = false;
    prepaid_ = 0;
}

bool limiter::enter(policy::gate::ticket who, time_point now, tickets& admitted) {
    if (place_ == place::held) return true;
    if (place_ == place::waiting) return false;
    place_of_ = tenant_;
    if (directory_.gate().enter(tenant_->lane, who, admitted)) {
        place_ = place::held;
        return true;
    }
    place_ = place::waiting;
    ticket_ = who;
    waits_since_ = now;
    return false;
}

void limiter::enter_at_once() {
    if (place_ != place::none) return;
    place_of_ = tenant_;
    directory_.gate().enter_at_once(tenant_->lane);
    place_ = place::held;
}

ruling limiter::crowded() {
    const auto& t = *tenant_->of;
    const auto kind = tenant_->lane.running() > t.max_concurrent
                          ? limit_kind::max_concurrent
                          : limit_kind::max_concurrent_requests;
    const auto most =
        kind == limit_kind::max_concurrent ? t.max_concurrent : options_->max_concurrent_requests;
    const bool above =
        kind == limit_kind::max_concurrent || (most != 0 && directory_.gate().running() > most);
    if (!above || mode_of(kind) != enforcement::warn) return {};
    return met(kind, try_again, "more requests than " + std::string{to_string(kind)},
               std::to_string(most) + " requests at a time.", {});
}

void limiter::leave(tickets& admitted) {
    const auto was = std::exchange(place_, place::none);
    waits_since_ = never;
    if (was == place::none) return;
    const auto whose = std::exchange(place_of_, nullptr);
    auto& gate = directory_.gate();
    if (was == place::waiting && gate.give_up(whose->lane, ticket_, admitted)) return;
    gate.leave(whose->lane, admitted);
}

void limiter::began(time_point now) noexcept {
    began_ = now;
    waits_since_ = never;
    time_warned_ = false;
}

limiter::time_point limiter::deadline(bool runs) const noexcept {
    if (place_ == place::waiting) return waits_since_ + tenant_->of->query_wait_timeout;
    if (!runs || began_ == never || time_warned_) return never;
    if (mode_of(limit_kind::query_timeout) == enforcement::off) return never;
    return began_ + tenant_->of->query_timeout;
}

ruling limiter::waited_too_long() {
    const auto& t = *tenant_->of;
    const bool own =
        effective(t.max_concurrent_mode) == enforcement::enforce &&
        (options_->max_concurrent_requests == 0 || tenant_->lane.running() >= t.max_concurrent);
    const auto kind = own ? limit_kind::max_concurrent : limit_kind::max_concurrent_requests;
    const auto most = own ? t.max_concurrent : options_->max_concurrent_requests;
    return met(kind, try_again, "no place within " + std::string{to_string(kind)},
               std::to_string(most) + " requests at a time; query_wait_timeout is " +
                   ms(t.query_wait_timeout) + ".",
               retry_after(wait_hint));
}

ruling limiter::timed_out() {
    auto out =
        met(limit_kind::query_timeout, query_canceled, "canceling statement due to query_timeout",
            "query_timeout is " + ms(tenant_->of->query_timeout) + ".", {});
    time_warned_ = !out.refused();
    return out;
}

ruling limiter::add_row(std::size_t size) {
    ++rows_;
    bytes_ += size;
    const auto& t = *tenant_->of;
    if (row_warned_ || (rows_ <= t.max_result_rows && bytes_ <= t.max_result_bytes)) return {};
    auto out = whole_answer(rows_, bytes_);
    row_warned_ = out.what == enforcement::warn;
    return out;
}

void limiter::statement_ended() noexcept {
    rows_ = 0;
    bytes_ = 0;
    row_warned_ = false;
}

ruling limiter::whole_answer(std::uint64_t rows, std::size_t size) {
    const auto& t = *tenant_->of;
    ruling out;
    const auto off = [this](limit_kind k) { return mode_of(k) == enforcement::off; };
    if (rows > t.max_result_rows && !off(limit_kind::max_result_rows))
        out = met(limit_kind::max_result_rows, too_much, "result exceeds max_result_rows",
                  "At most " + std::to_string(t.max_result_rows) + " rows.",
                  "Ask for fewer rows at a time, with LIMIT.");
    if (!out.refused() && size > t.max_result_bytes && !off(limit_kind::max_result_bytes))
        if (auto more =
                met(limit_kind::max_result_bytes, too_much, "result exceeds max_result_bytes",
                    "At most " + std::to_string(t.max_result_bytes) + " bytes of rows.",
                    "Ask for fewer rows or columns at a time.");
            more.what != enforcement::off)
            out = std::move(more);
    return out;
}

bool limiter::cuts_answers() const noexcept {
    return mode_of(limit_kind::max_result_rows) == enforcement::enforce ||
           mode_of(limit_kind::max_result_bytes) == enforcement::enforce;
}

bool limiter::bounds_pages() const noexcept {
    return mode_of(limit_kind::max_page_size) != enforcement::off;
}

ruling limiter::page(std::uint64_t rows) {
    const auto most = tenant_->of->max_page_size;
    if (rows <= most) return {};
    return met(limit_kind::max_page_size, too_much, "LIMIT exceeds max_page_size",
               "At most " + std::to_string(most) + " rows a page.", {});
}

ruling limiter::page_needed() {
    return met(limit_kind::default_page_size, too_much, "SELECT without LIMIT",
               "The rule of its tables asks for one.",
               "Say how many rows, with LIMIT " + std::to_string(tenant_->of->max_page_size) +
                   " at most.");
}

std::uint32_t limiter::page_to_cut_at() const noexcept {
    return mode_of(limit_kind::default_page_size) == enforcement::enforce
               ? tenant_->of->default_page_size
               : 0;
}

std::string limiter::page_ended() {
    directory_.count(*tenant_, limit_kind::default_page_size);
    const auto rows = std::to_string(tenant_->of->default_page_size);
    std::string out;
    protocol::write_notice(out, "WARNING", "01000",
                           "answer cut at default_page_size of tenant \"" + tenant_->name + "\"",
                           "There are more than these " + rows + " rows.",
                           "Say how many rows, with LIMIT.");
    return out;
}

}  // namespace pgsidecar::core
