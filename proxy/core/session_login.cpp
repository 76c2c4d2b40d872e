// A session's beginning, up to the start-up message: TLS and GSS requests, CancelRequest. And its
// ends, by whichever side.
#include <utility>
#include <variant>

#include "protocol/backend.h"
#include "protocol/frontend.h"
#include "proxy/core/session.h"

namespace pgsidecar::core {

using protocol::peek_result;

session::session(const session_services& services, std::uint64_t token)
    : services_{services}, token_{token} {}

session::~session() {
    // The pump ends a session through on_client_closed() or on_server_closed(), which settle these.
    if (schema_mark_ && database_) database_->end_schema_change();
    if (commit_in_flight()) {
        for (auto* table : writing_->marked) table->end_commit();
        database_->writers.fetch_sub(1);
    }
    if (state_ == state::ready && database_) database_->clients.fetch_sub(1);
}

// Before the log-in is done, or after the end: is there nothing that the client may say?
bool session::is_silent() const noexcept {
    return state_ == state::connecting || state_ == state::closed ||
           ((state_ == state::login || state_ == state::authenticating) && !asked_);
}

bool session::quiet() const noexcept {
    return state_ == state::ready && owed_.empty() && waiting_ == wait::none && !client_active_ &&
           client_stream_ == 0;
}

session::time_point session::idle_deadline() const noexcept {
    const auto& o = services_.options;
    const auto most = in_transaction() ? o.idle_transaction_timeout : o.client_idle_timeout;
    return most.count() == 0 || !quiet() ? limiter::never : quiet_since_ + most;
}

// With PostgreSQL's codes for its own such time-outs.
void session::end_idle(actions& out) {
    if (in_transaction())
        fail("25P03", "terminating connection due to idle_transaction_timeout",
             "idle_transaction_timeout", out);
    else
        fail("57P05", "terminating connection due to client_idle_timeout", "client_idle_timeout",
             out);
}

std::size_t session::on_client(protocol::bytes in, time_point now, actions& out) {
    std::size_t used = 0;
    quiet_since_ = now;
    while (used < in.size() && !blocked() && !out.close && !out.start_client_tls) {
        const auto rest = in.substr(used);
        std::size_t step = 0;
        switch (state_) {
            case state::startup:
                step = on_startup(rest, out);
                break;
            case state::authenticating:
            case state::login:
                step = on_login_client(rest, out);
                break;
            case state::ready:
                step = on_request(rest, now, out);
                break;
            case state::connecting:
            case state::console:
            case state::closed:
                break;
        }
        if (step == 0) break;
        used += step;
        hold_until_ = 0;
    }
    // What it took a server connection for may have been answered without it after all.
    if (pool_ && state_ == state::ready && waiting_ == wait::none) give_back(out);
    if (draining_ && idle()) on_shutdown(out);  // its last answer came from the cache
    return used;
}

const std::string& session::user() const noexcept {
    static const std::string nobody;
    return user_ ? *user_ : nobody;
}

const std::string& session::database_name() const noexcept {
    static const std::string none;
    if (database_) return database_->name();
    return start_up_ ? start_up_->database : none;
}

std::size_t session::on_server(protocol::bytes in, time_point now, actions& out) {
    std::size_t used = 0;
    quiet_since_ = now;
    while (used < in.size() && state_ != state::closed && !out.close) {
        const auto rest = in.substr(used);
        std::size_t step = rest.size();
        if (state_ == state::login)
            step = on_login_server(rest, now, out);
        else if (state_ == state::ready)
            step = on_reply(rest, now, out);
        else
            fail("08P01", "the server spoke before it was asked", "server out of step", out);
        if (step == 0) break;
        used += step;
        if (!attached()) break;  // what comes behind is the connection's own
    }
    end_waiting_for_answers(out);
    return used;
}

void session::fail(std::string_view sqlstate, std::string_view message, std::string_view why,
                   actions& out) {
    if (state_ == state::closed) return;
    std::string reply;
    protocol::write_error(reply, "FATAL", sqlstate, message);
    end_with(std::move(reply), why, out);
}

void session::end_with(std::string reply, std::string_view why, actions& out) {
    if (state_ == state::closed) return;
    // In the middle of a long message there is no place for another one.
    if (server_stream_ == 0 || server_hidden_) out.client.own(std::move(reply));
    out.refused_because = why;
    out.close = true;
    leave_flight(out);
    leave_gate(out);
    abandon_fills(out);
    release_marks(out, true);
    if (state_ == state::ready && database_) database_->clients.fetch_sub(1);
    state_ = state::closed;
}

std::size_t session::on_startup(protocol::bytes in, actions& out) {
    protocol::head head;
    protocol::frame frame;
    std::error_code error;
    auto found = protocol::peek_startup_head(in, head, error);
    if (found == peek_result::ok) found = protocol::next_startup(in, frame, error);
    if (found == peek_result::need_more) return 0;
    protocol::startup_packet packet;
    if (found == peek_result::ok) error = protocol::parse(frame.body, packet);
    if (found == peek_result::bad || error) {
        fail("08P01", "invalid startup packet", "invalid startup packet", out);
        return in.size();
    }
    if (const auto* cancel = std::get_if<protocol::cancel_request>(&packet)) {
        out.cancel_request = {cancel->pid, std::string{cancel->key}};
        out.close = true;
        state_ = state::closed;
        return in.size();
    }
    if (const auto* message = std::get_if<protocol::startup_message>(&packet)) {
        accept_startup(*message, out);
        return frame.whole.size();
    }
    const bool tls = std::holds_alternative<protocol::ssl_request>(packet);
    bool& asked = tls ? tls_refused_ : gss_refused_;
    // Bytes behind the request were sent before the encryption they should be under: an attacker in
    // the path could have put them there.
    if (tls_done_ || asked || in.size() > frame.whole.size()) {
        fail("08P01", "received unencrypted data after SSL or GSSAPI encryption request",
             "bytes behind an encryption request", out);
        return in.size();
    }
    asked = true;
    if (tls && services_.options.client_tls_offered) {
        out.client.literal("S");
        out.start_client_tls = true;
    } else {
        out.client.literal("N");
    }
    return frame.whole.size();
}

void session::on_client_tls() { tls_done_ = true; }

void session::accept_startup(const protocol::startup_message& m, actions& out) {
    if (services_.options.client_tls_required && !tls_done_)
        return fail("28000", "this server accepts encrypted connections only", "client without TLS",
                    out);
    start_up_ = std::make_unique<start_up>();
    std::vector<protocol::startup_parameter> forwarded;
    minor_ = m.minor < 2 ? m.minor : 2;
    negotiate_ = m.minor > 2;
    for (const auto& [name, value] : m.parameters) {
        if (name.starts_with("_pq_.")) {
            negotiate_ = true;
            start_up_->unknown_options.append(name).push_back('\0');
            continue;
        }
        forwarded.emplace_back(name, value);
        if (name == "user") {
            user_ = services_.decide.intern(std::string{value});
        } else if (name == "database") {
            start_up_->database = value;
        } else if (name == "replication") {
            transparent_ = transparent_ ||
                           (value != "false" && value != "off" && value != "no" && value != "0");
        }
    }
    follow_startup(m);
    if (!user_ || user_->empty())
        return fail("28000", "no PostgreSQL user name specified in startup packet", "no user name",
                    out);
    if (start_up_->database.empty()) start_up_->database = *user_;
    if (services_.options.console && names_console(start_up_->database)) {
        console_ = true;
        negotiate(out);
        state_ = state::authenticating;
        out.ask_login = true;
        return;
    }
    const bool pooled = services_.options.pooled;
    if (pooled && transparent_)
        return fail("0A000", "replication connections need pool_mode: session",
                    "replication in pool_mode transaction", out);
    const auto& o = services_.options;
    if (!o.cache && !o.follow && !wants_tenant() && !pooled) transparent_ = true;
    if (pooled) drop_followed(forwarded);
    protocol::write_startup(start_up_->packet, protocol::protocol_3_0, forwarded);
    if (services_.options.authenticates) {
        negotiate(out);
        state_ = state::authenticating;
        out.ask_login = true;
        return;
    }
    state_ = state::connecting;
    out.connect_upstream = true;
}

// The connections of a pool begin alike: what may differ between its clients is set afterwards.
void session::drop_followed(std::vector<protocol::startup_parameter>& parameters) {
    const auto& followed = services_.options.followed_startup;
    const auto is_followed = [&](std::string_view name) {
        return std::ranges::find(followed, name) != followed.end();
    };
    std::erase_if(parameters, [&](const auto& p) { return is_followed(p.first); });
    for (auto& [name, value] : parameters) {
        if (name != "options" || untracked_) continue;
        start_up_->options = session_settings::options_without(value, is_followed);
        value = start_up_->options;
    }
    std::erase_if(parameters,
                  [](const auto& p) { return p.first == "options" && p.second.empty(); });
    std::ranges::sort(parameters);
}

// The server reads the options first, wherever they stand: the other parameters outrank them.
void session::follow_startup(const protocol::startup_message& m) {
    if (const auto options = m.find("options"))
        if (!settings_.start_options(*options)) untracked_ = true;
    for (const auto& [name, value] : m.parameters) {
        high_start_ = high_start_ || has_high_byte(value);
        const bool other = name == "user" || name == "database" || name == "replication" ||
                           name == "options" || name.starts_with("_pq_.");
        if (!other) settings_.start(name, value);
    }
}

// The server may be another one from now on, or have been written to while nobody looked: until the
// control connections have found theirs alive, or have begun anew, nothing is served.
void session::distrust_catalogs(time_point now, actions& out) {
    services_.dbs.doubt_everywhere(now);
    out.catalog_changed = true;
}

void session::on_server_closed(time_point now, actions& out) {
    if (state_ == state::closed) return;
    if (!server_fatal_ && !terminating_) server_restarts_ = true;
    if (server_restarts_) distrust_catalogs(now, out);
    if (restoring()) return try_another_server(out);
    if (server_fatal_ || terminating_) {
        leave_flight(out);
        leave_gate(out);
        abandon_fills(out);
        release_marks(out, true);
        if (state_ == state::ready) database_->clients.fetch_sub(1);
        out.close = true;
        state_ = state::closed;
        return;
    }
    fail("08006", "the server closed the connection unexpectedly", "server closed", out);
}

// Nothing more comes from the client, but what it asked for is still answered, as the server would:
// with Terminate behind the rest it ends by itself.
void session::on_client_finished(actions& out) {
    if (terminating_) return;
    const bool owes = !owed_.empty() || (transparent_ && client_active_);
    if (state_ != state::ready || !owes || client_stream_ > 0) return on_client_closed(out);
    std::string bye;
    protocol::write(bye, protocol::terminate{});
    out.server.own(std::move(bye));
    terminating_ = true;
}

void session::on_client_closed(actions& out) {
    if (state_ == state::closed) return;
    leave_flight(out);
    leave_gate(out);
    abandon_fills(out);
    release_marks(out, true);
    if (state_ == state::ready) {
        database_->clients.fetch_sub(1);
        // A server connection in the middle of something is only dropped, as without us.
        if (owed_.empty() && client_stream_ == 0 && !terminating_) {
            std::string bye;
            protocol::write(bye, protocol::terminate{});
            out.server.own(std::move(bye));
        }
    }
    out.close = true;
    state_ = state::closed;
}

void session::on_shutdown(actions& out) {
    draining_ = true;
    if (state_ == state::startup || state_ == state::authenticating ||
        state_ == state::connecting || state_ == state::console || idle())
        fail("57P01", "terminating connection due to administrator command", "shutdown", out);
}

void session::on_kill(actions& out) {
    fail("57P01", "terminating connection due to administrator command", "killed at the console",
         out);
}

void session::refuse(std::string_view sqlstate, std::string_view message, actions& out) {
    fail(sqlstate, message, message, out);
}

}  // namespace pgsidecar::core
