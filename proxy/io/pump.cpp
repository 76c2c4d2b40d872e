#include "proxy/io/pump.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <utility>

#include "proxy/io/console.h"
#include "proxy/io/log.h"
#include "proxy/io/worker.h"

namespace pgsidecar::io {
namespace {

using boost::system::error_code;

// Unsent output at which the other side is no longer read, in bytes.
constexpr std::size_t pause_above = 256U << 10;
constexpr auto horizon = std::chrono::minutes{1};
// Reads of one connection before the others have their turn.
constexpr int turn = 16;

}  // namespace

bool pump::client_paused() const {
    return closing_ || client_finished_ || client_.shaking_hands() || console_waits() ||
           (session_.blocked() && !client_rest_.empty()) ||
           (server_ && server_->pending() > pause_above);
}

bool pump::server_paused() const { return closing_ || client_.pending() > pause_above; }

// Nobody reads from it then, but it may go away.
bool pump::client_only_watched() const {
    return session_.waits_for_server() && !closing_ && !client_finished_ && !client_talks_ &&
           !client_.encrypted();
}

void pump::wait_client() {
    if (!session_.waits_for_server()) client_talks_ = false;
    if (client_waits_ || ended_ || (client_paused() && !client_only_watched())) return;
    client_waits_ = true;
    if (client_.buffered()) {
        boost::asio::post(home_.context(), [self = shared_from_this()] {
            self->client_waits_ = false;
            if (!self->ended_) self->read_client();
        });
        return;
    }
    client_.on_readable(wait_handler::of<&pump::on_client_readable>(shared_from_this(), 0));
}

void pump::on_client_readable(error_code error, std::uint64_t /*tag*/) {
    client_waits_ = false;
    if (ended_) return;
    if (error) return end();
    read_client();
}

void pump::wait_server() {
    if (server_waits_ || ended_ || !server_ || server_paused()) return;
    server_waits_ = true;
    if (server_->buffered()) {
        boost::asio::post(home_.context(), [self = shared_from_this(), turn = server_turn_] {
            if (turn != self->server_turn_) return;
            self->server_waits_ = false;
            if (!self->ended_) self->read_server();
        });
        return;
    }
    server_->on_readable(
        wait_handler::of<&pump::on_server_readable>(shared_from_this(), server_turn_));
}

void pump::on_server_readable(error_code error, std::uint64_t turn) {
    if (turn != server_turn_) return;
    server_waits_ = false;
    if (ended_ || !server_) return;
    if (error) return end();
    read_server();
}

void pump::read_client() {
    if (client_paused() && client_only_watched()) {
        char ignored = 0;
        const auto status = client_.peek(ignored);
        if (status == io_status::closed) return kill();
        client_talks_ = status == io_status::ok;
        return wait_client();
    }
    for (int i = 0; i < turn && !ended_ && !closing_; ++i) {
        if (client_paused()) return;
        std::size_t got = 0;
        const auto buffer = home_.scratch();
        const auto status = client_.read(buffer, got);
        if (status == io_status::would_block) break;
        if (status == io_status::closed) {
            auto& todo = home_.actions();
            todo.clear();
            client_finished_ = true;
            session_.on_client_finished(todo);
            perform();
            return;
        }
        if (traffic_) traffic_->received += got;
        take_client({buffer.data(), got});
        // A plain socket that gave less than asked for is empty.
        if (got < buffer.size() && !client_.encrypted()) break;
    }
    if (!ended_) wait_client();
}

void pump::take_client(std::string_view fresh) {
    if (console_) return take_console(fresh);
    auto& todo = home_.actions();
    todo.clear();
    const auto shown = client_rest_.join(fresh);
    todo.source = pool_ ? this : nullptr;
    const auto used = session_.on_client(shown, std::chrono::steady_clock::now(), todo);
    todo.source = nullptr;
    const bool tls = todo.start_client_tls;
    perform();
    if (ended_) return;
    client_rest_.keep(shown, used);
    if (tls) {
        client_.start_tls(new_client_side_session(*home_.client_tls()), true);
        return shake_hands(false);
    }
    settle();
}

void pump::read_server() {
    for (int i = 0; i < turn && !ended_ && server_ && !server_paused(); ++i) {
        std::size_t got = 0;
        const auto buffer = home_.scratch();
        const auto status = server_->read(buffer, got);
        if (status == io_status::would_block) break;
        if (status == io_status::closed) return lose_server();
        take_server({buffer.data(), got});
        if (got < buffer.size() && server_ && !server_->encrypted()) break;
    }
    if (ended_) return;
    if (client_.pending() > pause_above) {
        auto& todo = home_.actions();
        todo.clear();
        session_.on_client_stalled(todo);
        perform();
    }
    if (!ended_) wait_server();
}

void pump::lose_server() {
    auto& todo = home_.actions();
    todo.clear();
    session_.on_server_closed(std::chrono::steady_clock::now(), todo);
    perform();
    if (ended_) return;
    // What is left for it nobody will read.
    if (closing_ && client_.pending() == 0) return end();
    settle();
}

void pump::take_server(std::string_view fresh) {
    auto& todo = home_.actions();
    todo.clear();
    const auto shown = server_rest_.join(fresh);
    auto used = session_.on_server(shown, std::chrono::steady_clock::now(), todo);
    if (todo.release_server && pooled_) {
        if (!pooled_->link->take_idle(shown.substr(used))) pooled_->link->unfit = true;
        used = shown.size();
        rest_taken_ = true;
    }
    perform();
    if (ended_) return;
    server_rest_.keep(shown, used);
    settle();
}

// Shows the session what was held back, for as long as that changes something.
void pump::settle() {
    if (console_) return settle_console();
    while (!ended_ && !closing_) {
        if (std::exchange(acquire_, false)) {
            acquire_server();
            continue;
        }
        if (!std::exchange(resume_, false) || session_.blocked() || client_rest_.empty()) break;
        auto& todo = home_.actions();
        todo.clear();
        const auto shown = client_rest_.join({});
        todo.source = pool_ ? this : nullptr;
        const auto used = session_.on_client(shown, std::chrono::steady_clock::now(), todo);
        todo.source = nullptr;
        perform();
        if (ended_) return;
        client_rest_.keep(shown, used);
    }
    if (ended_) return;
    if (console_) return settle_console();
    watch();
    wait_client();
    wait_server();
}

void pump::perform() {
    auto& todo = home_.actions();
    if (!todo.server.empty() && server_ && !server_->write(todo.server.pieces())) {
        // The server is gone; what it said before that is read first.
        todo.server.clear();
    }
    if (traffic_) traffic_->sent += todo.client.size();
    if (!todo.client.empty() && !client_.write(todo.client.pieces())) {
        if (!session_.closed()) {
            core::actions last;
            session_.on_client_closed(last);
            home_.carry_out(last);
        }
        home_.carry_out(todo);
        return end();
    }
    perform_side_effects();
}

void pump::perform_side_effects() {
    auto& todo = home_.actions();
    resume_ = resume_ || todo.resume_client;
    if (!todo.refused_because.empty())
        log_info("session ended: " + todo.refused_because + " user=" + session_.user() +
                 " database=" + session_.database_name());
    home_.carry_out(todo);
    if (todo.tier) home_.carry_to_tier(*todo.tier, token_);
    if (todo.release_database) home_.release_database(*todo.release_database, token_);
    const bool close = todo.close;
    if (todo.logged_in) {
        deadline_ = {};
        traffic_ = &home_.collector().of_database(session_.database_name());
        if (session_.client_pid() != 0) {
            home_.register_key(session_.client_pid(), session_.client_key(), token_);
            registered_ = true;
        }
        home_.use_database(session_.database_name());
    }
    if (const auto why = session_.kept_for(); why != kept_for_) note_kept(why);
    if (todo.release_server) give_back_server();
    if (todo.forget_server && std::exchange(acquiring_, false))
        home_.pools().forget(*pool_, token_);
    if (todo.join_pool) join_pool();
    if (todo.wants_catalog) home_.use_database(session_.database_name());
    acquire_ = acquire_ || todo.acquire_server;
    if ((todo.connect_upstream || todo.ask_login) && turned_away()) return;
    if (todo.connect_upstream) connect_upstream();
    if (todo.cancel_upstream) send_cancel({});
    if (todo.ask_login) ask_login();
    if (todo.doubt_credentials) home_.doubt_secret(session_.user());
    if (todo.ask_credentials) home_.look_up_secret(session_.user(), token_);
    if (todo.open_console) open_console();
    if (ended_) return;
    if (todo.cancel_request) return answer_cancel_request(*todo.cancel_request);
    if (close) {
        closing_ = true;
        if (client_.pending() == 0 && (!server_ || server_->pending() == 0)) return end();
    }
    if (client_.pending() > 0) flush_client();
    if (server_ && server_->pending() > 0) flush_server();
    watch();
}

void pump::flush_client() {
    if (client_flushes_ || ended_) return;
    client_flushes_ = true;
    client_.on_writable([self = shared_from_this()](error_code error) {
        self->client_flushes_ = false;
        if (self->ended_) return;
        if (error || !self->client_.flush()) return self->kill();
        if (self->client_.pending() > 0) self->flush_client();
        if (self->closing_ && self->client_.pending() == 0) return self->end();
        if (self->console_) return self->settle_console();
        // What TLS had decrypted already no readiness will announce.
        if (!self->server_paused() && self->server_ && !self->server_waits_) self->read_server();
    });
}

void pump::flush_server() {
    if (server_flushes_ || ended_) return;
    server_flushes_ = true;
    server_->on_writable([self = shared_from_this(), turn = server_turn_](error_code error) {
        if (turn != self->server_turn_) return;
        self->server_flushes_ = false;
        if (self->ended_ || !self->server_) return;
        if (error || !self->server_->flush()) {
            if (self->closing_ && self->client_.pending() == 0) self->end();
            return;  // its end is seen by reading
        }
        if (self->server_->pending() > 0) self->flush_server();
        if (self->closing_ && self->client_.pending() == 0) return self->end();
        if (!self->client_paused()) {
            self->resume_ = true;
            self->settle();
            if (!self->ended_ && !self->client_waits_) self->read_client();
        }
    });
}

void pump::on_switched() {
    if (ended_ || closing_) return;
    auto& todo = home_.actions();
    todo.clear();
    session_.on_switched(todo);
    if (!session_.logged_in()) return;  // its log-in waits for the peers in ways of its own
    perform();
    if (!ended_) settle();
}

void pump::on_wake(const core::wake_up& wake) {
    session_.on_wake(wake);
    resume_ = true;
    settle();
}

void pump::on_database_released() {
    session_.on_database_released();
    resume_ = true;
    settle();
}

void pump::on_tier_answer(std::uint64_t number, core::tier_finds found) {
    auto& todo = home_.actions();
    todo.clear();
    session_.on_tier_answer(number, std::move(found), std::chrono::steady_clock::now(), todo);
    perform();
    if (!ended_) settle();
}

void pump::on_cancel(std::function<void()> done) {
    if (console_) {
        home_.console().cancel(token_);
        return done();
    }
    auto& todo = home_.actions();
    todo.clear();
    const bool forward = session_.on_cancel(todo);
    perform();
    if (forward) return send_cancel(std::move(done));
    done();
    if (!ended_) settle();
}

// One that may arrive later yet would hit whatever ran at that connection then, this client's or
// another's: the connection ends with it.
void pump::send_cancel(std::function<void()> done) {
    home_.send_cancel(session_.server_pid(), session_.server_key(),
                      [self = shared_from_this(), done = std::move(done)](bool settled) {
                          if (done) done();
                          if (self->ended_) return;
                          if (!settled) return self->lose_server();
                          auto& after = self->home_.actions();
                          after.clear();
                          self->session_.on_cancel_sent(after);
                          self->perform();
                          if (!self->ended_) self->settle();
                      });
}

void pump::watch() {
    auto due = session_.deadline();
    if (due >= watched_) return;
    // What is far away is looked at in between: the entry of a session that has ended stays until
    // its time comes.
    due = std::min(due, std::chrono::steady_clock::now() + horizon);
    if (due >= watched_) return;
    watched_ = due;
    home_.watch(due, token_);
}

void pump::on_deadline(std::chrono::steady_clock::time_point due,
                       std::chrono::steady_clock::time_point now) {
    if (due != watched_) return;
    watched_ = core::limiter::never;
    auto& todo = home_.actions();
    todo.clear();
    session_.on_deadline(now, todo);
    perform();
    if (!ended_) settle();
}

void pump::answer_cancel_request(const core::actions::cancel& request) {
    closing_ = true;
    // The connection stays open until the cancel has had its effect: clients wait for that.
    home_.cancel(request.pid, request.key, [self = shared_from_this()] { self->end(); });
}

void pump::shut_down() {
    if (ended_ || closing_) return;
    auto& todo = home_.actions();
    todo.clear();
    session_.on_shutdown(todo);
    perform();
}

void pump::kill() {
    if (ended_) return;
    auto& todo = home_.actions();
    todo.clear();
    session_.on_client_closed(todo);
    home_.carry_out(todo);
    end();
}

void pump::end() {
    if (ended_) return;
    if (!session_.closed()) {
        core::actions last;
        session_.on_client_closed(last);
        if (server_) (void)server_->write(last.server.pieces());
        home_.carry_out(last);
    }
    ended_ = true;
    leave_console();
    if (registered_) home_.forget_key(session_.client_pid(), token_);
    if (kept_for_ != core::pin::none) note_kept(core::pin::none);
    if (connecting_) connecting_->cancel();
    client_.close();
    if (acquiring_) home_.pools().forget(*pool_, token_);
    if (pooled_) {
        pooled_->link->unfit = true;
        give_back_server();
    }
    if (server_) server_->close();
    home_.remove(token_);
}

}  // namespace pgsidecar::io
