// Which databases are paused or disabled, by the operator's word: one for all workers. A log-in
// asks it before it goes any further; what a pause means to shared server connections the pool
// ledger knows by itself (hold()). Any thread; without such a word a question costs one atomic
// load.
#pragma once
#include <atomic>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace pgsidecar::core {

class traffic {
  public:
    struct word {
        bool paused = false;
        bool disabled = false;
    };

    [[nodiscard]] bool paused(std::string_view database) const { return of(database).paused; }
    [[nodiscard]] bool disabled(std::string_view database) const { return of(database).disabled; }
    [[nodiscard]] bool everything_paused() const;

    // False: it is so already. An empty name pauses or resumes everything, which is a word of its
    // own: a database that is paused by name stays so.
    bool pause(std::string_view database) { return set(database, &word::paused, true); }
    bool resume(std::string_view database) { return set(database, &word::paused, false); }
    bool disable(std::string_view database) { return set(database, &word::disabled, true); }
    bool enable(std::string_view database) { return set(database, &word::disabled, false); }

    // Those that something was said about by name.
    [[nodiscard]] std::map<std::string, word, std::less<>> words() const;

  private:
    [[nodiscard]] word of(std::string_view database) const;
    bool set(std::string_view database, bool word::*what, bool value);

    std::atomic<bool> any_{false};
    mutable std::mutex mutex_;
    bool everything_paused_ = false;
    std::map<std::string, word, std::less<>> by_name_;
};

}  // namespace pgsidecar::core
