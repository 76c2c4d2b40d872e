// A server connection that clients share, as it is at the server whoever has used it: what is set
// there, what it has reported, which statements are prepared. It belongs to one session while that
// has a transaction, lies idle in between, and may move from worker to worker.
#pragma once
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cache/store.h"
#include "proxy/core/prepared.h"
#include "proxy/core/session_settings.h"

namespace pgsidecar::core {

using shared_values = std::shared_ptr<const session_settings::values>;
using shared_text = std::shared_ptr<const std::string>;

// The statements prepared at one server connection, under names of ours: a number for each
// definition and what it was read by (the tables that it found by the search_path and the types of
// its parameters that follow, the instant that a literal means in a time zone). The least recently
// used is the first to go.
class server_statements {
  public:
    // What is prepared under this number: nothing, ever.
    static constexpr std::uint32_t nobody = 0;
    [[nodiscard]] static std::string name_of(std::uint32_t number);
    // Names that only we may use.
    [[nodiscard]] static bool is_ours(std::string_view name) noexcept;

    // `batch`: of the messages up to one Sync. What an earlier batch prepares and the server has
    // not confirmed is not there yet: that batch may fail before.
    [[nodiscard]] std::optional<std::uint32_t> find(const prepared_ptr& definition,
                                                    const shared_text& read_by,
                                                    std::uint32_t batch);
    // Numbers are never used twice: one that was refused, or dropped behind our back, is no danger.
    std::uint32_t add(prepared_ptr definition, shared_text read_by, std::uint32_t batch);
    void confirm(std::uint32_t number);
    void remove(std::uint32_t number);
    void clear();
    // The oldest of more than `most`, which is to be closed; it is forgotten here.
    [[nodiscard]] std::optional<std::uint32_t> take_excess(std::size_t most);
    // How the server describes it, which it does alike as long as it is there. Null: not known.
    [[nodiscard]] description_ptr description(std::uint32_t number);
    void describe(std::uint32_t number, description_ptr as);
    [[nodiscard]] std::size_t size() const noexcept { return by_use_.size(); }

  private:
    struct item {
        prepared_ptr definition;
        shared_text read_by;
        std::uint32_t number = 0;
        std::uint32_t batch = 0;  // 0: confirmed
        description_ptr description = nullptr;
    };
    [[nodiscard]] std::list<item>::iterator at(std::uint32_t number);
    void forget(std::list<item>::iterator it);
    // By what they say: the sessions of another worker have objects of their own. An empty text is
    // like no other.
    struct key {
        const prepared* definition;
        const std::string* read_by;
        bool operator==(const key& other) const noexcept;
    };
    struct key_hash {
        std::size_t operator()(const key& k) const noexcept {
            return k.definition->hash * 31 + std::hash<std::string>{}(*k.read_by);
        }
    };
    std::list<item> by_use_;  // the last used first
    std::unordered_map<key, std::list<item>::iterator, key_hash> known_;
    std::uint32_t next_ = nobody + 1;
};

struct server_link {
    std::int32_t pid = 0;
    std::string key;  // of its cancel requests

    // What differs from how it began: set by those who used it, and never null.
    shared_values settings = std::make_shared<const session_settings::values>();
    shared_values reported = std::make_shared<const session_settings::values>();
    shared_values began = reported;  // what was reported when it was opened: RESET returns to that
    server_statements statements;
    std::vector<std::string> leftovers;  // statements under clients' own names, to be closed
    // Statements that SQL's PREPARE has made under clients' own names: what made them, and what
    // they were read by.
    std::map<std::string, std::string, std::less<>> by_sql;
    std::vector<std::string> repeats;  // of them, those that are being made anew, in that order
    bool unnamed = false;              // an unnamed one is there, of whoever was here before
    // Custom settings that exist there: unset they are an empty text, not unknown.
    // `known` of them surely, `touched` perhaps.
    std::set<std::string, std::less<>> known, touched;

    // databases::defaults_altered before its log-in, and what the log-in then gave, as the first
    // session to use it believes.
    std::uint64_t login_altered = 0;
    std::shared_ptr<const login_defaults> login;

    cache::time_point opened{};
    cache::time_point idle_since{};
    bool unfit = false;  // not to be used again

    // A ParameterStatus. False: that was known.
    bool report(std::string_view name, std::string_view value);
    // What came while nobody used it. False: it is of no more use.
    [[nodiscard]] bool take_idle(std::string_view bytes);
};

// Text that brings a connection from `is` to `wanted`, as statements of SQL, in which only the
// values depend on client_encoding; empty: nothing is to be done. `first` is to be sent ahead in a
// message of its own: it makes the encoding that of the values.
struct restoring {
    std::string first;
    std::string rest;
};
// Text after which custom settings of these names exist, and are unset.
[[nodiscard]] std::string make_known(const std::vector<std::string_view>& names);
[[nodiscard]] restoring restore_settings(const session_settings::values& is,
                                         const session_settings::values& wanted);

}  // namespace pgsidecar::core
