#include "proxy/io/cancel.h"

#include <openssl/crypto.h>

#include <array>
#include <utility>

#include "protocol/startup.h"

namespace pgsidecar::io {
namespace {
constexpr auto patience = std::chrono::seconds{5};
}

void cancel_keys::add(std::int32_t pid, std::string key, unsigned worker, std::uint64_t token) {
    const std::lock_guard lock{mutex_};
    items_.emplace(pid, item{std::move(key), {worker, token}});
}

void cancel_keys::remove(std::int32_t pid, std::uint64_t token) {
    const std::lock_guard lock{mutex_};
    const auto [first, last] = items_.equal_range(pid);
    for (auto it = first; it != last; ++it) {
        if (it->second.who.token != token) continue;
        items_.erase(it);
        return;
    }
}

std::optional<cancel_keys::owner> cancel_keys::find(std::int32_t pid,
                                                    const std::string& key) const {
    const std::lock_guard lock{mutex_};
    const auto [first, last] = items_.equal_range(pid);
    for (auto it = first; it != last; ++it) {
        const auto& known = it->second.key;
        if (known.size() == key.size() && CRYPTO_memcmp(known.data(), key.data(), key.size()) == 0)
            return it->second.who;
    }
    return std::nullopt;
}

cancel_sender::cancel_sender(boost::asio::io_context& context,
                             const std::shared_ptr<const config::settings>& settings,
                             ssl_ctx_ptr tls)
    : connector_{std::make_shared<connector>(
          context, settings,
          settings->upstream.tls.mode == config::tls_mode::allow ? nullptr : std::move(tls),
          patience)},
      timer_{context} {}

void cancel_sender::start(std::int32_t pid, std::string key, std::function<void(bool)> done) {
    done_ = std::move(done);
    connector_->start([self = shared_from_this(), pid, key = std::move(key)](
                          std::unique_ptr<transport> link, const connect_error&) {
        if (!link) return self->finish(true);
        self->link_ = std::move(link);
        std::string request;
        protocol::write_cancel_request(request, pid, key);
        if (!self->link_->write({request})) return self->finish(false);
        self->timer_.expires_after(patience);
        self->timer_.async_wait([self](boost::system::error_code error) {
            if (!error) self->finish(false);
        });
        self->wait_for_end();
    });
}

void cancel_sender::wait_for_end() {
    link_->on_readable([self = shared_from_this()](boost::system::error_code error) {
        if (!self->done_) return;
        std::array<char, 64> ignored{};
        std::size_t got = 0;
        if (error || self->link_->read(ignored, got) == io_status::closed)
            return self->finish(true);
        self->wait_for_end();
    });
}

void cancel_sender::finish(bool settled) {
    timer_.cancel();
    if (link_) link_->close();
    if (auto done = std::exchange(done_, nullptr)) done(settled);
}

}  // namespace pgsidecar::io
