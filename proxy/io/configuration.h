// The configuration of the running program: the files it is loaded from, what was SET above them,
// and the last ones that were good. On main()'s thread, all of it.
//
//     start() once -> attach() -> reload() | rollback() | set() | unset(), as often as wanted
//
// Each change is loaded and checked as a whole first; one that is not valid changes nothing. A
// valid one is in force on every worker when the handler is called. What it changes of the keys
// that need a restart waits for that: the program goes on with what it has, and says so. All of it
// is logged.
//
// What was SET stands above the file, also after a reload, until a reload finds that the file says
// something else of that key than it did: so an edit of one thing does not turn another on again.
#pragma once
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/load.h"

namespace pgsidecar::io {

class configuration {
  public:
    struct result {
        bool ok = false;
        std::vector<std::string> problems{};  // one line each, as `pgsidecar check` prints them
        std::vector<std::string> changed{};   // keys with other values than before
        std::vector<std::string> waiting{};   // keys that the file gives otherwise: after a restart
        std::vector<std::string> dropped{};   // keys that are not SET any more
    };
    using handler = std::function<void(const result&)>;  // may be null
    // Makes the settings those that the program runs by, and calls `all` when every worker does;
    // or says why that cannot be, and then nothing has changed.
    using target = std::function<std::string(std::shared_ptr<const config::settings>,
                                             std::function<void()> all)>;
    struct kept {
        std::chrono::system_clock::time_point since;  // it was put in force
        std::string why;
        std::vector<std::string> changed;  // against the one before it
    };
    static constexpr std::size_t most_kept = 10;

    explicit configuration(config::sources from);
    ~configuration();
    configuration(const configuration&) = delete;
    configuration& operator=(const configuration&) = delete;

    [[nodiscard]] result start();
    void attach(target to) { target_ = std::move(to); }

    // `why`: for the log and history(): "SIGHUP", "RELOAD".
    void reload(std::string why, const handler& then = {});
    // To the one before the present one, which is forgotten. The files stay as they are, and are
    // not loaded before the next reload.
    void rollback(const handler& then = {});
    // One key above the others, as of the files that were loaded last.
    void set(const std::string& key, const std::string& value, const handler& then = {});
    void unset(const std::string& key, const handler& then = {});

    // In force now; a key that waits for a restart says so as its origin.
    [[nodiscard]] const config::load_result& current() const noexcept;
    [[nodiscard]] std::shared_ptr<const config::settings> settings() const;
    [[nodiscard]] std::vector<std::string> waiting() const;
    [[nodiscard]] std::map<std::string, std::string> given() const;  // what is SET
    [[nodiscard]] std::vector<kept> history() const;                 // the newest, in force, first
    // The last attempt to load the files anew was refused: what is in force is not what they say.
    struct refusal {
        std::chrono::system_clock::time_point at;
        std::string why;  // as in history()
    };
    [[nodiscard]] const std::optional<refusal>& refused() const noexcept { return refused_; }

    // For who watches the files: those that the present settings are made of, or that were missing.
    [[nodiscard]] std::vector<std::string> files() const;
    // Of all that these hold, as of the last attempt to load them, and as of now.
    [[nodiscard]] std::uint64_t read_fingerprint() const noexcept { return read_; }
    [[nodiscard]] std::uint64_t disk_fingerprint() const;

  private:
    struct state;
    using state_ptr = std::shared_ptr<state>;

    [[nodiscard]] static std::vector<std::string> files_of(const state& s);
    [[nodiscard]] std::vector<std::string> check(state& next) const;
    // False: it was refused.
    bool take(const state_ptr& next, result r, bool rolls_back, const handler& then);
    static void refuse(const std::string& why, result r, const handler& then);
    static void tell(const state& next, const result& r, bool rolls_back);

    const config::sources from_;
    target target_;
    std::deque<state_ptr> kept_;  // the last one is in force
    std::uint64_t read_ = 0;
    std::optional<refusal> refused_;
};

}  // namespace pgsidecar::io
