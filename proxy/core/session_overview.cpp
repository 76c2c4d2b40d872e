#include "proxy/core/session_overview.h"

#include "proxy/core/session.h"

namespace pgsidecar::core {

session_overview session::overview() const {
    using phase = session_overview::phase;
    session_overview out;
    out.user = user();
    out.database = database_name();
    if (const auto* name = settings_.find("application_name")) out.application_name = *name;
    if (limits_) out.tenant = limits_->tenant().name;
    out.client_pid = client_pid();
    out.server_pid = attached() ? server_pid_ : 0;
    out.kept_for = kept_for();
    out.last_heard = quiet_since_;
    if (state_ == state::console)
        out.is = phase::console;
    else if (state_ == state::ready && waits_for_server())
        out.is = phase::waiting;
    else if (state_ == state::ready && !(pool_ && pool_->greeting))
        out.is = idle() && !(transparent_ && client_active_) ? phase::idle : phase::active;
    return out;
}

}  // namespace pgsidecar::core
