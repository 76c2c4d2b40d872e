#include "proxy/io/pools.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <iterator>
#include <utility>

#include "protocol/frontend.h"
#include "protocol/notice.h"
#include "proxy/io/crypto.h"
#include "proxy/io/log.h"
#include "proxy/io/server.h"
#include "proxy/io/worker.h"

namespace pgsidecar::io {
namespace {

using boost::system::error_code;
using clock = std::chrono::steady_clock;

}  // namespace

// One attempt to open a connection, and with an optional server_tls_sslmode the second one.
class pools::opener : public std::enable_shared_from_this<opener> {
  public:
    opener(pools& home, pool_ptr of)
        : home_{home},
          of_{std::move(of)},
          card_{home.ledger_.card(*of_)},
          timer_{home.home_.context()} {}

    void start() {
        altered_ = home_.home_.services().dbs.defaults_altered.load();
        const auto mode = home_.home_.settings().upstream.tls.mode;
        connect(mode != config::tls_mode::allow);
    }
    void cancel() {
        done_ = true;
        timer_.cancel();
        if (connecting_) std::exchange(connecting_, nullptr)->cancel();
        if (io_) io_->close();
    }

  private:
    void connect(bool encrypted) {
        auto& worker = home_.home_;
        const auto timeout = worker.settings().server_connect_timeout;
        connecting_ =
            std::make_shared<connector>(worker.context(), worker.shared_settings(),
                                        encrypted ? worker.server_tls() : nullptr, timeout);
        if (timeout.count() > 0) {
            timer_.expires_after(timeout);
            timer_.async_wait([self = shared_from_this()](error_code error) {
                if (!error)
                    self->fail_as("08001", "server_connect_timeout reached during log-in", true);
            });
        }
        connecting_->start([self = shared_from_this()](std::unique_ptr<transport> link,
                                                       const connect_error& error) {
            self->connecting_.reset();
            if (self->done_) return;
            if (!link) {
                log_warning(error.message);
                return self->fail_as(error.sqlstate, error.message, true);
            }
            self->io_ = std::move(link);
            self->log_in();
        });
    }

    void log_in() {
        login_ = std::make_unique<core::pool_login>(
            openssl_crypto(), card_->known, card_->start_up,
            io_->encrypted() ? peer_end_point(*io_->tls()) : std::string{},
            random_bytes(core::scram_nonce_size));
        rest_.clear();
        std::string first;
        login_->begin(first);
        if (!io_->write({first})) return fail_as("08006", "the server closed the connection", true);
        wait();
    }

    void wait() {
        io_->on_readable([self = shared_from_this()](error_code error) {
            if (self->done_) return;
            if (error) return self->fail_as("08006", "the server closed the connection", true);
            self->read();
        });
    }

    void read() {
        const auto buffer = home_.home_.scratch();
        std::size_t got = 0;
        const auto status = io_->read(buffer, got);
        if (status == io_status::closed)
            return fail_as("08006", "the server closed the connection during log-in", true);
        if (status == io_status::ok) rest_.append(buffer.data(), got);
        std::string answer;
        rest_.erase(0, login_->on_server(rest_, answer));
        if (!answer.empty() && !io_->write({answer}))
            return fail_as("08006", "the server closed the connection during log-in", true);
        using result = core::pool_login::result;
        if (login_->verdict() == result::more) return wait();
        if (login_->verdict() == result::refused) return refused();
        finish();
    }

    void refused() {
        const auto mode = home_.home_.settings().upstream.tls.mode;
        const bool optional = mode == config::tls_mode::allow || mode == config::tls_mode::prefer;
        if (optional && login_->not_admitted() && first_refusal_.empty()) {
            first_refusal_ = login_->error();
            const bool other = !io_->encrypted();
            io_->close();
            io_.reset();
            return connect(other);
        }
        fail(first_refusal_.empty() ? login_->error() : first_refusal_, false);
    }

    void finish() {
        done_ = true;
        timer_.cancel();
        auto made = std::make_unique<pooled_connection>();
        made->io = std::move(io_);
        made->link = login_->take_link();
        made->link->opened = made->link->idle_since = clock::now();
        made->link->login_altered = altered_;
        if (!made->link->take_idle(rest_)) made->link->unfit = true;
        made->of = of_;
        const auto self = shared_from_this();
        home_.opening_.erase(this);
        home_.opened(std::move(made));
    }

