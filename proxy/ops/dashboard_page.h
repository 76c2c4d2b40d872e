// The dashboard, as files that a browser asks for one by one; made from proxy/ops/dashboard when
// the program is built. They name no other host, and show what /api/dashboard says
// (json_dashboard.h).
#pragma once
#include <string_view>

namespace pgsidecar::ops::dashboard_page {

extern const std::string_view html;
extern const std::string_view style;
extern const std::string_view script;
extern const std::string_view charts;
extern const std::string_view icon;

}  // namespace pgsidecar::ops::dashboard_page
