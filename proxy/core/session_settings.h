// The settings (GUCs) in effect in one session, followed from what was sent and what the server
// acknowledged: start-up parameters, SET, SET LOCAL, RESET, SET ROLE, SET SESSION AUTHORIZATION,
// DISCARD, with savepoints and rollback as PostgreSQL's guc.c has them. The result is a part of
// every cache key. apply() is called when the server has acknowledged the statement; the
// transaction calls follow the same acknowledgements. What cannot be followed is the caller's to
// notice (it taints).
#pragma once
#include <array>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "policy/facts.h"

namespace pgsidecar::core {

class session_settings {
  public:
    using values = std::map<std::string, std::string, std::less<>>;

    // Values that RESET returns to: the start-up packet's parameters and its "options".
    void start(std::string_view name, std::string_view value);
    // Parses the start-up packet's "options" (-c name=value, --name=value, backslash escapes).
    // False: something in it was not understood.
    [[nodiscard]] bool start_options(std::string_view options);

    // The same options without those settings, in words that the server reads alike.
    [[nodiscard]] static std::string options_without(
        std::string_view options, const std::function<bool(std::string_view)>& goes);

    void apply(const policy::setting_change& change);
    // A custom setting (with a dot in its name) may have been made. From then on it exists: it is
    // an empty text where it was unknown before, whatever is reset, rolled back or discarded later.
    void touch(std::string_view name);
    void discard_all();
    // Whether a RESET has returned it to its beginning, and nothing that is followed has set it
    // since. Whoever knows of what is not followed has those forgotten that may have been set by
    // it.
    [[nodiscard]] bool has_returned(std::string_view name) const {
        return seen().returned.contains(name);
    }
    void forget_returned(const std::function<bool(std::string_view)>& which);

    // One implicit or explicit transaction. begin() is idempotent while one is open.
    void begin();
    void commit();
    void rollback();
    // False: too many to follow; the caller must taint the session.
    [[nodiscard]] bool savepoint(std::string_view name);
    void release(std::string_view name);
    void rollback_to(std::string_view name);
    [[nodiscard]] bool in_transaction() const noexcept { return !seen().frames.empty(); }

    // What RESET returns to; nullptr: not given in the start-up packet.
    [[nodiscard]] const std::string* at_start(std::string_view name) const {
        const auto it = start_.find(name);
        return it == start_.end() ? nullptr : &it->second;
    }
    // Those by which unqualified names are found.
    static constexpr std::array<std::string_view, 3> of_path{"search_path", "role",
                                                             "session_authorization"};
    // Who the session works as: RESET ALL leaves that alone.
    [[nodiscard]] static bool names_a_role(std::string_view name) noexcept {
        return name == "role" || name == "session_authorization";
    }
    // The open transaction's end, or its return to a savepoint, may change this one.
    [[nodiscard]] bool set_in_transaction(std::string_view name) const;
    // Likewise, one that setting_is_read_by().
    [[nodiscard]] bool reading_set_in_transaction() const;
    // What was set since, and which custom settings may have been made. Outside a transaction.
    [[nodiscard]] const values& changed() const noexcept { return seen().set; }
    [[nodiscard]] const std::set<std::string, std::less<>>& touched() const noexcept {
        return seen().touched;
    }
    // nullptr: neither set nor given at start-up; the log-in default counts.
    [[nodiscard]] const std::string* find(std::string_view name) const;
    // Canonical text of everything that can change an answer; settings that cannot
    // (application_name, time-outs, keepalives) are left out so that sessions which differ only
    // there share entries.
    [[nodiscard]] std::string key_text() const;

    // Canonical text of those that literals_are_read_by(); `reported`: those that the
    // server tells of, for what nobody here has set.
    [[nodiscard]] std::string literals_text(const values& reported) const;

    // Bumped at each change, so that derived values know when to be made again.
    [[nodiscard]] std::uint64_t revision() const noexcept { return revision_; }

  private:
    struct frame {
        std::string savepoint;  // empty for the transaction itself
        values at_start;
        values local;  // names set with LOCAL in this frame, with the value to return to at commit
        // Names set without LOCAL in this frame: if it is not rolled back, they overrule what
        // outer frames would return to.
        std::set<std::string, std::less<>> kept;
        std::set<std::string, std::less<>> returned;  // at its start
    };
    void put(values& where, std::string_view name, std::string value);
    void keep(const std::string& name);
    void return_all();
    void merge_into_outer(std::size_t inner);

    struct changes {
        values set;
        std::set<std::string, std::less<>> touched, returned;
        std::vector<frame> frames;
    };
    [[nodiscard]] const changes& seen() const noexcept;
    [[nodiscard]] changes& mine();

    values start_;
    std::unique_ptr<changes> changes_;  // null in a session that only waits
    std::uint64_t revision_ = 1;
};

// False for settings that cannot change the bytes of an answer.
[[nodiscard]] bool setting_matters(std::string_view name) noexcept;
// The server may read a text by it: the time zone of a literal, the search_path of a name. Custom
// settings (with a dot) it asks for when a statement runs.
[[nodiscard]] bool setting_is_read_by(std::string_view name) noexcept;
// Likewise, but once for all when a text is prepared: whatever a literal means. Names are looked up
// anew after a change of the search_path or the role.
[[nodiscard]] bool literals_are_read_by(std::string_view name) noexcept;
// By it the server writes what it has computed while it planned a statement.
[[nodiscard]] bool constants_are_written_by(std::string_view name) noexcept;

}  // namespace pgsidecar::core
