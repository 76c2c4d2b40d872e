#include "proxy/io/catalogs.h"

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
    if (s.connection || releases_ > 0) return;
    s.connection = std::make_unique<control_connection>(all_.of(name), all_, settings_);
    for (auto& commit : std::exchange(s.left, {})) s.connection->settle(std::move(commit));
}

void catalogs::close(slot& s) {
    if (!s.connection) return;
    s.left = s.connection->stop();
    s.connection.reset();
}

void catalogs::release(const std::string& name, std::function<void()> done) {
    const std::lock_guard lock{mutex_};
    ++releases_;
    std::erase_if(closers_, [](const closer& c) { return c.done->load(); });
    // Joining a connection's thread may take as long as a query of its own: never on a worker.
    auto& c = closers_.emplace_back();
    c.done = std::make_shared<std::atomic<bool>>(false);
    c.thread = std::jthread{[this, name, done = std::move(done), finished = c.done] {
        std::unique_ptr<control_connection> connection;
        {
            const std::lock_guard inner{mutex_};
            if (const auto it = slots_.find(name); it != slots_.end())
                connection = std::move(it->second.connection);
        }
        if (connection) {
            auto left = connection->stop();
            const std::lock_guard inner{mutex_};
            slots_[name].left = std::move(left);
        }
        done();
        finished->store(true);
    }};
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
        if (s.connection && now - s.used > keep_unused) close(s);
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

void catalogs::stop() {
    std::vector<closer> closers;
    {
        const std::lock_guard lock{mutex_};
        stopped_ = true;
        closers.swap(closers_);
    }
    closers.clear();  // joins
    const std::lock_guard lock{mutex_};
    for (auto& [name, s] : slots_) close(s);
}

}  // namespace pgsidecar::io
