// A pump until its session is logged in: TLS with the client, the connection to the server.
#include <utility>

#include "protocol/startup.h"
#include "proxy/io/console_link.h"
#include "proxy/io/crypto.h"
#include "proxy/io/log.h"
#include "proxy/io/pump.h"
#include "proxy/io/worker.h"

namespace pgsidecar::io {
namespace {
using boost::system::error_code;
constexpr std::size_t random_key_size = 32;

std::unique_ptr<config::ip_address> address_of(const tcp::socket& client) {
    error_code error;
    const auto peer = client.remote_endpoint(error).address();
    if (error) return nullptr;
    namespace ip = boost::asio::ip;
    const auto v6 = peer.is_v6() ? peer.to_v6() : ip::make_address_v6(ip::v4_mapped, peer.to_v4());
    return std::make_unique<config::ip_address>(v6.to_bytes());
}
}  // namespace

pump::pump(worker& home, tcp::socket client, std::uint64_t token)
    : home_{home},
      token_{token},
      session_{home.services(), token},
      client_address_{home.settings().auth_type == config::auth_type::hba ? address_of(client)
                                                                          : nullptr},
      client_{home.context(), std::move(client), home.settings().keepalive} {}

pump::~pump() = default;

void pump::start() {
    deadline_ = std::chrono::steady_clock::now() + home_.settings().client_login_timeout;
    // The first byte tells a client that starts TLS unasked from one that speaks the protocol.
    client_.on_readable([self = shared_from_this()](error_code error) {
        if (self->ended_) return;
        if (error) return self->end();
        self->begin();
    });
}

void pump::begin() {
    char first = 0;
    const auto status = client_.peek(first);
    if (status == io_status::would_block) return start();
    if (status == io_status::closed) return end();
    if (first == protocol::tls_handshake_byte && home_.client_tls()) {
        client_.start_tls(new_client_side_session(*home_.client_tls()), true);
        return shake_hands(true);
    }
    read_client();
}

void pump::shake_hands(bool direct) {
    const auto status = client_.handshake();
    if (status == io_status::would_block) {
        const auto next = [self = shared_from_this(), direct](error_code error) {
            if (self->ended_) return;
            if (error) return self->end();
            self->shake_hands(direct);
        };
        return client_.wants_write() ? client_.on_writable(next) : client_.on_readable(next);
    }
    if (status == io_status::closed) {
        log_info("client TLS handshake failed: " + tls_failure(*client_.tls()));
        return end();
    }
    if (direct && !agreed_on_postgresql(*client_.tls())) {
        log_info("client started TLS without agreeing on the protocol name \"postgresql\"");
        return end();
    }
    session_.on_client_tls();
    read_client();
}

void pump::connect_upstream() {
    if (!server_ && home_.traffic().paused(session_.database_name())) {
        parked_ = true;
        return;
    }
    // A second time: the server did not take the first connection as it was.
    const bool encrypted = server_ ? !server_->encrypted()
                                   : home_.settings().upstream.tls.mode != config::tls_mode::allow;
    if (server_) server_->close();
    server_.reset();
    server_waits_ = server_flushes_ = false;
    connecting_ = std::make_shared<connector>(home_.context(), home_.shared_settings(),
                                              encrypted ? home_.server_tls() : nullptr,
                                              home_.settings().server_connect_timeout);
    connecting_->start([self = shared_from_this()](std::unique_ptr<transport> link,
                                                   const connect_error& error) {
        self->connecting_.reset();
        if (self->ended_) return;
        auto& todo = self->home_.actions();
        todo.clear();
        if (link) {
            self->server_ = std::move(link);
            self->session_.on_upstream_connected(
                random_bytes(random_key_size), self->server_->encrypted(), todo,
                self->server_->encrypted() ? peer_end_point(*self->server_->tls()) : std::string{});
        } else {
            log_warning(error.message);
            self->session_.on_upstream_failed(error.sqlstate, error.message,
                                              std::chrono::steady_clock::now(), todo);
        }
        self->perform();
        if (!self->ended_) self->settle();
    });
}

void pump::on_secret(std::optional<std::string> secret) {
    core::credentials given;
    given.answered = secret.has_value();
    given.secret = std::move(secret).value_or("");
    if (client_.encrypted()) given.client_binding = own_end_point(*client_.tls());
    if (server_ && server_->encrypted()) given.server_binding = peer_end_point(*server_->tls());
    given.random = random_bytes(core::credentials::random_size);
    auto& todo = home_.actions();
    todo.clear();
    session_.on_credentials(std::move(given), todo);
    perform();
    if (!ended_) settle();
}

void pump::ask_login() {
    users::question q;
    q.user = session_.user();
    q.database = session_.database_name();
    q.encrypted = client_.encrypted();
    // Without an address the client has gone already.
    if (const auto address = std::exchange(client_address_, nullptr)) q.client = *address;
    home_.look_up_login(std::move(q), session_.at_console(), token_);
}

void pump::on_login_rules(core::auth_method method, std::optional<core::client_login> login) {
    if (login) {
        if (client_.encrypted()) login->binding = own_end_point(*client_.tls());
        login->random = random_bytes(core::client_login::random_size + core::scram_nonce_size);
    }
    auto& todo = home_.actions();
    todo.clear();
    session_.on_login_rules(method, std::move(login), todo);
    perform();
    if (!ended_) settle();
}

bool pump::too_late(std::chrono::steady_clock::time_point now) const noexcept {
    return deadline_ != std::chrono::steady_clock::time_point{} && now >= deadline_ &&
           !session_.logged_in();
}

void pump::give_up() {
    log_info("session ended: client_login_timeout reached");
    kill();
}

}  // namespace pgsidecar::io
