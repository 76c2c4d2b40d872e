#include "proxy/io/console.h"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <iterator>
#include <utility>

#include "proxy/io/ask_workers.h"
#include "proxy/io/explainer.h"
#include "proxy/io/log.h"
#include "proxy/ops/console_activity.h"
#include "proxy/ops/console_columns.h"

namespace pgsidecar::io {
namespace {

using kind = ops::console_command::kind;
using ops::console_answer;
using ops::console_view;

constexpr std::size_t samples_kept = std::chrono::minutes{1} / ops::history::interval;

struct part {
    std::vector<ops::live_client> clients;
    std::vector<ops::live_server> servers;
};

console_answer rows(ops::console_table table) {
    console_answer out;
    out.table = std::move(table);
    return out;
}

std::string catalog_state(core::database& d) {
    if (d.suspended()) return "suspended";
    if (d.usable_catalog()) return "ready";
    return d.latest_catalog() ? "reading" : "none";
}

}  // namespace

console::console(boost::asio::io_context& context, server& of, std::string program)
    : context_{context},
      server_{of},
      program_{std::move(program)},
      timer_{context},
      explainer_{std::make_unique<explainer>(context, of)} {}

console::~console() = default;

void console::start() {
    server_.observer().on_sample([this](const observer::snapshot& now) {
        samples_.push_back(now);
        if (samples_.size() > samples_kept) samples_.pop_front();
    });
}

void console::stop() {
    timer_.cancel();
    explainer_->stop();
}

void console::ask(who asks, ops::console_command command, reply done) {
    boost::asio::post(context_, [this, asks = std::move(asks), c = std::move(command),
                                 done = std::move(done)] { run(asks, c, done); });
}

// What became of a change of the configuration; in force on every worker by now.
configuration::handler console::told(const reply& done) {
    return [done](const configuration::result& r) {
        console_answer out;
        for (const auto& key : r.waiting) out.notices.push_back(key + " needs a restart");
        for (const auto& key : r.dropped) out.notices.push_back(key + " is not SET any more");
        if (!r.ok) {
            std::string all;
            for (const auto& line : r.problems) all.append(all.empty() ? "" : "\n").append(line);
            out.error = {"F0000", "the configuration is not valid, nothing has changed", all, {}};
        }
        done(std::move(out));
    };
}

void console::run(const who& asks, const ops::console_command& c, const reply& done) {
    if (c.what == kind::show) return show(asks, c, done);
    log_info("console: " + c.tag + " by user=" + asks.user +
             (c.what == kind::set || c.name.empty() ? "" : " name=" + c.name));
    switch (c.what) {
        case kind::shutdown:
            return shut_down(c, done);
        case kind::invalidate:
            return done(invalidate(c));
        case kind::reload:
            return server_.configuration().reload(c.tag, told(done));
        case kind::rollback_config:
            return server_.configuration().rollback(told(done));
        case kind::set:
            return server_.configuration().set(c.name, c.value, told(done));
        default:
            return control(c, asks.token, done);
    }
}

void console::show(const who& asks, const ops::console_command& c, const reply& done) {
    if (ops::is_live(c.view)) return show_live(c.view, done);
    if (ops::is_counted(c.view) || c.view == console_view::cache) return show_counted(c, done);
    switch (c.view) {
        case console_view::flags:
            return done(rows(ops::flags_table(
                ops::flags(server_.configuration().current(), server_.comparisons().counts()))));
        case console_view::config:
            return done(rows(ops::config_table(server_.configuration().current(),
                                               server_.configuration().waiting())));
        case console_view::rules:
            return done(rows(ops::rules_table(server_.settings())));
        case console_view::explain:
            return explainer_->explain(c, asks.user, done);
        case console_view::mem: {
            ops::console_table t{ops::columns_of(c.view), {}};
            const auto s = server_.store().statistics();
            const auto most = server_.settings().cache.store.max_memory;
            t.rows.push_back({ops::cell("result_cache"), ops::cell(0), ops::cell(s.entries),
                              ops::cell(s.bytes < most ? most - s.bytes : 0), ops::cell(s.bytes)});
            return done(rows(std::move(t)));
        }
        default:
            return done(rows({ops::columns_of(c.view), {}}));
    }
}

void console::show_counted(const ops::console_command& c, const reply& done) {
    server_.observer().look([this, c, done](const observer::snapshot& now) {
        if (c.view == console_view::cache)
            return done(rows(ops::cache_table(*now, server_.settings())));
        std::vector<ops::tenant_usage> usage;
        if (c.view == console_view::tenants)
            usage = ops::usage_of(server_.tenant_directory(), std::chrono::steady_clock::now());
        done(rows(ops::counted_table(c, *now, samples_.empty() ? nullptr : samples_.front().get(),
                                     usage)));
    });
}

void console::show_live(console_view v, const reply& done) {
    ask_workers<part>(
        server_,
        [](worker& w) {
            part out;
            w.list(out.clients, out.servers);
            return out;
        },
        [this, v, done](std::vector<part> parts) {
            ops::live_state now;
            for (auto& p : parts) {
                std::ranges::move(p.clients, std::back_inserter(now.clients));
                std::ranges::move(p.servers, std::back_inserter(now.servers));
            }
            now.pools = server_.ledger().list(std::chrono::steady_clock::now());
            server_.databases().for_each([&](core::database& d) {
                now.databases.push_back({d.name(), catalog_state(d)});
            });
            now.words = server_.traffic().words();
            now.everything_paused = server_.traffic().everything_paused();
            now.draining = server_.draining();
            done(rows(ops::live_table(v, now, server_.settings())));
        });
}

void console::cancel(std::uint64_t token) {
    boost::asio::post(context_, [this, token] {
        for (auto it = waits_.begin(); it != waits_.end(); ++it) {
            if (it->token != token) continue;
            const auto ended = std::move(*it);
            waits_.erase(it);
            if (ended.command.what == kind::pause) let_go(ended.command.name);
            console_answer out;
            out.error = {"57014", "canceling statement due to user request", {}, {}};
            return ended.done(std::move(out));
        }
    });
}

void console::forget(std::uint64_t token) {
    boost::asio::post(context_, [this, token] {
        waits_.remove_if([token](const wait& w) { return w.token == token; });
    });
}

}  // namespace pgsidecar::io
