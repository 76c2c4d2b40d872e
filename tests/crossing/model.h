// What one session must see: its settings, with transactions and savepoints as the server has them,
// its temporary table, and what it has written and not committed. Changed when a statement is sent,
// for each statement's outcome is known beforehand.
//
//     idle --begin()--> block --fail()--> failed --roll_back()--> idle
//                       block --commit()--> idle        failed --roll_back_to()--> block
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "world.h"

namespace pgsidecar::crossing {

enum class setting : std::uint8_t { tenant, path, role, zone, style, digits, output, application };
inline constexpr std::size_t setting_count = 8;
[[nodiscard]] std::string_view name_of(setting s);
inline constexpr std::string_view default_path = "\"$user\", public";

using counter = std::shared_ptr<std::int64_t>;  // told by the answer of the UPDATE

struct uncommitted {
    std::size_t where = 0;  // world::index()
    counter now;
};

class model {
  public:
    using values = std::array<std::string, setting_count>;
    // RESET at a shared connection returns to what that began with, and an application_name given
    // at the start is not part of that: then it may say anything.
    static constexpr std::string_view any = "?";

    // What a connection begins with.
    void log_in(party user, values defaults);

    [[nodiscard]] const std::string& get(setting s) const { return now_.now[at(s)]; }
    [[nodiscard]] bool is_default(setting s) const { return get(s) == defaults_[at(s)]; }
    [[nodiscard]] const std::string& at_start(setting s) const { return defaults_[at(s)]; }
    void set(setting s, std::string word, bool local);
    void reset(setting s) { set(s, after_reset(at(s)), false); }
    void reset_all();  // all but the role
    void discard_all();

    [[nodiscard]] char status() const noexcept { return status_; }  // as ReadyForQuery says it
    [[nodiscard]] bool in_transaction() const noexcept { return !saved_.empty(); }
    [[nodiscard]] std::size_t savepoints() const noexcept {
        return saved_.empty() ? 0 : saved_.size() - 1;
    }
    void begin(bool implicit);
    // Rows that may be seen by others from now on.
    [[nodiscard]] std::vector<uncommitted> commit();
    void roll_back();
    void savepoint() { saved_.push_back(now_); }
    void roll_back_to(std::size_t n);
    void release(std::size_t n) { saved_.resize(n + 1); }
    void fail();

    [[nodiscard]] party user() const noexcept { return user_; }
    [[nodiscard]] party by_setting() const { return party_of(get(setting::tenant)); }
    [[nodiscard]] party by_role() const;
    [[nodiscard]] party by_path() const;
    [[nodiscard]] party of(table t) const;

    // item is a temporary table, whose rows say this instead of a counter.
    [[nodiscard]] const std::string& temporary() const noexcept { return now_.temporary; }
    void set_temporary(std::string mark) { now_.temporary = std::move(mark); }

    // Row locks are taken in one order, so that no two sessions wait for each other.
    [[nodiscard]] bool may_write(std::size_t where) const noexcept { return where >= last_locked_; }
    void wrote(std::size_t where, counter now);
    // The session's own uncommitted value; null: none.
    [[nodiscard]] counter own(std::size_t where) const;

    // The id of item is a bigint here: of some schemas it is. A statement keeps the columns that it
    // was prepared with, so it may only be used where they are the same.
    [[nodiscard]] bool wide_item() const { return now_.temporary.empty() && by_path() % 2 == 1; }
    struct statement {
        int text = 0;
        bool wide = false;  // prepared where item was so
    };
    std::map<std::string, statement> statements, sql_statements;  // by name

  private:
    struct view {
        values kept, now;  // what a commit leaves, and what is in effect
        std::string temporary;
        std::size_t written = 0;
    };
    [[nodiscard]] static std::size_t at(setting s) { return static_cast<std::size_t>(s); }

    [[nodiscard]] std::string after_reset(std::size_t i) const {
        const bool unclear = i == at(setting::application) && !defaults_[i].empty();
        return unclear ? std::string{any} : defaults_[i];
    }

    party user_ = first_user;
    values defaults_;
    view now_;
    std::vector<view> saved_;  // as it was at BEGIN and at each savepoint
    char status_ = 'I';
    std::vector<uncommitted> written_;
    std::size_t last_locked_ = 0;
};

}  // namespace pgsidecar::crossing
