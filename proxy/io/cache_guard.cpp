#include "proxy/io/cache_guard.h"

#include <boost/asio/post.hpp>

#include "proxy/io/log.h"

namespace pgsidecar::io {
namespace {
constexpr auto look_interval = std::chrono::milliseconds{250};
}

cache_guard::cache_guard(boost::asio::io_context& context, serving_lock& lock, core::databases& all,
                         io::catalogs& reader, std::shared_ptr<const config::settings> settings)
    : context_{context},
      lock_{lock},
      databases_{all},
      catalogs_{reader},
      settings_{std::move(settings)},
      timer_{context} {
    databases_.suspend();
}

void cache_guard::begin(bool alone) {
    wanted_ = true;
    // Versions stay the first ones: a shared tier's entries were filled while they were.
    if (alone) return databases_.resume_first();
    log_info(
        "another process still serves clients: until it has ended nothing is "
        "answered from the cache");
    look();
}

void cache_guard::suspend() {
    stop();
    databases_.suspend();
}

void cache_guard::let_others_serve() { (void)lock_.serve(); }

void cache_guard::look() {
    if (!wanted_ || !databases_.suspended() || wait_) return;
    if (lock_.serve_alone()) {
        const auto resumed = [this, turn = turn_] {
            boost::asio::post(context_, [this, turn] {
                if (turn == turn_) resume();
            });
        };
        // Without a control connection there is no cache to turn on.
        if (settings_->upstream.control_connection.empty()) return resumed();
        wait_ = std::make_unique<transaction_wait>(*settings_, resumed);
        return;
    }
    timer_.expires_after(look_interval);
    timer_.async_wait([this](boost::system::error_code error) {
        if (!error) look();
    });
}

void cache_guard::look_now() {
    timer_.cancel();
    look();
}

void cache_guard::resume() {
    wait_.reset();
    databases_.resume_anew();
    catalogs_.reload();
    log_info("no other process serves clients: answers come from the cache");
}

void cache_guard::stop() {
    wanted_ = false;
    ++turn_;
    timer_.cancel();
    wait_.reset();
}

}  // namespace pgsidecar::io
