// A pump whose client has come for the admin console, and what any pump tells and does at the
// operator's word.
#include <tuple>
#include <utility>

#include "proxy/io/console.h"
#include "proxy/io/console_link.h"
#include "proxy/io/crypto.h"
#include "proxy/io/worker.h"
#include "proxy/ops/console_views.h"

namespace pgsidecar::io {
namespace {
constexpr std::size_t random_key_size = 32;
constexpr std::size_t pause_above = 256U << 10;  // unsent output, in bytes

using std::chrono::steady_clock;
using std::chrono::system_clock;

system_clock::time_point wall_time(steady_clock::time_point at) {
    return system_clock::now() -
           std::chrono::duration_cast<system_clock::duration>(steady_clock::now() - at);
}
}  // namespace

void pump::open_console() {
    const auto& s = home_.settings();
    const auto role = ops::role_of(session_.user(), s.admin_users, s.stats_users);
    if (role == ops::console_role::none) {
        auto& todo = home_.actions();
        todo.clear();
        session_.refuse("28000", "not allowed: the user is not in admin_users or stats_users",
                        todo);
        return perform();
    }
    session_.on_pool_joined(home_.new_client_pid(), random_bytes(random_key_size));
    deadline_ = {};
    home_.register_key(session_.client_pid(), session_.client_key(), token_);
    registered_ = true;
    home_.count_console(1);
    console_ = std::make_unique<console_link>(console_link{ops::console_protocol{
        {session_.user(), session_.database_name(), session_.overview().application_name, role,
         session_.client_pid(), session_.client_key(), home_.console().program()}}});
    std::string out;
    console_->protocol.greet(out);
    after_console(out);
}

bool pump::console_waits() const {
    return console_ && ((console_->protocol.waiting() && !client_rest_.empty()) ||
                        client_.pending() > pause_above);
}

void pump::take_console(std::string_view fresh) {
    const auto shown = client_rest_.join(fresh);
    std::string out;
    const auto used = console_->protocol.on_client(shown, out);
    client_rest_.keep(shown, used);
    after_console(out);
}

void pump::after_console(const std::string& out) {
    if (!out.empty() && !client_.write({out})) return end();
    auto& protocol = console_->protocol;
    if (protocol.closed()) {
        closing_ = true;
        if (client_.pending() == 0) return end();
    }
    if (client_.pending() > 0) flush_client();
    if (auto command = protocol.request()) {
        const auto number = ++console_->asked;
        auto& home = home_;
        home.console().ask({token_, protocol.client().user}, std::move(*command),
                           [&home, token = token_, number](ops::console_answer answer) {
                               home.post([&home, token, number, a = std::move(answer)]() mutable {
                                   if (const auto p = home.find(token))
                                       p->on_console_answer(number, std::move(a));
                               });
                           });
    }
    wait_client();
}

void pump::on_console_answer(std::uint64_t number, ops::console_answer answer) {
    if (!console_ || closing_ || number != console_->asked) return;
    std::string out;
    console_->protocol.answer(std::move(answer), out);
    after_console(out);
    settle_console();
}

// Shows the console what was held back.
void pump::settle_console() {
    if (ended_ || closing_) return;
    if (!client_rest_.empty() && !console_waits() && !console_->protocol.waiting())
        return take_console({});
    wait_client();
}

void pump::leave_console() {
    if (!console_) return;
    home_.count_console(-1);
    if (console_->protocol.waiting()) home_.console().forget(token_);
}

// Its database takes no new clients.
bool pump::turned_away() {
    const auto& database = session_.database_name();
    if (session_.at_console() || !home_.traffic().disabled(database)) return false;
    const auto message = "database \"" + database + "\" is disabled";
    auto& todo = home_.actions();
    todo.clear();
    session_.refuse("55000", message, todo);
    perform();
    return true;
}

void pump::dismiss() {
    if (ended_) return;
    auto& todo = home_.actions();
    todo.clear();
    session_.on_kill(todo);
    perform();
    end();  // also when not all could be written: nobody is waited for
}

void pump::unpark() {
    if (ended_ || closing_ || !parked_ || home_.traffic().paused(session_.database_name())) return;
    parked_ = false;
    connect_upstream();
}

bool pump::holds_server(std::string_view database, bool outdated) const {
    if (ended_ || (!server_ && !connecting_)) return false;
    if (!database.empty() && session_.database_name() != database) return false;
    return !outdated || (pooled_ && home_.ledger().outdated(*pooled_->of, pooled_->born()));
}

void pump::tell(std::vector<ops::live_client>& clients, std::vector<ops::live_server>& servers) {
    ops::live_client c;
    c.id = token_;
    c.session = session_.overview();
    c.parked = parked_;
    const auto heard = c.session.last_heard;
    const auto fill = [&](transport& from, ops::live_socket& s) {
        auto ends = from.addresses();
        s.address = std::move(ends.peer);
        s.local_address = std::move(ends.own);
        s.port = ends.peer_port;
        s.local_port = ends.own_port;
        s.tls = from.tls_text();
        s.connected = began_;
        s.last_used = heard == steady_clock::time_point{} ? began_ : wall_time(heard);
        s.unsent = from.pending();
    };
    fill(client_, c.socket);
    if (c.waits())
        c.waited =
            std::chrono::duration_cast<std::chrono::milliseconds>(steady_clock::now() - heard);
    if (server_) {
        ops::live_server s;
        s.user = c.session.user;
        s.database = c.session.database;
        s.pid = session_.server_pid();
        s.client = token_;
        fill(*server_, s.socket);
        if (pooled_) {
            s.socket.connected = wall_time(pooled_->link->opened);
            s.outdated = home_.ledger().outdated(*pooled_->of, pooled_->born());
        }
        servers.push_back(std::move(s));
    }
    clients.push_back(std::move(c));
}

void pools::tell(std::vector<ops::live_server>& servers) {
    for (const auto& one : idle_) {
        ops::live_server s;
        std::tie(s.database, s.user) = core::pool_ledger::names(*one->of);
        s.idle = true;
        s.pid = one->link->pid;
        auto ends = one->io->addresses();
        s.socket = {std::move(ends.peer),
                    std::move(ends.own),
                    ends.peer_port,
                    ends.own_port,
                    one->io->tls_text(),
                    wall_time(one->link->opened),
                    wall_time(one->link->idle_since),
                    one->io->pending()};
        servers.push_back(std::move(s));
    }
}

}  // namespace pgsidecar::io
