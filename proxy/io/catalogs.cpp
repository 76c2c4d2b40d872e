#include "proxy/io/catalogs.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace pgsidecar::io {
namespace {
constexpr auto keep_unused = std::chrono::minutes{1};
}

catalogs::catalogs(core::databases& all, std::shared_ptr<const config::settings> settings)
    : all_{all},
      wanted_{!settings->upstream.control_connection.empty()},
      settings_{std::move(settings)} {}

catalogs::~catalogs() { stop(); }

void catalogs::adopt(std::shared_ptr<const config::settings> settings) {
    const std::lock_guard lock{mutex_};
    settings_ = std::move(settings);
    for (auto& [name, s] : slots_)
        if (s.connection) s.connection->refresh_every(settings_->cache.catalog_refresh_interval);
}

void catalogs::use(const std::string& name) {
    if (!wanted_) return;
    const std::lock_guard lock{mutex_};
    if (stopped_) return;
    auto& s = slots_[name];
    s.used = std::chrono::steady_clock::now();
    s.again = s.closing;
    if (s.connection || s.closing || releases_ > 0) return;
    s.connection = std::make_unique<control_connection>(all_.of(name), all_, settings_);
    for (auto& commit : std::exchange(s.left, {})) s.connection->settle(std::move(commit));
}

void catalogs::close(const std::string& name, std::function<void()> done) {
    std::erase_if(closers_, [](const closer& c) { return c.done->load(); });
    auto& s = slots_[name];
    std::shared_ptr<control_connection> connection{std::move(s.connection)};
    s.closing = s.closing || connection;
    // Joining a connection's thread may take as long as a query of its own: never on a worker.
    auto& c = closers_.emplace_back();
    c.done = std::make_shared<std::atomic<bool>>(false);
    c.thread = std::jthread{
        [this, &s, name, connection, done = std::move(done), finished = c.done]() mutable {
            auto left = connection ? connection->stop() : std::vector<core::unsettled_commit>{};
            bool again = false;
            {
                std::unique_lock lock{mutex_};
                std::ranges::move(left, std::back_inserter(s.left));
                if (std::exchange(connection, nullptr))
                    s.closing = false;
                else
                    closed_.wait(lock, [&s] { return !s.closing; });
                again = std::exchange(s.again, false);
            }
            closed_.notify_all();
            if (done) done();
            if (again) use(name);
            finished->store(true);
        }};
}

void catalogs::release(const std::string& name, std::function<void()> done) {
    const std::lock_guard lock{mutex_};
    ++releases_;
    close(name, std::move(done));
}

void catalogs::settled() {
    std::vector<std::string> again;
    {
        const std::lock_guard lock{mutex_};
        if (releases_ > 0) --releases_;
        if (releases_ > 0) return;
        for (const auto& [name, s] : slots_)
            if (!s.connection && all_.of(name).clients.load() > 0) again.push_back(name);
    }
    for (const auto& name : again) use(name);
}

void catalogs::reload() {
    const std::lock_guard lock{mutex_};
    for (auto& [name, s] : slots_)
        if (s.connection) s.connection->wake();
}

void catalogs::settle(core::unsettled_commit commit) {
    const auto& name = commit.where->name();
    {
        const std::lock_guard lock{mutex_};
        auto& s = slots_[name];
        if (s.connection)
            s.connection->settle(std::move(commit));
        else
            s.left.push_back(std::move(commit));
    }
    use(name);
}

void catalogs::close_unused(std::chrono::steady_clock::time_point now) {
    const std::lock_guard lock{mutex_};
    for (auto& [name, s] : slots_) {
        if (all_.of(name).clients.load() > 0) s.used = now;
        if (s.connection && now - s.used > keep_unused) close(name, {});
    }
}

bool catalogs::wait_ready(const std::string& name, std::chrono::milliseconds at_most) {
    control_connection* connection = nullptr;
    {
        const std::lock_guard lock{mutex_};
        const auto it = slots_.find(name);
        if (it != slots_.end()) connection = it->second.connection.get();
    }
    return connection && connection->wait_ready(at_most);
}

std::vector<ops::invalidation_status> catalogs::invalidation() const {
    std::vector<ops::invalidation_status> out;
    const std::lock_guard lock{mutex_};
    for (const auto& [name, s] : slots_)
        if (s.connection) out.push_back(s.connection->invalidation());
    return out;
}

// All at once: each may take as long as its server takes to answer.
void catalogs::stop() {
    std::vector<closer> closers;
    {
        const std::lock_guard lock{mutex_};
        stopped_ = true;
        for (const auto& [name, s] : slots_)
            if (s.connection) close(name, {});
        closers.swap(closers_);
    }
    closers.clear();  // joins
}

}  // namespace pgsidecar::io
