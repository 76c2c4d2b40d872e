// What name resolution and cacheability depend on in a session, as it stands when the statement is
// sent. Views into the caller's state: they live for the call. A search_path set to nothing is
// `""`.
#pragma once
#include <string_view>

namespace pgsidecar::policy {

struct session_scope {
    std::string_view search_path;    // as SHOW search_path prints it; empty: not known
    std::string_view current_role;   // what current_user says: the meaning of "$user"
    bool temporary_objects = false;  // the session may own objects in pg_temp
    bool serializable = false;       // the next statement would run in SERIALIZABLE isolation
    bool tainted = false;            // something ran whose effect on the session is unknown
};

}  // namespace pgsidecar::policy
