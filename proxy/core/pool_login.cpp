#include "proxy/core/pool_login.h"

#include <utility>

#include "protocol/backend.h"

namespace pgsidecar::core {

pool_login::pool_login(const crypto& functions, const server_credentials& known,
                       std::string start_up, std::string binding, std::string_view random)
    : start_up_{std::move(start_up)}, login_{functions, known, std::move(binding), random} {}

void pool_login::begin(std::string& to_server) { to_server.append(start_up_); }

void pool_login::refuse(std::string_view sqlstate, std::string_view message) {
    if (result_ == result::refused) return;
    error_.clear();
    protocol::write_error(error_, "FATAL", sqlstate, message);
    result_ = result::refused;
}

std::size_t pool_login::on_server(protocol::bytes in, std::string& to_server) {
    std::size_t used = 0;
    while (result_ == result::more && used < in.size()) {
        protocol::frame f;
        std::error_code error;
        const auto found = protocol::next(in.substr(used), f, error);
        if (found == protocol::peek_result::need_more) break;
        if (found == protocol::peek_result::bad) {
            refuse("08P01", "the server sent an unexpected message during log-in");
            break;
        }
        used += f.whole.size();
        on_frame(f, to_server);
        heard_ = true;
    }
    return used;
}

void pool_login::on_frame(const protocol::frame& f, std::string& to_server) {
    std::error_code wrong;
    switch (f.type) {
        case 'R':
            return on_authentication(f.body, to_server);
        case 'S': {
            protocol::parameter_status m;
            wrong = protocol::parse(f.body, m);
            if (!wrong) link_->report(m.name, m.value);
            break;
        }
        case 'K': {
            protocol::backend_key_data m;
            wrong = protocol::parse(f.body, m);
            link_->pid = m.pid;
            link_->key = m.key;
            break;
        }
        case 'E': {
            protocol::error_response m;
            not_admitted_ = !heard_ && !protocol::parse(f.body, m) && m.sqlstate() == "28000";
            error_ = f.whole;
            result_ = result::refused;
            return;
        }
        case 'Z':
            if (!admitted_) break;
            result_ = result::open;
            return;
        case 'N':
            return;
        default:
            return refuse("08P01", "the server sent an unexpected message during log-in");
    }
    if (wrong || !admitted_) refuse("08P01", "the server sent an unexpected message during log-in");
}

void pool_login::on_authentication(protocol::bytes body, std::string& to_server) {
    protocol::authentication m;
    if (protocol::parse(body, m)) return refuse("08P01", "the server sent an unexpected message");
    if (m.kind == protocol::auth_kind::ok) {
        if (!login_.finished())
            return refuse("08001", "the server did not prove that it knows the password");
        admitted_ = true;
        return;
    }
    if (const auto fault = login_.on_server(body, to_server))
        refuse(fault->sqlstate, fault->message);
}

}  // namespace pgsidecar::core
