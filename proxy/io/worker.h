// One thread with its own io_context: the sessions that live on it, its decider, its scratch memory
// and its counters. Sessions never leave their worker; other threads reach it through post() alone.
#pragma once
#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <queue>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "proxy/core/session.h"
#include "proxy/core/traffic.h"
#include "proxy/io/live_settings.h"
#include "proxy/io/pools.h"
#include "proxy/io/pump.h"
#include "proxy/io/users.h"
#include "proxy/io/wall_clock.h"
#include "proxy/ops/collector.h"
#include "proxy/ops/metrics_queue.h"

namespace pgsidecar::io {

class console;
class server;

class worker {
  public:
    worker(server& owner, unsigned index);
    ~worker();
    worker(const worker&) = delete;
    worker& operator=(const worker&) = delete;

    void run();   // starts the thread
    void stop();  // ends every session at once and joins the thread
    // When every worker has stopped: lets go what is still in the queue. A socket may belong to the
    // io_context of another worker (asio_socket.h), which is still there now.
    void finish();

    template <class F>
    void post(F f) {
        boost::asio::post(context_, std::move(f));
    }
    // On this worker's thread, like the next: nobody who waits keeps a catalog that was replaced.
    void forget_old_catalogs();
    // From here on it runs by `next`.
    void switch_to(std::shared_ptr<const live_settings> next);
    void adopt(tcp::socket client);  // on this worker's thread; of any io_context
    void drain();                    // from any thread: sessions end as they become idle

    // What a pump of this worker uses.
    [[nodiscard]] boost::asio::io_context& context() noexcept { return context_; }
    [[nodiscard]] const core::session_services& services() const noexcept { return services_; }
    [[nodiscard]] std::span<char> scratch() noexcept { return scratch_; }
    [[nodiscard]] core::actions& actions() noexcept { return actions_; }
    // On this worker's thread; of a call that returns to Asio, keep shared_settings() instead.
    [[nodiscard]] const config::settings& settings() const noexcept { return *live_->settings; }
    [[nodiscard]] const std::shared_ptr<const config::settings>& shared_settings() const noexcept {
        return live_->settings;
    }
    [[nodiscard]] const ssl_ctx_ptr& client_tls() const noexcept { return live_->client_tls; }
    [[nodiscard]] const ssl_ctx_ptr& server_tls() const noexcept { return live_->server_tls; }
    [[nodiscard]] io::pools& pools() noexcept { return pools_; }
    [[nodiscard]] worker& neighbour(unsigned index) noexcept;
    [[nodiscard]] std::int32_t new_client_pid() noexcept;
    void acquire_again(std::uint64_t token);
    void distrust_catalogs();
    void carry_out(core::actions& todo);  // what concerns others than the pump's own peers
    void use_database(const std::string& name);
    void release_database(const std::string& name, std::uint64_t token);
    void register_key(std::int32_t pid, const std::string& key, std::uint64_t token);
    void forget_key(std::int32_t pid, std::uint64_t token);
    void cancel(std::int32_t pid, const std::string& key, std::function<void()> done);
    void send_cancel(std::int32_t pid, const std::string& key, std::function<void(bool)> done);
    // Calls the pump's on_deadline() at that time.
    void watch(std::chrono::steady_clock::time_point due, std::uint64_t token);
    void carry_to_tier(core::tier_work& work, std::uint64_t token);
    void look_up_secret(const std::string& user, std::uint64_t token);
    void doubt_secret(const std::string& user);
    void look_up_login(users::question q, bool for_console, std::uint64_t token);
    [[nodiscard]] io::console& console() noexcept;
    [[nodiscard]] const core::traffic& traffic() const noexcept;
    [[nodiscard]] const core::pool_ledger& ledger() const noexcept;
    void remove(std::uint64_t token);

    [[nodiscard]] std::shared_ptr<pump> find(std::uint64_t token);
    // For the operator: the sessions and server connections that live here, the end of those of a
    // database or of one client, and the end of a pause.
    void list(std::vector<ops::live_client>& clients, std::vector<ops::live_server>& servers);
    [[nodiscard]] std::size_t count_servers(std::string_view database, bool outdated) const;
    void dismiss(std::string_view database);
    void unpark();
    void count_console(int change) noexcept { consoles_.fetch_add(change); }
    [[nodiscard]] int consoles() const noexcept { return consoles_.load(); }
    // Sessions that keep their shared server connection for that reason.
    [[nodiscard]] std::int64_t kept(core::pin why) const noexcept {
        return kept_[static_cast<std::size_t>(why)].load(std::memory_order_relaxed);
    }
    void count_kept(core::pin why, int change) noexcept {
        kept_[static_cast<std::size_t>(why)].fetch_add(change, std::memory_order_relaxed);
    }
    // On this worker's thread.
    [[nodiscard]] ops::collector& collector() noexcept { return collector_; }
    [[nodiscard]] std::size_t clients() const noexcept { return clients_.load(); }
    [[nodiscard]] unsigned index() const noexcept { return index_; }

  private:
    void tick();
    void measure(core::actions& todo);
    void keep_metrics(const std::vector<core::measurement>& all,
                      std::chrono::steady_clock::time_point now);
    void hand_over_metrics();
    void note_comparisons(const std::vector<core::comparison>& compared);
    void arm_watch();

    server& owner_;
    const unsigned index_;
    boost::asio::io_context context_{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
    boost::asio::steady_timer timer_;
    boost::asio::steady_timer watch_timer_;
    std::shared_ptr<const live_settings> live_;
    core::session_options options_;  // of live_; sessions refer to it
    core::decider decider_;
    core::actions actions_;
    std::string key_buffer_;
    const core::session_services services_;
    std::vector<char> scratch_;
    io::pools pools_;
    std::unordered_map<std::uint64_t, std::shared_ptr<pump>> pumps_;
    // Deadlines of sessions, the earliest on top. One that has moved on since is looked at in vain,
    // once; a session is in it again only for an earlier time, so most requests leave it alone.
    using watched = std::pair<std::chrono::steady_clock::time_point, std::uint64_t>;
    std::priority_queue<watched, std::vector<watched>, std::greater<>> watched_;
    std::chrono::steady_clock::time_point armed_ = core::limiter::never;
    std::unordered_map<std::uint64_t, std::function<void()>> cancels_;  // under way elsewhere
    std::uint64_t next_cancel_ = 0;
    std::uint64_t next_session_ = 1;
    std::atomic<std::size_t> clients_{0};
    std::atomic<int> consoles_{0};  // of the clients
    std::array<std::atomic<std::int64_t>, static_cast<std::size_t>(core::pin::count_)> kept_{};
    bool draining_ = false;
    ops::collector collector_;
    ops::metrics_batch metrics_;  // wait for the tick, or until there are enough
    wall_clock wall_clock_;
    unsigned sampled_ = 0;  // hundredths of a statement that are due
    std::thread thread_;
};

}  // namespace pgsidecar::io
