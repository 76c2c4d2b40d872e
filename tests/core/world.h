// What sessions share (store, versions, flights, databases, one decider per worker), with a catalog
// made of literal rows, and a session with the two peers' buffers around it: the pump in miniature.
// Tables: public.kv (oid 16400), public.other (16401), public.notes (16402), whose rows are visible
// by the setting app.tenant_id, bob.kv (16403), one in UTF-8, public."k\xc3\xa9" (16404), and
// public.months (16405) with its partition public.january (16406). Publication pgsidecar tells of
// kv and months.
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cache/flights.h"
#include "cache/store.h"
#include "cache/versions.h"
#include "policy/catalog.h"
#include "proxy/core/session.h"
#include "proxy/core/tier_guard.h"
#include "tests/core/messages.h"

namespace core_test {

namespace core = pgsidecar::core;
namespace cache = pgsidecar::cache;
namespace policy = pgsidecar::policy;

inline constexpr policy::oid kv_oid = 16400;
inline constexpr policy::oid other_oid = 16401;
inline constexpr policy::oid notes_oid = 16402;
inline constexpr policy::oid months_oid = 16405;
inline constexpr policy::oid january_oid = 16406;

struct defaults {
    std::string_view configured = "1";  // stands for the server's configuration
    std::string_view of_app{};          // what ALTER ROLE app SET datestyle says
};
[[nodiscard]] std::shared_ptr<const policy::catalog> small_catalog(std::uint64_t generation,
                                                                   defaults given = {});

struct world {
    explicit world(std::size_t workers = 1, core::decider_limits limits = {});
    // Before the sessions are made: limits are in force from then on.
    void limit(policy::tenant_options options);
    // Likewise: there is a tier that several processes share, and it is up.
    void share_tier(core::tier_guard::validity by = core::tier_guard::validity::ttl);
    // A catalog under the wanted number, as the reader of catalogs would bring.
    void publish();
    [[nodiscard]] const core::session_services& services(std::size_t worker = 0) const {
        return each_services[worker];
    }
    [[nodiscard]] core::database& db() { return dbs.of("db"); }
    [[nodiscard]] cache::table_state& kv() { return db().table(kv_oid); }
    [[nodiscard]] cache::table_state& other() { return db().table(other_oid); }
    // "" when no session has left anything behind but what it handed over as unsettled.
    [[nodiscard]] std::string unrest(const std::vector<core::unsettled_commit>& handed_over);

    cache::versions versions;
    cache::store store;
    cache::flights flights;
    core::databases dbs{versions};
    std::shared_ptr<policy::cache_rules> rules;
    std::deque<core::decider> deciders;
    core::session_options options;
    std::unique_ptr<policy::tenant_directory> tenants;
    std::unique_ptr<core::tier_guard> guard;
    std::string key_buffer;
    std::deque<core::session_services> each_services;
    core::session::time_point now{std::chrono::hours{1}};
    static constexpr cache::instance_id self{'m', 'e'};
};

// Whose shared server connections a session uses (pool_mode: transaction); it is named by its
// token.
class pool_host {
  public:
    virtual ~pool_host() = default;
    // The session has shown who it is; answered with on_pool_joined().
    virtual void join(std::uint64_t token) = 0;
    [[nodiscard]] virtual core::server_link* take_now(std::uint64_t token) = 0;
    // Answered with wired::attach() or wired::no_server(), at once or later.
    virtual void acquire(std::uint64_t token) = 0;
    virtual void forget(std::uint64_t token) = 0;
    // What the session still wrote to it has not left yet. `unread`: of the server's bytes.
    virtual void give_back(std::uint64_t token, std::string_view unread) = 0;
};

// One session between two peers. Bytes that it does not take are kept and shown again.
class wired : core::server_source {
  public:
    explicit wired(world& w, std::uint64_t token = 1U << 20, std::size_t worker = 0,
                   pool_host* host = nullptr)
        : world_{w},
          session_{std::make_unique<core::session>(w.services(worker), token)},
          token_{token},
          host_{host} {}

