#include "proxy/io/http_service.h"

#include <stdexcept>
#include <utility>

#include "proxy/io/connector.h"
#include "proxy/io/log.h"
#include "proxy/io/server.h"
#include "proxy/io/transport.h"
#include "proxy/ops/console_views.h"

namespace pgsidecar::io {
namespace {

using std::chrono::steady_clock;
using check = ops::readiness_check;

constexpr auto probe_patience = std::chrono::seconds{2};
constexpr auto probe_interval = std::chrono::seconds{5};

std::string token_of(const config::settings& s) {
    std::string wrong;
    auto token = read_http_token(s, wrong);
    if (!wrong.empty()) throw std::runtime_error(wrong);
    return token;
}

}  // namespace

void upstream_probe::ask(taker then) {
    if (asked_at_ && steady_clock::now() - *asked_at_ < probe_interval) return then(why_not_);
    askers_.push_back(std::move(then));
    if (under_way_) return;
    under_way_ = std::make_shared<connector>(context_, settings_, nullptr, probe_patience);
    under_way_->start([weak = weak_from_this()](const std::unique_ptr<transport>& link,
                                                const connect_error& error) {
        const auto self = weak.lock();
        if (!self) return;
        self->why_not_ = link ? "" : error.message.empty() ? "no answer" : error.message;
        self->asked_at_ = steady_clock::now();
        self->under_way_.reset();
        for (const auto& take : std::exchange(self->askers_, {})) take(self->why_not_);
    });
}

http_service::http_service(boost::asio::io_context& context, server& of, http_server::taken when)
    : program_{of},
      probe_{std::make_shared<upstream_probe>(context, of.live()->settings)},
      site_{sources(), token_of(of.settings()), of.settings().http.tenant_series},
      server_{context, of.settings().http, site_, {}, when} {}

void http_service::start() {
    server_.start();
    log_info("HTTP on " + program_.settings().http.listen_addr + ":" +
             std::to_string(server_.port()));
}

std::string http_service::problems(const config::settings& s) {
    std::string wrong;
    if (s.http.listen_port != 0) static_cast<void>(read_http_token(s, wrong));
    return wrong.empty() ? wrong : wrong + "\n";
}

http_sources http_service::sources() {
    return {.look =
                [this](std::function<void(const http_sources::snapshot&)> then) {
                    program_.observer().look(std::move(then));
                },
            .history = [this]() -> const ops::history& { return program_.observer().history(); },
            .state =
                [this](const std::function<void(ops::program_state)>& then) {
                    probe_->ask([this, then](const std::string& why_not) { then(state(why_not)); });
                }};
}

// Whatever the files say, the last configuration that was good is in force: no reason not to be
// ready.
std::string http_service::configuration_detail() const {
    const auto& now = program_.configuration();
    const auto waiting = now.waiting().size();
    std::string out = "loaded";
    if (const auto& refused = now.refused())
        out = "the last good one is in force: that of " + ops::time_text(refused->at) + " (" +
              refused->why + ") is not valid, the log says why";
    if (waiting > 0)
        out += "; " + std::to_string(waiting) + (waiting == 1 ? " key needs" : " keys need") +
               " a restart";
    return out;
}

ops::program_state http_service::state(const std::string& upstream_why_not) const {
    const auto& s = program_.settings();
    const auto& program = program_.program();
    ops::program_state out{
        .version = program.substr(program.rfind(' ') + 1),
        .optimizations = s.enable_optimizations,
        .max_memory = s.cache.store.max_memory,
        .max_clients = s.max_client_conn,
        .checks = {},
        .tenants = ops::usage_of(program_.tenant_directory(), steady_clock::now())};
    out.checks.push_back(upstream_why_not.empty()
                             ? check{"upstream", check::state::ok, "reachable"}
                             : check{"upstream", check::state::failed, upstream_why_not});
    out.checks.push_back(ops::invalidation_check(program_.invalidation()));
    out.checks.push_back({"configuration", check::state::ok, configuration_detail()});
    out.checks.push_back(program_.draining()
                             ? check{"clients", check::state::failed, "shutting down"}
                             : check{"clients", check::state::ok, "accepted"});
    return out;
}

}  // namespace pgsidecar::io
