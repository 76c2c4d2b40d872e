// The prepared statements of one session, seen twice: as the client believes them to be, and as
// they are at the server once it has read everything that was sent. The two differ after a Parse
// was answered from the cache (the server has not heard of it) or after a simple query was (which
// drops the unnamed statement). Before a message that names a statement leaves for the server, the
// session asks repair() what to send ahead. Both views are moved when a message is sent, and moved
// back when the server turns out to have refused or skipped it. Protocol 3.0, "Extended Query".
#pragma once
#include <cstdint>
#include <iterator>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cache/key.h"
#include "proxy/core/decider.h"

namespace pgsidecar::core {

// A literal such as 'now' stands for the time at which the server first reads it.
[[nodiscard]] bool is_of_its_time(const statement_text& text) noexcept;

// What a server says of a prepared statement, without what may change under it: tables are told by
// number, and may be made anew.
struct statement_description {
    std::string parameters;  // their types, as in ParameterDescription and in Parse; empty: unknown
    std::string columns;     // names and types
    cache::hash128 hash{};   // of both
    [[nodiscard]] bool agrees(const statement_description& other) const noexcept {
        return columns == other.columns &&
               (parameters.empty() || other.parameters.empty() || parameters == other.parameters);
    }
};
using description_ptr = std::shared_ptr<const statement_description>;
[[nodiscard]] inline bool same(const description_ptr& a, const description_ptr& b) noexcept {
    return a == b || (a && b && a->agrees(*b));
}

// One definition: immutable, shared by both views and by the replies that are owed.
struct prepared {
    std::shared_ptr<const statement_text> text;
    std::string types{};     // the Parse message's list of type oids, as sent
    int sql_statement = -1;  // made by SQL PREPARE: its place in the text; no Parse can repeat it
    unsigned version = 0;    // how many of the same text and types were outdated before it was made
    // Of the database when it was made: what is prepared after a change may find other tables.
    std::uint64_t definitions = 0;
    // The settings that its literals were read by. See session::literals_read_by().
    std::shared_ptr<const std::string> literals = nullptr;
    std::size_t hash = 0;  // of text, types, version and definitions
    // Set: no other session's statement is the same, at whatever server connection. Its text is
    // empty.
    std::shared_ptr<const std::string> own = nullptr;
    // Those that its names meant then; empty: not known, or it is no read.
    std::vector<const cache::table_state*> tables{};
    // The definitions by which the server has bound it since: had its columns changed, it would
    // have refused. Of the worker whose it is, as is the next.
    mutable std::uint64_t bound_by = 0;
    // Its tables have changed so that the server refuses it.
    mutable bool outdated = false;

    // False: that parameter (from 0) was declared to be of a type whose bytes are not those of its
    // text. Undeclared ones are what the statement makes of them.
    [[nodiscard]] bool takes_text(std::size_t parameter) const;
    // A PREPARE alone in its text, which can be sent anew.
    [[nodiscard]] bool is_repeatable() const noexcept {
        return sql_statement >= 0 && text && text->facts().statements.size() == 1 &&
               !is_of_its_time(*text);
    }
    // Only the server has it: it cannot be prepared anew elsewhere.
    [[nodiscard]] bool is_private() const noexcept {
        return (sql_statement >= 0 && !is_repeatable()) || (text && text->facts().too_long);
    }
};
using prepared_ptr = std::shared_ptr<const prepared>;

// The EXECUTE that the statement is or runs; null: none.
[[nodiscard]] const policy::statement_facts* execute_in(const policy::statement_facts& statement);

// Of the statements in a text: the names of those prepared ones that it makes, runs or drops.
[[nodiscard]] std::vector<std::string_view> named_statements(const statement_text& text);

class prepared_statements {
  public:
    struct views {
        prepared_ptr client;
        prepared_ptr server;
        // What the client was told of it, by which it reads rows and writes parameters. Null:
        // nothing.
        description_ptr told{};
        std::shared_ptr<const std::string> told_by{};  // by what the server had read it
        bool operator==(const views&) const = default;
        void restore_client(const views& before) {
            client = before.client;
            told = before.told;
            told_by = before.told_by;
        }
    };
    enum class repair_step { none, parse, close, close_and_parse };

