// What the pump is to do after a call of the session, as values. Owned by a worker and cleared
// before each call; the outboxes are to be written in full (or copied) before the next read.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "policy/reason.h"
#include "proxy/core/databases.h"
#include "proxy/core/measurement.h"
#include "proxy/core/outbox.h"
#include "proxy/core/tier.h"

namespace pgsidecar::core {

// A session whose wait in a single flight is over.
struct wake_up {
    std::uint64_t token = 0;
    bool look_again = true;  // false: the answer cannot be stored, ask the server yourself
    bool leads = false;      // the leader is gone, this one leads now
    bool admitted = false;   // it waited at the gate instead, and may run
};

// A server connection died while a commit was under way: its tables stay uncacheable until the
// server says that the backend is gone; then settle() each of them.
struct unsettled_commit {
    database* where = nullptr;
    std::int32_t backend_pid = 0;
    std::vector<cache::table_state*> tables;
    bool schema_changed = false;
    bool whole_cluster = false;
};

struct statement_text;

// The server's answer beside the one that the cache would have given.
struct comparison {
    std::shared_ptr<const std::string> rule;
    std::shared_ptr<const statement_text> text;
    bool equal = false;
};

struct server_link;

// Where a session finds a server connection at once, if one lies idle. Of the pump that calls it.
class server_source {
  public:
    virtual ~server_source() = default;
    // The session's from then on, as after on_server_attached(); null: it has to ask and to wait.
    [[nodiscard]] virtual server_link* take_now() = 0;
};

struct actions {
    outbox client;
    outbox server;
    server_source* source = nullptr;  // not cleared

    bool start_client_tls = false;   // after writing what is in `client`
    bool connect_upstream = false;   // then on_upstream_connected() or on_upstream_failed()
    bool doubt_credentials = false;  // what was said of user(): a log-in by it has failed
    bool ask_credentials = false;    // of user(); then on_credentials()
    bool ask_login = false;          // how user() is to log in; then on_login_rules()
    bool open_console = false;  // the client has shown who it is; its bytes go there from now on
    // pool_mode: transaction; in this order.
    bool join_pool = false;         // pool_start_up() and shown_credentials() tell which
    bool forget_server = false;     // it waits no more
    bool release_server = false;    // after writing; what link.unfit says is closed
    bool acquire_server = false;    // then on_server_attached() or on_no_server()
    bool wants_catalog = false;     // of database_name(), which has let somebody in
    bool close = false;             // after writing both outboxes
    bool resume_client = false;     // held bytes of the client may now be shown again
    bool logged_in = false;         // just now
    bool database_settled = false;  // the statement that release_database was for has ended
    bool catalog_changed = false;   // ask the reader of catalogs to look
    bool cancel_upstream = false;   // send a CancelRequest with server_key(); then on_cancel_sent()
    std::optional<std::string> release_database;  // then on_database_released()
    std::string refused_because;  // for the log: why this session was ended; never content

    struct cancel {
        std::int32_t pid = 0;
        std::string key;
    };
    std::optional<cancel> cancel_request;  // this connection was a CancelRequest

    std::vector<wake_up> wake;
    std::vector<policy::reason> outcomes;       // one for each statement
    std::vector<measurement> measured;          // one for each that is over, where that is wanted
    std::vector<transaction_end> transactions;  // likewise
    std::vector<comparison> compared;           // by rules with mode: shadow
    std::optional<unsettled_commit> unsettled;
    std::unique_ptr<tier_work> tier;  // for the shared tier; null: nothing
    [[nodiscard]] tier_work& for_tier() {
        if (!tier) tier = std::make_unique<tier_work>();
        return *tier;
    }

    void clear() {
        client.clear();
        server.clear();
        start_client_tls = connect_upstream = ask_credentials = doubt_credentials = ask_login =
            close = resume_client = false;
        open_console = false;
        wants_catalog = join_pool = forget_server = release_server = acquire_server = false;
        logged_in = database_settled = catalog_changed = cancel_upstream = false;
        release_database.reset();
        refused_because.clear();
        cancel_request.reset();
        wake.clear();
        outcomes.clear();
        measured.clear();
        transactions.clear();
        compared.clear();
        unsettled.reset();
        tier.reset();
    }
};

}  // namespace pgsidecar::core
