#include "proxy/io/notify_stream.h"

#include <array>
#include <string>
#include <utility>

namespace pgsidecar::io {
namespace {

constexpr auto look_interval = std::chrono::milliseconds{500};

struct notify_free {
    void operator()(PGnotify* n) const noexcept { PQfreemem(n); }
};

}  // namespace

notify_stream::notify_stream(core::database& where,
                             std::shared_ptr<const config::settings> settings)
    : outside_stream{where, std::move(settings)}, follower_{where}, own_channel_{random_name()} {
    begin();
}

notify_stream::~notify_stream() { end(); }

bool notify_stream::open() {
    connection_ = connect("pgsidecar listener", false);
    if (!connection_) return false;
    const auto listen =
        "LISTEN " + std::string{core::notice_follower::channel} + "; LISTEN " + own_channel_;
    const result_ptr r{PQexec(connection_.get(), listen.c_str())};
    if (PQresultStatus(r.get()) != PGRES_COMMAND_OK) return failed(connection_.get());
    awaited_ = asking_ = false;
    ask_next_ = clock::now();
    opened("by NOTIFY");
    return true;
}

void notify_stream::close() { disconnect(connection_); }

void notify_stream::follow() {
    while (receive() && ask(clock::now())) {
        if (!wait(awaited_ || asking_ ? clock::now() + look_interval : ask_next_)) return;
    }
}

bool notify_stream::receive() {
    if (PQconsumeInput(connection_.get()) != 1) return failed(connection_.get());
    if (asking_ && PQisBusy(connection_.get()) == 0) {
        const result_ptr r{PQgetResult(connection_.get())};
        while (const result_ptr more{PQgetResult(connection_.get())}) {
        }
        asking_ = false;
        if (PQresultStatus(r.get()) != PGRES_TUPLES_OK) return failed(connection_.get());
    }
    while (const std::unique_ptr<PGnotify, notify_free> n{PQnotifies(connection_.get())}) {
        if (n->relname == core::notice_follower::channel) {
            follower_.on_message(n->extra);
        } else if (n->relname == own_channel_ && n->extra == std::to_string(sent_)) {
            awaited_ = false;
            seen(sent_at_);
        }
    }
    return true;
}

bool notify_stream::ask(clock::time_point now) {
    if (awaited_ || asking_ || now < ask_next_) return true;
    const auto number = std::to_string(++sent_);
    const std::array<const char*, 2> values{own_channel_.c_str(), number.c_str()};
    sent_at_ = now;
    ask_next_ = now + settings_->cache.max_invalidation_lag / 4;
    awaited_ = asking_ = true;
    return PQsendQueryParams(connection_.get(), "SELECT pg_catalog.pg_notify($1, $2)", 2, nullptr,
                             values.data(), nullptr, nullptr, 0) == 1 ||
           failed(connection_.get());
}

}  // namespace pgsidecar::io
