// Where answers come from when a test fills them by hand.
#pragma once
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "proxy/io/http_site.h"

namespace http_world {

struct sources {
    pgsidecar::ops::observations seen;
    pgsidecar::ops::history hour;
    pgsidecar::ops::program_state state;
    bool answers = true;  // false: who looks is kept waiting
    std::vector<std::function<void(const pgsidecar::io::http_sources::snapshot&)>> waiting;

    [[nodiscard]] pgsidecar::io::http_sources make() {
        return {.look =
                    [this](std::function<void(const pgsidecar::io::http_sources::snapshot&)> then) {
                        if (!answers) return waiting.push_back(std::move(then));
                        then(std::make_shared<const pgsidecar::ops::observations>(seen));
                    },
                .history = [this]() -> const pgsidecar::ops::history& { return hour; },
                .state =
                    [this](const std::function<void(pgsidecar::ops::program_state)>& then) {
                        then(state);
                    }};
    }
};

}  // namespace http_world
