#include "proxy/io/service_command.h"

#include <iostream>

namespace pgsidecar::io {

int carry_out(const service_request& request) {
    using action = service_request::action;
    const char* instead = "systemctl status pgsidecar";
    switch (request.what) {
        case action::install:
            instead =
                "copy deploy/systemd/pgsidecar.service to /etc/systemd/system, then systemctl "
                "enable pgsidecar";
            break;
        case action::uninstall:
            instead = "systemctl disable --now pgsidecar";
            break;
        case action::start:
            instead = "systemctl start pgsidecar";
            break;
        case action::stop:
            instead = "systemctl stop pgsidecar";
            break;
        case action::restart:
            instead = "systemctl restart pgsidecar";
            break;
        case action::reload:
            instead = "systemctl reload pgsidecar";
            break;
        case action::run:
            instead = "pgsidecar run";
            break;
        case action::status:
            break;
    }
    std::cerr << "pgsidecar: `pgsidecar service` is for Windows; here: " << instead << '\n';
    return 2;
}

}  // namespace pgsidecar::io
