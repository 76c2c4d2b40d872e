// What the tenant of one session may use, and what its request under way has used of it. It decides
// and words; the session acts. Made when the log-in is done, and only where limits are in force.
//
//     resolve -> charge -> enter -> (waiting -> admitted | given up) -> began -> add_row ... ->
//     leave
//
// A place at the gate is held while a request runs, from its first message to the server until
// nothing is owed any more, and for as long as a transaction is open: who waits in one may hold
// what the others wait for. Texts of rulings are whole messages of the protocol.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/versions.h"
#include "policy/tenants.h"

namespace pgsidecar::core {

// off: nothing to say. warn: `message` is a NoticeResponse. enforce: it is an ErrorResponse, and
// what was asked for is refused.
struct ruling {
    policy::enforcement what = policy::enforcement::off;
    std::string message{};
    [[nodiscard]] bool refused() const noexcept { return what == policy::enforcement::enforce; }
};

class limiter {
  public:
    using time_point = policy::rate_limiter::time_point;
    using tickets = std::vector<policy::gate::ticket>;
    static constexpr time_point never = time_point::max();

    explicit limiter(policy::tenant_directory& directory);
    limiter(const limiter&) = delete;
    limiter& operator=(const limiter&) = delete;

    // The limits as they are by now, for a request of which nothing has been sent or charged yet.
    void adopt(time_point now);
    // None is in force from here on, whatever is under way, until adopt() finds others. A place at
    // the gate is left by leave(), as ever.
    void lift() noexcept;
    // Asked before each request; looks again when `revision` or a comment says that the answer may
    // be another one. Not while a place is waited for: that is the present tenant's.
    void resolve(const policy::tenant_evidence& evidence, std::uint64_t revision, time_point now);
    // Would it say another one?
    [[nodiscard]] bool changes_with(const policy::tenant_evidence& evidence,
                                    std::uint64_t revision) const;
    [[nodiscard]] const policy::tenant& tenant() const noexcept { return *tenant_; }
    // What INVALIDATE TENANT has said of it; null: nothing so far.
    [[nodiscard]] const cache::table_state* tenant_state(const cache::versions& all);
    // False: it only tells who the tenant is.
    [[nodiscard]] bool in_force() const noexcept {
        return !lifted_ && options_->limits != policy::enforcement::off;
    }
    [[nodiscard]] bool reads_comments() const noexcept { return reads_comments_; }
    [[nodiscard]] std::shared_ptr<const policy::tenant> shared_tenant() const noexcept {
        return tenant_;
    }

    // Once for each request, however often it is shown.
    [[nodiscard]] ruling charge(std::uint32_t queries, time_point now);
    // An Execute that was not charged together with others.
    [[nodiscard]] ruling charge_one(time_point now);
    void request_consumed() noexcept;
    // The request in front is shown, for the first time or again.
    void asked(time_point now) noexcept {
        if (asked_ == never) asked_ = now;
    }
    // When the request in front, or the last one that was consumed, was shown first.
    // Zero: nobody has kept it.
    [[nodiscard]] time_point since() const noexcept { return asked_ == never ? last_ : asked_; }
    void forget_time() noexcept { asked_ = never, last_ = {}; }

    [[nodiscard]] bool inside() const noexcept { return place_ == place::held; }
    [[nodiscard]] bool waiting() const noexcept { return place_ == place::waiting; }
    // False: it waits, until admitted() or give_up().
    [[nodiscard]] bool enter(policy::gate::ticket who, time_point now, tickets& admitted);
    // Past the others: a request in an open transaction may hold what they wait for.
    void enter_at_once();
    // Runs above a number that is only watched: a notice.
    [[nodiscard]] ruling crowded();
    void admitted() noexcept { place_ = place::held; }
    void leave(tickets& admitted);  // also ends waiting; nothing happens without a place

    void began(time_point now) noexcept;  // the request runs from here
    void ended() noexcept { began_ = never; }
    [[nodiscard]] bool running() const noexcept { return began_ != never; }
    // When something is due: the end of the wait at the gate, or query_timeout. May be in the past.
    [[nodiscard]] time_point deadline(bool runs) const noexcept;
    [[nodiscard]] ruling waited_too_long();
    [[nodiscard]] ruling timed_out();
    // For how long a request may run.
    [[nodiscard]] std::chrono::milliseconds patience() const noexcept {
        return tenant_->of->query_timeout;
    }

    // A row of `size` bytes, its message's head included.
    [[nodiscard]] ruling add_row(std::size_t size);
    void statement_ended() noexcept;
    // An answer as it lies in the cache.
    [[nodiscard]] ruling whole_answer(std::uint64_t rows, std::size_t size);
    // Can an answer be cut?
    [[nodiscard]] bool cuts_answers() const noexcept;
    [[nodiscard]] bool bounds_pages() const noexcept;
    [[nodiscard]] ruling page(std::uint64_t rows);
    // A rule asks for a LIMIT, and there is none.
    [[nodiscard]] ruling page_needed();
    // Or for a cut: after so many rows; 0: not while limits only warn.
    [[nodiscard]] std::uint32_t page_to_cut_at() const noexcept;
    [[nodiscard]] std::string page_ended();  // a NoticeResponse
    [[nodiscard]] std::uint64_t rows() const noexcept { return rows_; }

    bool pages_judged = false;  // of the batch that is being forwarded

    // ErrorResponse with which the request in front is to be answered; empty: it is not refused.
    std::string refusal{};

  private:
    enum class place : std::uint8_t { none, waiting, held };

    [[nodiscard]] policy::enforcement mode_of(policy::limit_kind k) const noexcept;
    [[nodiscard]] policy::enforcement effective(policy::enforcement e) const noexcept {
        return lifted_ ? policy::enforcement::off : options_->effective(e);
    }
    void take_options();
    [[nodiscard]] bool may_be_tagged(std::string_view sql) const noexcept;
    [[nodiscard]] bool is_settled(bool tagged, std::uint64_t revision) const noexcept;
    [[nodiscard]] ruling met(policy::limit_kind k, std::string_view sqlstate,
                             std::string_view message, std::string_view detail,
                             std::string_view hint);

    policy::tenant_directory& directory_;
    std::shared_ptr<const policy::tenant_options> options_;
    std::shared_ptr<policy::tenant> tenant_;
    std::shared_ptr<policy::tenant> place_of_;  // whose place is held: who asked for it
    std::uint64_t revision_ = 0;
    std::uint64_t generation_ = 0;  // of the options
    bool reads_comments_ = false;
    std::uint64_t named_ = 0;  // cache::versions::tenants_named() as of state_; 0: look again
    const cache::table_state* state_ = nullptr;
    bool stands_in_ = false;  // the default tenant, for one that there was no room for
    bool outdated_ = false;   // sources may say another tenant
    bool lifted_ = false;
    bool by_comment_ = false;
    bool charged_ = false;
    bool row_warned_ = false;
    bool time_warned_ = false;
    place place_ = place::none;
    policy::gate::ticket ticket_ = 0;
    std::uint32_t prepaid_ = 0;  // Executes of a batch that were charged together
    std::uint64_t rows_ = 0;     // of the statement under way
    std::size_t bytes_ = 0;
    time_point waits_since_ = never;
    time_point asked_ = never;
    time_point last_{};
    time_point began_ = never;
};

}  // namespace pgsidecar::core
