#include "proxy/io/transaction_wait.h"

#include <algorithm>
#include <utility>

namespace pgsidecar::io {
namespace {

using std::chrono::milliseconds;

// Within it a server process that is idle has read what the dead one sent it last.
constexpr milliseconds grace{1000};
constexpr milliseconds between_looks{200};

// Each transaction holds the lock on its own number until others see what it did. Everybody may
// read these, whatever their rights.
constexpr auto running_now =
    "SELECT virtualxid FROM pg_catalog.pg_locks WHERE locktype = 'virtualxid' AND "
    "mode = 'ExclusiveLock' AND granted AND pid <> pg_catalog.pg_backend_pid()";

}  // namespace

transaction_wait::transaction_wait(const config::settings& settings, std::function<void()> done)
    : settings_{settings}, thread_{[this, then = std::move(done)] { run(then); }} {}

transaction_wait::~transaction_wait() {
    {
        const std::lock_guard lock{mutex_};
        stopping_ = true;
    }
    changed_.notify_all();
    thread_.join();
}

bool transaction_wait::pause(milliseconds length) {
    std::unique_lock lock{mutex_};
    return !changed_.wait_for(lock, length, [this] { return stopping_; });
}

bool transaction_wait::look(std::set<std::string>& running) {
    if (!connection_)
        connection_ =
            control_parameters{settings_}.application_name("pgsidecar hand-over").connect();
    const result_ptr r{PQexec(connection_.get(), running_now)};
    if (PQresultStatus(r.get()) != PGRES_TUPLES_OK) {
        connection_.reset();
        return false;
    }
    running.clear();
    for (int i = 0; i < PQntuples(r.get()); ++i) running.emplace(PQgetvalue(r.get(), i, 0));
    return true;
}

void transaction_wait::run(const std::function<void()>& done) {
    if (!pause(grace)) return;
    std::set<std::string> before, now;
    while (!look(before))
        if (!pause(grace)) return;
    while (!before.empty()) {
        if (!pause(between_looks)) return;
        if (!look(now)) continue;
        std::erase_if(before, [&now](const std::string& one) { return !now.contains(one); });
    }
    connection_.reset();
    done();
}

}  // namespace pgsidecar::io