    void fail_as(std::string_view sqlstate, std::string_view message, bool unreachable) {
        std::string error;
        protocol::write_error(error, "FATAL", sqlstate, message);
        fail(error, unreachable);
    }

    void fail(const std::string& error, bool unreachable) {
        if (done_) return;
        const auto self = shared_from_this();
        cancel();
        home_.opening_.erase(this);
        home_.failed(*of_, error, unreachable);
    }

    pools& home_;
    const pool_ptr of_;
    const std::shared_ptr<const core::pool_ledger::entry_card> card_;
    boost::asio::steady_timer timer_;
    std::shared_ptr<connector> connecting_;
    std::unique_ptr<transport> io_;
    std::unique_ptr<core::pool_login> login_;
    std::string rest_, first_refusal_;
    std::uint64_t altered_ = 0;
    bool done_ = false;
};

pools::pool_ptr pools::join(const std::string& start_up, const std::string& database,
                            const std::string& user, const core::server_credentials& known) {
    return ledger_.of(start_up, database, user, known);
}

pooled_ptr pools::acquire(const pool_ptr& p, std::uint64_t token, std::string& error) {
    using answer = core::pool_ledger::answer;
    for (;;) {
        auto got = ledger_.acquire(*p, {home_.index(), token}, clock::now());
        carry_out(got.todo);
        if (got.what == answer::refused) error = std::move(got.error);
        if (got.what != answer::take) return nullptr;
        if (got.connection.worker != home_.index()) {
            auto& other = home_.neighbour(got.connection.worker);
            other.post([&other, p, number = got.connection.id, me = home_.index(), token] {
                other.pools().fetch(*p, number, {me, token});
            });
            return nullptr;
        }
        if (auto mine = take_idle(got.connection.id)) return mine;
        core::pool_ledger::orders todo;  // it has ended while nobody looked
        ledger_.closed(*p, clock::now(), todo);
        carry_out(todo);
    }
}

pooled_ptr pools::take_now(pool& p) {
    const auto number = ledger_.take_own(p, home_.index());
    if (!number) return nullptr;
    if (auto mine = take_idle(*number)) return mine;
    core::pool_ledger::orders todo;  // it has ended while nobody looked
    ledger_.closed(p, clock::now(), todo);
    carry_out(todo);
    return nullptr;
}

void pools::forget(pool& p, std::uint64_t token) {
    (void)ledger_.forget(p, {home_.index(), token});
}

pooled_ptr pools::take_idle(std::uint64_t number) {
    const auto it = find_idle(number);
    if (it == idle_.end()) return nullptr;
    auto connection = std::move(*it);
    idle_.erase(it);
    connection->io->forget_waits();
    return connection;
}

// For a session of another worker.
void pools::fetch(pool& p, std::uint64_t number, place whose) {
    auto connection = take_idle(number);
    if (connection) return settle(std::move(connection), whose);
    core::pool_ledger::orders todo;
    ledger_.closed(p, clock::now(), todo);
    carry_out(todo);
    auto& other = home_.neighbour(whose.worker);
    other.post([&other, token = whose.id] { other.acquire_again(token); });
}

void pools::release(pooled_ptr connection) {
    const auto now = clock::now();
    const auto lifetime = home_.settings().pool.server_lifetime;
    if (now - connection->link->opened >= lifetime) return destroy(std::move(connection));
    connection->link->idle_since = now;
    connection->number = next_++;
    core::pool_ledger::orders todo;
    const auto whose = ledger_.released(*connection->of, {home_.index(), connection->number},
                                        connection->born(), now, todo);
    settle(std::move(connection), whose);
    carry_out(todo);
}

void pools::opened(pooled_ptr connection) {
    connection->number = next_++;
    core::pool_ledger::orders todo;
    const auto whose = ledger_.opened(*connection->of, {home_.index(), connection->number},
                                      connection->born(), clock::now(), todo);
    settle(std::move(connection), whose);
    carry_out(todo);
}

void pools::settle(pooled_ptr connection, const std::optional<place>& whose) {
    if (!whose) return keep(std::move(connection));
    auto& other = home_.neighbour(whose->worker);
    std::optional<tcp::socket> moving;
    if (&other != &home_) moving = connection->io->leave_for(other.context());
    // Later in any case: a pump may be on the stack.
    other.post([&other, token = whose->id, socket = std::move(moving),
                c = std::move(connection)]() mutable {
        if (socket) c->io->settle(other.context(), std::move(*socket));
        other.pools().deliver(std::move(c), token);
    });
}

void pools::deliver(pooled_ptr connection, std::uint64_t token) {
    if (stopped_) return;
    const auto p = home_.find(token);
    if (!p) return release(std::move(connection));
    p->on_server(std::move(connection));
}

void pools::keep(pooled_ptr connection) {
    assert(idle_.empty() || idle_.back()->number < connection->number);
    watch(*connection);
    idle_.push_back(std::move(connection));
}

pools::idle_list::iterator pools::find_idle(std::uint64_t number) {
    if (!idle_.empty() && idle_.back()->number == number) return std::prev(idle_.end());
    const auto it = std::ranges::lower_bound(idle_, number, {},
                                             [](const pooled_ptr& one) { return one->number; });
    return it != idle_.end() && (*it)->number == number ? it : idle_.end();
}

void pools::watch(pooled_connection& idle) {
    idle.io->on_readable(wait_handler::of<&pools::on_idle_event>(*this, idle.number));
}

// The server has said something to a connection that nobody uses, or has ended it.
void pools::on_idle_event(error_code error, std::uint64_t number) {
    const auto it = find_idle(number);
    if (error == boost::asio::error::operation_aborted || it == idle_.end()) return;
    auto& connection = **it;
    const auto buffer = home_.scratch();
    std::size_t got = 0;
    const auto status = connection.io->read(buffer, got);
    if (status == io_status::would_block ||
        (status == io_status::ok && connection.link->take_idle({buffer.data(), got})))
        return watch(connection);
    const auto ended = take_idle(number);
    ended->io->close();
    home_.distrust_catalogs();
    core::pool_ledger::orders todo;
    (void)ledger_.lost(*ended->of, {home_.index(), number}, clock::now(), todo);
    carry_out(todo);
}

void pools::say_goodbye(pooled_connection& connection) {
    std::string bye;
    protocol::write(bye, protocol::terminate{});
    if (connection.io->pending() == 0) (void)connection.io->write({bye});
    connection.io->close();
}

void pools::close_idle(std::uint64_t number) {
    if (const auto connection = take_idle(number)) say_goodbye(*connection);
}

void pools::destroy(pooled_ptr connection) {
    say_goodbye(*connection);
    core::pool_ledger::orders todo;
    ledger_.closed(*connection->of, clock::now(), todo);
    carry_out(todo);
}

void pools::open(const pool_ptr& p) {
    if (stopped_) return failed(*p, {}, false);
    const auto made = std::make_shared<opener>(*this, p);
    opening_.emplace(made.get(), made);
    made->start();
}

void pools::failed(pool& p, const std::string& error, bool unreachable) {
    core::pool_ledger::orders todo;
    const auto told = ledger_.failed(p, error, unreachable, clock::now(), todo);
    for (const auto& who : told) {
        auto& other = home_.neighbour(who.worker);
        other.post([&other, token = who.id, error] {
            if (const auto waiting = other.find(token)) waiting->on_no_server(error);
        });
    }
    carry_out(todo);
}

void pools::carry_out(const core::pool_ledger::orders& todo) {
    for (const auto& order : todo.open) {
        auto& other = home_.neighbour(order.worker);
        other.post([&other, of = order.of] { other.pools().open(of); });
    }
    for (const auto& order : todo.close) {
        auto& other = home_.neighbour(order.connection.worker);
        other.post([&other, number = order.connection.id] { other.pools().close_idle(number); });
    }
}

void pools::stop() {
    stopped_ = true;
    for (const auto copy = std::exchange(opening_, {}); const auto& [key, one] : copy)
        one->cancel();
    for (const auto& connection : idle_) say_goodbye(*connection);
    idle_.clear();
}

}  // namespace pgsidecar::io
