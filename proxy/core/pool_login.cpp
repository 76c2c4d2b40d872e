#include "proxy/core/pool_login.h"

#include <utility>

#include "protocol/backend.h"

namespace pgsidecar::core {
namespace {

// Of a message during log-in. The server that sends it has not shown yet who it is.
constexpr std::size_t whole_limit = 64U << 10;

constexpr std::string_view unexpected = "the server sent an unexpected message during log-in";

}  // namespace

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
        protocol::head head;
        protocol::frame f;
        std::error_code error;
        const auto rest = in.substr(used);
        const auto found = protocol::peek_head(rest, head, error);
        if (found == protocol::peek_result::need_more) break;
        if (found == protocol::peek_result::bad || head.length > whole_limit) {
            refuse("08P01", unexpected);
            break;
        }
        if (protocol::next(rest, f, error) != protocol::peek_result::ok) break;
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
        case 'Z': {
            protocol::ready_for_query m;
            wrong = protocol::parse(f.body, m);
            if (wrong || !admitted_ || m.status != 'I') return refuse("08P01", unexpected);
            link_->began = link_->reported;
            result_ = result::open;
            return;
        }
        case 'N':
            return;
        default:
            return refuse("08P01", unexpected);
    }
    if (wrong || !admitted_) refuse("08P01", unexpected);
}

void pool_login::on_authentication(protocol::bytes body, std::string& to_server) {
    protocol::authentication m;
    if (protocol::parse(body, m)) return refuse("08P01", unexpected);
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
