// Cancel keys: which session a CancelRequest means, and its way on to the server.
// Protocol 3.0, "Canceling Requests in Progress".
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "proxy/io/connector.h"

namespace pgsidecar::io {

// All sessions' keys, from all workers. The process id is the server's own and may, for a moment,
// belong to two sessions (one that has just ended); the key decides.
class cancel_keys {
  public:
    struct owner {
        unsigned worker = 0;
        std::uint64_t token = 0;
    };
    void add(std::int32_t pid, std::string key, unsigned worker, std::uint64_t token);
    void remove(std::int32_t pid, std::uint64_t token);
    // Takes the same time for a wrong key as for a right one.
    [[nodiscard]] std::optional<owner> find(std::int32_t pid, const std::string& key) const;

  private:
    struct item {
        std::string key;
        owner who;
    };
    mutable std::mutex mutex_;
    std::unordered_multimap<std::int32_t, item> items_;
};

// Sends one CancelRequest to the server and waits until the server has closed that connection: it
// has then signalled its backend. `done` is called in any case, after five seconds at the latest,
// or ten where connecting takes long. False: the request has left and may arrive later.
class cancel_sender : public std::enable_shared_from_this<cancel_sender> {
  public:
    cancel_sender(boost::asio::io_context& context,
                  const std::shared_ptr<const config::settings>& settings, ssl_ctx_ptr tls);
    void start(std::int32_t pid, std::string key, std::function<void(bool settled)> done);

  private:
    void wait_for_end();
    void finish(bool settled);

    std::shared_ptr<connector> connector_;
    boost::asio::steady_timer timer_;
    std::unique_ptr<transport> link_;
    std::function<void(bool)> done_;
};

}  // namespace pgsidecar::io
