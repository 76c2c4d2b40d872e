#include "proxy/io/http_service.h"

#include <stdexcept>
#include <utility>

#include "proxy/io/connector.h"
#include "proxy/io/log.h"
#include "proxy/io/server.h"
#include "proxy/io/transport.h"

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

// A mode that is off has no limit to be near to.
std::uint32_t limit_of(const policy::tenant_directory& all, policy::enforcement mode,
                       std::uint32_t limit) {
    return all.effective(mode) == policy::enforcement::off ? 0 : limit;
}

std::vector<ops::tenant_usage> usage_of(const policy::tenant_directory& all) {
    const auto now = steady_clock::now();
    std::vector<ops::tenant_usage> out;
    for (const auto& one : all.known()) {
        const auto& tier = *one->of;
        auto& u = out.emplace_back();
        u.name = one->name;
        u.tier = tier.name;
        u.per_minute = limit_of(all, tier.queries_per_minute_mode, tier.queries_per_minute);
        u.rate_used = u.per_minute == 0 ? 0 : one->queries.used(now, tier.rate());
        u.running = one->lane.running();
        u.max_concurrent = limit_of(all, tier.max_concurrent_mode, tier.max_concurrent);
        for (std::size_t i = 0; i < u.met.size(); ++i) u.met[i] = one->met[i].load();
    }
    return out;
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
      probe_{std::make_shared<upstream_probe>(context, of.settings())},
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

ops::program_state http_service::state(const std::string& upstream_why_not) const {
    const auto& s = program_.settings();
    const auto& program = program_.program();
    ops::program_state out{.version = program.substr(program.rfind(' ') + 1),
                           .optimizations = s.enable_optimizations,
                           .max_memory = s.cache.store.max_memory,
                           .max_clients = s.max_client_conn,
                           .checks = {},
                           .tenants = usage_of(program_.tenant_directory())};
    out.checks.push_back(upstream_why_not.empty()
                             ? check{"upstream", check::state::ok, "reachable"}
                             : check{"upstream", check::state::failed, upstream_why_not});
    out.checks.push_back({"invalidation", check::state::absent,
                          "not configured: writes past pgsidecar are not seen in this version"});
    out.checks.push_back({"configuration", check::state::ok, "loaded"});
    out.checks.push_back(program_.draining()
                             ? check{"clients", check::state::failed, "shutting down"}
                             : check{"clients", check::state::ok, "accepted"});
    return out;
}

}  // namespace pgsidecar::io