    [[nodiscard]] const prepared_ptr& client(std::string_view name) const {
        return get(name).client;
    }
    // Until the next call that changes anything.
    [[nodiscard]] const views& get(std::string_view name) const {
        static const views nothing;
        if (name.empty()) return unnamed_;
        const auto it = slots_.find(name);
        return it == slots_.end() ? nothing : it->second;
    }
    void set(std::string_view name, views v) {
        if (name.empty()) {
            count(name, unnamed_, -1);
            count(name, v, 1);
            unnamed_ = std::move(v);
            return;
        }
        const auto it = slots_.find(name);
        if (it != slots_.end()) count(name, it->second, -1);
        count(name, v, 1);
        if (!v.client && !v.server) {
            if (it != slots_.end()) slots_.erase(it);
        } else if (it != slots_.end()) {
            it->second = std::move(v);
        } else {
            slots_.emplace(std::string{name}, std::move(v));
        }
    }
    void set_client(std::string_view name, prepared_ptr definition) {
        auto v = get(name);
        v.client = std::move(definition);
        v.told.reset();
        v.told_by.reset();
        set(name, std::move(v));
    }
    // The client's statement of that name was described to it.
    void tell(std::string_view name, description_ptr as,
              std::shared_ptr<const std::string> read_by) {
        auto v = get(name);
        v.told = std::move(as);
        v.told_by = std::move(read_by);
        set(name, std::move(v));
    }
    // The client's statement goes on as that one, of which it believes the same.
    void retype(std::string_view name, prepared_ptr definition) {
        auto v = get(name);
        v.client = std::move(definition);
        set(name, std::move(v));
    }
    // Of some the client was told something.
    [[nodiscard]] bool holds_told() const noexcept { return told_ > 0; }
    // What brings the server's view of this name to the client's.
    [[nodiscard]] repair_step repair(std::string_view name) const {
        const auto& v = get(name);
        if (v.client == v.server) return repair_step::none;
        if (!v.client) return repair_step::close;
        // A Parse of the unnamed statement replaces what was there.
        return v.server && !name.empty() ? repair_step::close_and_parse : repair_step::parse;
    }
    // Whose definition only the client knows.
    [[nodiscard]] std::vector<std::string> unheard() const {
        std::vector<std::string> names;
        if (unnamed_.client && unnamed_.client != unnamed_.server) names.emplace_back();
        for (const auto& [name, v] : slots_)
            if (v.client && v.client != v.server) names.push_back(name);
        return names;
    }
    struct slot {
        std::string name;
        views both;
    };
    // Takes out what DEALLOCATE of that name does; "" is ALL, which like DISCARD ALL leaves the
    // unnamed statement alone.
    [[nodiscard]] std::vector<slot> drop(std::string_view name) {
        std::vector<slot> out;
        for (auto it = slots_.begin(); it != slots_.end();) {
            const bool goes = name.empty() || it->first == name;
            if (goes) count(it->first, it->second, -1);
            if (goes) out.push_back({it->first, std::move(it->second)});
            it = goes ? slots_.erase(it) : std::next(it);
        }
        return out;
    }
    // They were not dropped after all. What has taken a name since then keeps it.
    void restore(std::vector<slot> dropped) {
        for (auto& s : dropped)
            if (!slots_.contains(s.name)) set(s.name, std::move(s.both));
    }
    // Some of them cannot be prepared anew elsewhere.
    [[nodiscard]] bool holds_private() const noexcept { return private_ > 0; }
    // How many PREPARE has made that can be.
    [[nodiscard]] int repeatable() const noexcept { return repeatable_; }
    // Each of those, with its name.
    template <class F>
    void each_repeatable(const F& f) const {
        if (repeatable_ == 0) return;
        for (const auto& [name, v] : slots_)
            if (v.client && v.client->is_repeatable()) f(name, *v.client);
    }
    // The unnamed statement at the server is another session's.
    void find_foreign_unnamed() {
        static const prepared foreign;
        unnamed_.server = {prepared_ptr{}, &foreign};  // counted by nobody
    }
    // The server connection is another session's from now on; adds the names that are left there,
    // but for those that PREPARE has made: they are at any connection of this session.
    void leave_server(std::vector<std::string>& left, bool& unnamed_left) {
        unnamed_left = unnamed_.server != nullptr;
        unnamed_.server.reset();
        if (named_there_ == 0) return;
        for (auto it = slots_.begin(); it != slots_.end();) {
            if (is_left(it->first, it->second)) {
                left.push_back(it->first);
                it->second.server.reset();
            }
            it = it->second.client ? std::next(it) : slots_.erase(it);
        }
        named_there_ = 0;
    }
    [[nodiscard]] std::size_t size() const noexcept {
        return slots_.size() + (unnamed_ == views{} ? 0 : 1);
    }

  private:
    [[nodiscard]] static bool is_left(std::string_view name, const views& v) noexcept {
        return v.server && !name.empty() && !(v.server == v.client && v.client->is_repeatable());
    }
    void count(std::string_view name, const views& v, int change) noexcept {
        if (v.client && v.client->is_private()) private_ += change;
        if (v.client && v.client->is_repeatable()) repeatable_ += change;
        if (v.told) told_ += change;
        if (is_left(name, v)) named_there_ += change;
    }
    views unnamed_;
    std::map<std::string, views, std::less<>> slots_;  // of those with a name
    int private_ = 0;                                  // slots whose statement is
    int repeatable_ = 0;                               // likewise
    int told_ = 0;                                     // likewise, of which the client was told
    int named_there_ = 0;                              // slots that would be left there
};

}  // namespace pgsidecar::core
