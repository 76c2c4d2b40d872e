#include "proxy/io/event_log.h"

#include <syslog.h>
#include <unistd.h>

namespace pgsidecar::io {

std::string write_event(event_severity how, const std::string& line) {
    // syslog() tells nobody that there is nobody who listens.
    if (::access("/dev/log", W_OK) != 0) return "this machine has no syslog: there is no /dev/log";
    ::openlog("pgsidecar", LOG_PID, LOG_DAEMON);
    ::syslog(how == event_severity::warning ? LOG_WARNING : LOG_NOTICE, "%s", line.c_str());
    return {};
}

}  // namespace pgsidecar::io
