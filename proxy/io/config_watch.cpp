#include "proxy/io/config_watch.h"

#include <chrono>
#include <system_error>
#include <utility>

namespace pgsidecar::io {
namespace {
constexpr auto while_off = std::chrono::seconds{1};  // the setting may come on
}

config_watch::look config_watch::look_now() const {
    look out;
    for (const auto& path : of_.files()) {
        std::error_code error;
        file_state s;
        s.size = std::filesystem::file_size(path, error);
        s.there = !error;
        if (s.there) s.written = std::filesystem::last_write_time(path, error);
        if (!s.there) s.size = 0;
        out.emplace(path, s);
    }
    return out;
}

void config_watch::start() {
    last_ = look_now();
    // What changed between the loading and this look is in no look.
    differs_ = true;
    wait();
}

void config_watch::wait() {
    const auto interval = of_.settings()->config_watch_interval;
    timer_.expires_after(interval.count() == 0 ? while_off : interval);
    timer_.async_wait([this](boost::system::error_code error) {
        if (error) return;
        if (of_.settings()->config_watch_interval.count() > 0) compare();
        wait();
    });
}

void config_watch::compare() {
    auto now = look_now();
    if (now != last_) {
        last_ = std::move(now);
        differs_ = true;
    } else if (std::exchange(differs_, false) && of_.disk_fingerprint() != of_.read_fingerprint()) {
        of_.reload("a file has changed");
    }
}

}  // namespace pgsidecar::io