    void client(std::string_view bytes);
    void server(std::string_view bytes);
    void connected();
    void connect_failed(std::string_view sqlstate, std::string_view message);
    void client_tls() { session_->on_client_tls(); }
    void credentials(core::credentials given);
    void wake(const core::wake_up& w);
    void switched();  // the world's options, rules or limits are others now
    void database_released();
    [[nodiscard]] bool cancel();
    void cancel_sent();
    void later(std::chrono::milliseconds after);  // and what is due by then
    // The shared tier's answer to what was asked last.
    void tier_answer(core::tier_finds found);
    void on_deadline();
    void catalog_read() { world_.publish(); }  // the control connection has looked again
    void shutdown();
    void client_gone();
    void client_finished();  // it sends no more
    void server_gone();
    // pool_mode: transaction.
    void attach(core::server_link& link);
    void no_server(std::string_view error);
    // Start-up to the first ReadyForQuery; what it wrote is dropped.
    void log_in(std::vector<protocol::startup_parameter> more = {});

    // What was written to that peer since the last call.
    [[nodiscard]] std::string to_client() { return std::exchange(to_client_, {}); }
    [[nodiscard]] std::string to_server() { return std::exchange(to_server_, {}); }
    [[nodiscard]] std::vector<policy::reason> outcomes() { return std::exchange(outcomes_, {}); }
    [[nodiscard]] std::vector<core::measurement> measured() { return std::exchange(measured_, {}); }
    // Transactions that have ended, of those that are measured.
    [[nodiscard]] std::vector<core::transaction_end> ended() { return std::exchange(ended_, {}); }
    [[nodiscard]] std::vector<core::wake_up> wakes() { return std::exchange(wakes_, {}); }
    [[nodiscard]] std::vector<core::comparison> compared() { return std::exchange(compared_, {}); }
    [[nodiscard]] core::session& session() { return *session_; }
    // Bytes of both peers that the session has not taken yet.
    [[nodiscard]] std::size_t held() const { return client_rest_.size() + server_rest_.size(); }

    std::optional<core::tier_question> question;  // the last
    unsigned questions = 0;
    std::vector<core::tier_offer> offers;
    core::tier_work told;  // sums of its counts

    bool server_tls = false;  // what connected() says of the server's connection
    std::vector<core::unsettled_commit> unsettled;
    bool ask_credentials = false;
    bool start_tls = false, connect = false, closing = false, logged_in = false;
    bool catalog_changed = false, settled = false;
    std::string release;
    std::string refused_because;
    std::optional<core::actions::cancel> cancel_request;
    bool cancel_due = false;  // one is to be sent, and cancel_sent() awaited

  private:
    [[nodiscard]] core::server_link* take_now() override { return host_->take_now(token_); }
    void perform();
    void perform_pooled();
    void settle();
    void admit();
    [[nodiscard]] std::size_t show_client();

    world& world_;
    std::unique_ptr<core::session> session_;
    std::uint64_t token_;
    pool_host* host_;
    core::actions actions_;
    std::string client_rest_, server_rest_, to_client_, to_server_;
    std::size_t used_ = 0;  // of server_rest_, in the call under way
    std::vector<policy::reason> outcomes_;
    std::vector<core::measurement> measured_;
    std::vector<core::transaction_end> ended_;
    std::vector<core::wake_up> wakes_;
    std::vector<core::comparison> compared_;
    bool resume_ = false, ask_login_ = false, acquire_ = false;
};

// The log-in as the server tells it, up to ReadyForQuery.
[[nodiscard]] std::string server_log_in();
[[nodiscard]] std::string client_startup(std::vector<protocol::startup_parameter> more = {},
                                         std::uint32_t version = protocol::protocol_3_0);

}  // namespace core_test
