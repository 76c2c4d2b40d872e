// The console's commands that change what goes on: PAUSE to SHUTDOWN, and INVALIDATE.
#include <algorithm>
#include <boost/asio/post.hpp>
#include <numeric>
#include <utility>

#include "proxy/io/ask_workers.h"
#include "proxy/io/console.h"

namespace pgsidecar::io {
namespace {

using kind = ops::console_command::kind;
using reach = ops::console_command::reach;
using ops::console_answer;
using std::chrono::steady_clock;

constexpr auto look_interval = std::chrono::milliseconds{50};

console_answer failed(std::string_view sqlstate, std::string message) {
    console_answer out;
    out.error = {std::string{sqlstate}, std::move(message), {}, {}};
    return out;
}

console_answer no_such_database() { return failed("3D000", "no such database"); }

void carry_out(server& of, core::pool_ledger::orders todo) {
    if (todo.open.empty() && todo.close.empty()) return;
    auto& any = of.worker_of(0);
    any.post([&any, todo = std::move(todo)] { any.pools().carry_out(todo); });
}

}  // namespace

// Somebody has used it since the program began, or said something about it.
bool console::known(const std::string& database) const {
    if (server_.traffic().words().contains(database)) return true;
    bool found = false;
    server_.databases().for_each(
        [&](const core::database& d) { found = found || d.name() == database; });
    return found;
}

void console::control(const ops::console_command& c, std::uint64_t token, const reply& done) {
    const bool unknown = !c.name.empty() && !known(c.name);
    switch (c.what) {
        case kind::pause:
            return pause(c, token, done);
        case kind::resume:
            return resume(c, done);
        case kind::disable: {
            console_answer out;
            if (unknown) out.notices.emplace_back("no client has used that database so far");
            (void)server_.traffic().disable(c.name);
            return done(std::move(out));
        }
        case kind::enable:
            if (unknown) return done(no_such_database());
            (void)server_.traffic().enable(c.name);
            return done({});
        case kind::reconnect: {
            if (unknown) return done(no_such_database());
            core::pool_ledger::orders todo;
            server_.ledger().outdate(c.name, steady_clock::now(), todo);
            carry_out(server_, std::move(todo));
            return done({});
        }
        case kind::kill:
            return kill(c, done);
        case kind::kill_client:
            return kill_client(c, done);
        case kind::wait_close:
            if (unknown) return done(no_such_database());
            return wait_for(token, c, done);
        default:
            return done(failed("0A000", "not supported"));
    }
}

void console::pause(const ops::console_command& c, std::uint64_t token, const reply& done) {
    if (!server_.traffic().pause(c.name)) return done(failed("55000", "already paused"));
    core::pool_ledger::orders todo;
    server_.ledger().hold(c.name, todo);
    carry_out(server_, std::move(todo));
    wait_for(token, c, done);
}

void console::let_go(const std::string& database) {
    (void)server_.traffic().resume(database);
    core::pool_ledger::orders todo;
    server_.ledger().let_go(database, steady_clock::now(), todo);
    carry_out(server_, std::move(todo));
    for (unsigned i = 0; i < server_.worker_count(); ++i) {
        auto& one = server_.worker_of(i);
        one.post([&one] { one.unpark(); });
    }
}

void console::resume(const ops::console_command& c, const reply& done) {
    const auto& traffic = server_.traffic();
    const auto words = traffic.words();
    const auto its = words.find(c.name);
    const bool paused =
        c.name.empty() ? traffic.everything_paused() : its != words.end() && its->second.paused;
    if (!paused)
        return done(failed(
            "55000", c.name.empty() ? "the program is not paused" : "the database is not paused"));
    // Who waits for the pause to be complete has waited in vain.
    for (auto it = waits_.begin(); it != waits_.end();) {
        if (it->command.what != kind::pause || it->command.name != c.name) {
            ++it;
            continue;
        }
        it->done(failed("55000", "resumed before the pause was complete"));
        it = waits_.erase(it);
    }
    let_go(c.name);
    done({});
}

// As PgBouncer has it: whoever comes afterwards waits for RESUME.
void console::kill(const ops::console_command& c, const reply& done) {
    (void)server_.traffic().pause(c.name);
    core::pool_ledger::orders todo;
    server_.ledger().hold(c.name, todo);
    carry_out(server_, std::move(todo));
    ask_workers<int>(
        server_,
        [name = c.name](worker& w) {
            w.dismiss(name);
            return 0;
        },
        [done](const std::vector<int>&) { done({}); });
}

void console::kill_client(const ops::console_command& c, const reply& done) {
    ask_workers<bool>(
        server_,
        [token = c.number](worker& w) {
            const auto p = w.find(token);
            if (p) p->dismiss();
            return p != nullptr;
        },
        [done](const std::vector<bool>& found) {
            const bool any = std::ranges::find(found, true) != found.end();
            done(any ? console_answer{} : failed("42704", "there is no such client"));
        });
}

void console::wait_for(std::uint64_t token, const ops::console_command& c, const reply& done) {
    waits_.push_back({token, c, done});
    if (waits_.size() == 1) look_again();
}

// How many server connections the command waits for.
void console::count_awaited(const ops::console_command& c, std::function<void(std::size_t)> then) {
    const bool outdated = c.what == kind::wait_close;
    const bool pooled = server_.settings().pool_mode == config::pool_mode::transaction;
    if (!outdated && pooled) {
        std::size_t total = 0;
        for (const auto& p : server_.ledger().list(steady_clock::now()))
            if (c.name.empty() || p.database == c.name) total += p.of.total;
        return then(total);
    }
    ask_workers<std::size_t>(
        server_, [name = c.name, outdated](worker& w) { return w.count_servers(name, outdated); },
        [then = std::move(then)](const std::vector<std::size_t>& each) {
            then(std::accumulate(each.begin(), each.end(), std::size_t{0}));
        });
}

void console::look_again() {
    const auto now = waits_;  // what is over is taken out of it meanwhile
    for (const auto& w : now)
        count_awaited(w.command, [this, token = w.token, what = w.command.what](std::size_t left) {
            if (left > 0) return;
            const auto it = std::ranges::find_if(waits_, [&](const wait& one) {
                return one.token == token && one.command.what == what;
            });
            if (it == waits_.end()) return;
            const auto done = std::move(it->done);
            waits_.erase(it);
            done({});
        });
    timer_.expires_after(look_interval);
    timer_.async_wait([this](boost::system::error_code error) {
        if (!error && !waits_.empty()) look_again();
    });
}

void console::shut_down(const ops::console_command& c, const reply& done) {
    done({});  // before its session goes with the others
    server_.shut_down(c.ends);
}

console_answer console::invalidate(const ops::console_command& c) {
    if (auto* tier = server_.tier()) tier->guard().invalidated();
    if (c.invalidates == reach::table) return invalidate_table(c);
    if (c.invalidates == reach::rule) return invalidate_rule(c.name);
    if (c.invalidates == reach::tenant) return invalidate_tenant(c.name);
    server_.versions().bump_all();
    server_.store().clear();
    return {};
}

}  // namespace pgsidecar::io
