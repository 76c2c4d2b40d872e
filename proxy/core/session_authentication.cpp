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

void session::on_upstream_connected(std::string cancel_key, bool encrypted, actions& out) {
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
    if (negotiate_ && !again) {
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
    state_ = state::login;
    out.resume_client = true;
}

void session::on_upstream_failed(std::string_view sqlstate, std::string_view message,
                                 actions& out) {
    distrust_catalogs(out);
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
        out.server.forward(frame.whole);
        out.close = true;
        state_ = state::closed;
    } else if (start_up_->bridge) {
        std::string to_client, to_server;
        if (const auto fault = start_up_->bridge->on_client(frame.body, to_client, to_server)) {
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
    if (frame.type == 'R') {
        on_authentication(auth, frame.whole, out);
        return frame.whole.size();
    }
    if (frame.type == 'S') note_parameter(parameter.name, parameter.value);
    out.client.forward(frame.whole);
    if (frame.type == 'E') {
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
        if (tls_done_ && services_.options.scram) {
            s.offer = whole;
            out.ask_credentials = true;
            return;  // on_credentials()
        }
        if (!tls_done_) {
            // To a client without TLS this offer means that somebody took its TLS away.
            std::vector<std::string_view> rest;
            for (const auto name : offered)
                if (name != protocol::scram_sha_256_plus) rest.push_back(name);
            std::string message;
            protocol::write_sasl_mechanisms(message, rest);
            return ask_client(true, std::move(message), out);
        }
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
    begin_limits(now);
    out.logged_in = true;
    out.resume_client = true;
    if (draining_) on_shutdown(out);
}

}  // namespace pgsidecar::core
