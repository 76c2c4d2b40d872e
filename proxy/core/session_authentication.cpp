// From the start-up packet's departure to the first ReadyForQuery. The server's questions and the
// client's answers are relayed; where a relayed answer cannot satisfy the server, a scram_bridge
// stands between. With an optional server_tls_sslmode a server that refuses the connection as it is
// gets a second one, encrypted the other way, before the client hears of it.
#include <utility>

#include "protocol/backend.h"
#include "protocol/frontend.h"
#include "protocol/sasl.h"
#include "proxy/core/session.h"

namespace pgsidecar::core {

using protocol::peek_result;

void session::on_upstream_connected(std::string cancel_key, bool encrypted, actions& out,
                                    std::string server_binding) {
    if (state_ != state::connecting) return;
    client_key_ = std::move(cancel_key);
    // Protocol 3.0 has keys of four bytes and no other.
    client_key_.resize(minor_ >= 2 ? 32 : 4);
    const bool again = !start_up_->refusal.empty();
    start_up_->encrypted = encrypted;
    start_up_->heard = false;
    out.server.own(again || !services_.options.server_tls_optional
                       ? std::exchange(start_up_->packet, {})
                       : start_up_->packet);
    if (services_.options.authenticates)
        start_up_->at_server =
            std::make_unique<server_login>(*services_.options.scram, start_up_->known,
                                           std::move(server_binding), start_up_->random);
    else if (!again)
        negotiate(out);
    state_ = state::login;
    out.resume_client = true;
}

// The client asked for more than we speak.
void session::negotiate(actions& out) {
    if (!negotiate_) return;
    protocol::negotiate_protocol_version m;
    // Never more than was asked for: libpq refuses that.
    m.newest = protocol::protocol_3_0 + minor_;
    for (std::string_view rest = start_up_->unknown_options; !rest.empty();) {
        const auto end = rest.find('\0');
        m.unrecognised.push_back(rest.substr(0, end));
        rest.remove_prefix(end + 1);
    }
    std::string message;
    protocol::write(message, m);
    out.client.own(std::move(message));
}

void session::on_login_rules(auth_method method, std::optional<client_login> given, actions& out) {
    if (state_ != state::authenticating || start_up_->guard) return;
    if (!given && console_)
        return fail("28000", "nobody could be asked for this user's password",
                    "console: no auth_file names the user and auth_query could not be asked: set "
                    "auth_file, or upstream.control_connection",
                    out);
    if (!given)
        return fail("08006", "passwords cannot be checked at the moment",
                    "auth_query could not be asked", out);
    start_up_->random = given->random.substr(client_login::random_size);
    start_up_->guard = std::make_unique<authenticator>(
        console_ ? *services_.options.console : *services_.options.scram, method,
        std::move(*given));
    std::string to_client;
    start_up_->guard->begin(to_client);
    follow_guard(std::move(to_client), out);
}

void session::follow_guard(std::string to_client, actions& out) {
    auto& guard = *start_up_->guard;
    if (!to_client.empty()) out.client.own(std::move(to_client));
    switch (guard.verdict()) {
        case authenticator::result::more:
            asked_ = true;
            out.resume_client = true;
            return;
        case authenticator::result::admitted:
            start_up_->known = guard.proven();
            start_up_->guard.reset();
            if (console_) {
                start_up_->known = {};
                state_ = state::console;
                out.open_console = true;
                return;
            }
            if (services_.options.pooled) return join_pool(out);
            state_ = state::connecting;
            out.connect_upstream = true;
            return;
        case authenticator::result::refused: {
            const auto fault = guard.fault();
            out.doubt_credentials = true;
            auto text = std::string{fault.message};
            if (fault.sqlstate == "28P01") text += " for user \"" + *user_ + "\"";
            return fail(fault.sqlstate, text, "log-in refused by the proxy", out);
        }
    }
}

// The server asks the proxy, which asked the client before.
void session::on_question(const protocol::authentication& m, protocol::bytes whole, actions& out) {
    auto& login = *start_up_->at_server;
    if (m.kind == protocol::auth_kind::ok) {
        if (!login.finished())
            return fail("08001", "the server did not prove that it knows the password",
                        "SCRAM exchange with the server", out);
        out.client.forward(whole);
        return;
    }
    std::string to_server;
    if (const auto fault = login.on_server(whole.substr(protocol::head_size), to_server))
        return fail(fault->sqlstate, fault->message, "log-in at the server", out);
    out.server.own(std::move(to_server));
}

void session::on_upstream_failed(std::string_view sqlstate, std::string_view message,
                                 time_point now, actions& out) {
    distrust_catalogs(now, out);
    std::string reply;
    if (start_up_) reply = std::exchange(start_up_->refusal, {});
    if (reply.empty()) protocol::write_error(reply, "FATAL", sqlstate, message);
    end_with(std::move(reply), message, out);
}

std::size_t session::on_login_client(protocol::bytes in, actions& out) {
    protocol::frame frame;
    std::error_code error;
    protocol::head head;
    auto found = protocol::peek_head(in, head, error);
    if (found == peek_result::ok && head.type != 'p' && head.type != 'X') found = peek_result::bad;
    if (found == peek_result::ok && head.length > protocol::frontend_length_limit(head.type))
        found = peek_result::bad;
    if (found == peek_result::ok) found = protocol::next(in, frame, error);
    if (found == peek_result::need_more) return 0;
    if (found == peek_result::bad) {
        fail("08P01", "expected a password message during authentication",
             "unexpected message during log-in", out);
        return in.size();
    }
    asked_ = false;
    if (frame.type == 'X') {
        if (!start_up_->guard) out.server.forward(frame.whole);
        out.close = true;
        state_ = state::closed;
    } else if (start_up_->guard) {
        std::string to_client;
        start_up_->guard->on_client(frame.body, to_client);
        follow_guard(std::move(to_client), out);
    } else if (start_up_->bridge) {
        std::string to_client, to_server;
        if (const auto fault = start_up_->bridge->on_client(frame.body, to_client, to_server)) {
            out.doubt_credentials = true;
            fail(fault->sqlstate, fault->message, "SCRAM exchange refused", out);
            return in.size();
        }
        asked_ = !to_client.empty();
        out.client.own(std::move(to_client));
        out.server.own(std::move(to_server));
    } else {
        out.server.forward(frame.whole);
    }
    return frame.whole.size();
}

std::size_t session::on_login_server(protocol::bytes in, time_point now, actions& out) {
    protocol::frame frame;
    std::error_code error;
    auto found = protocol::next(in, frame, error);
    if (found == peek_result::need_more) return 0;
    protocol::backend_key_data key;
    protocol::parameter_status parameter;
    protocol::authentication auth;
    if (found == peek_result::ok) {
        switch (frame.type) {
            case 'R':
                error = protocol::parse(frame.body, auth);
                break;
            case 'S':
                error = protocol::parse(frame.body, parameter);
                break;
            case 'K':
                error = protocol::parse(frame.body, key);
                break;
            case 'E':
            case 'N':
            case 'Z':
                break;
            default:
                found = peek_result::bad;
        }
    }
    if (found == peek_result::bad || error) {
        fail("08P01", "the server sent an unexpected message during log-in",
             "server out of step during log-in", out);
        return in.size();
    }
    if (frame.type == 'E' && tries_the_other_way(frame, out)) return in.size();
    start_up_->heard = true;
    if (frame.type == 'K') {
        server_pid_ = key.pid;
        server_key_ = key.key;
        std::string ours;
        protocol::write(ours, protocol::backend_key_data{key.pid, client_key_});
        out.client.own(std::move(ours));
        return frame.whole.size();
    }
    if (frame.type == 'R' && start_up_->at_server) {
        on_question(auth, frame.whole, out);
        return frame.whole.size();
    }
    if (frame.type == 'R') {
        on_authentication(auth, frame.whole, out);
        return frame.whole.size();
    }
    if (frame.type == 'S') note_parameter(parameter.name, parameter.value);
    out.client.forward(frame.whole);
    if (frame.type == 'E') {
        out.doubt_credentials = start_up_->bridge || start_up_->at_server;
        note_fatal(frame);
        server_fatal_ = true;
    }
    if (frame.type == 'Z') finish_login(now, out);
    return frame.whole.size();
}

// As libpq has it for allow and prefer, but only when the server's first word is that its rules
// (pg_hba.conf) do not admit this connection.
bool session::tries_the_other_way(const protocol::frame& f, actions& out) {
    auto& s = *start_up_;
    if (!services_.options.server_tls_optional || s.heard || !s.refusal.empty()) return false;
    protocol::error_response m;
    if (protocol::parse(f.body, m) || m.sqlstate() != "28000") return false;
    s.refusal = f.whole;
    state_ = state::connecting;
    out.connect_upstream = true;
    return true;
}

void session::on_authentication(const protocol::authentication& m, protocol::bytes whole,
                                actions& out) {
    auto& s = *start_up_;
    const bool last = m.kind == protocol::auth_kind::ok;
    if (s.bridge && !last) {
        std::string to_client;
        if (const auto fault = s.bridge->on_server(m, to_client))
            return fail(fault->sqlstate, fault->message, "SCRAM exchange with the server", out);
        ask_client(m.kind == protocol::auth_kind::sasl_continue, std::move(to_client), out);
        return;
    }
    protocol::mechanism_list offered;
    if (m.kind == protocol::auth_kind::sasl && s.encrypted && !protocol::parse(m.data, offered) &&
        offered.contains(protocol::scram_sha_256_plus)) {
        std::string offer{whole};
        if (!tls_done_) {
            // To a client without TLS this offer means that somebody took its TLS away.
            std::vector<std::string_view> rest;
            for (const auto name : offered)
                if (name != protocol::scram_sha_256_plus) rest.push_back(name);
            offer.clear();
            protocol::write_sasl_mechanisms(offer, rest);
        }
        // Its proof may say that it would have bound itself to the channel, had the server offered
        // that (Npgsql's does); relayed to a server that did, that is refused.
        if (services_.options.scram) {
            s.offer = std::move(offer);
            out.ask_credentials = true;
            return;  // on_credentials()
        }
        if (!tls_done_) return ask_client(true, std::move(offer), out);
    }
    // Until the server asks for something, whatever the client sends is for later.
    asked_ = !last;
    if (asked_) out.resume_client = true;
    out.client.forward(whole);
}

void session::ask_client(bool wants_answer, std::string message, actions& out) {
    asked_ = wants_answer;
    if (asked_) out.resume_client = true;
    out.client.own(std::move(message));
}

void session::on_credentials(credentials given, actions& out) {
    if (state_ != state::login || start_up_->offer.empty()) return;
    auto offer = std::exchange(start_up_->offer, {});
    if (!given.answered) return ask_client(true, std::move(offer), out);
    start_up_->bridge = std::make_unique<scram_bridge>(*services_.options.scram, std::move(given));
    std::string to_server;
    start_up_->bridge->begin(to_server);
    out.server.own(std::move(to_server));
}

void session::finish_login(time_point now, actions& out) {
    state_ = state::ready;
    status_ = 'I';
    server_fatal_ = false;
    dialect_.logged_in();
    if (high_start_ && !dialect_.utf8_server()) untracked_ = true;
    database_ = &services_.dbs.of(start_up_->database);
    start_up_.reset();
    database_->clients.fetch_add(1);
    login_altered_ = services_.dbs.defaults_altered.load();
    adopt_login_defaults(database_->latest_catalog());
    // What alters log-ins may pass through another process now: of the first catalog after this
    // one nobody can say that it shows what was given.
    if (!login_ && services_.dbs.suspended()) --login_altered_;
    begin_limits(now);
    out.logged_in = true;
    out.resume_client = true;
    if (draining_) on_shutdown(out);
}

}  // namespace pgsidecar::core
