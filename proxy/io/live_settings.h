// What the program runs by at one time, derived from one configuration and never changed: a reload
// makes another one. The server has the latest, on main()'s thread. Each worker has its own pointer
// and takes the next one on its own thread, between the calls of its sessions.
#pragma once
#include <memory>
#include <string>

#include "config/settings.h"
#include "proxy/core/session_services.h"
#include "proxy/io/tls.h"

namespace pgsidecar::io {

struct live_settings {
    std::shared_ptr<const config::settings> settings;
    core::session_options options;
    ssl_ctx_ptr client_tls;
    ssl_ctx_ptr server_tls;
    // Are there rows to be written into prescription_query_metrics?
    [[nodiscard]] bool keeps_metrics() const noexcept;
    [[nodiscard]] std::shared_ptr<const policy::cache_rules> rules() const {
        return {settings, &settings->cache.rules};
    }
};

// Throws std::runtime_error: a certificate that cannot be read. `first`: what the program started
// with, which decides what cannot change while it runs; null: this is it.
[[nodiscard]] std::shared_ptr<const live_settings> make_live(
    std::shared_ptr<const config::settings> settings, const live_settings* first);

// Limits as they are in force: none while optimisations are off.
[[nodiscard]] policy::tenant_options limits_in_force(const config::settings& s);

// May an answer that is kept by the old rules be older than the new ones allow?
[[nodiscard]] bool shortens_life(const policy::cache_rules& old, const policy::cache_rules& now);

}  // namespace pgsidecar::io
