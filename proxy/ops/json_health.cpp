#include "proxy/ops/json_health.h"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "proxy/ops/readable.h"

namespace pgsidecar::ops {

namespace json = boost::json;

std::string_view to_string(readiness_check::state s) noexcept {
    switch (s) {
        case readiness_check::state::ok:
            return "ok";
        case readiness_check::state::failed:
            return "failed";
        case readiness_check::state::absent:
            return "absent";
    }
    return "unknown";
}

std::string health_json() { return R"({"status":"alive"})"; }

std::string readiness_json(const program_state& state) {
    json::object checks;
    for (const auto& check : state.checks)
        checks[check.name] = {{"status", to_string(check.is)}, {"detail", readable(check.detail)}};
    return json::serialize(json::object{{"status", state.ready() ? "ready" : "not ready"},
                                        {"checks", std::move(checks)}});
}

}  // namespace pgsidecar::ops
