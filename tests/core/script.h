// A session as a script: what arrives, and what must leave for each peer before the next step.
// play_everyhow() runs it whole, byte by byte, cut once at every point (all with the same output),
// and with either peer gone before each step and in the middle of it: then nothing may be left
// behind but what was handed over as unsettled.
#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "tests/core/world.h"

namespace core_test {

struct want {
    std::string server{};  // bytes for the server
    std::string client{};
};

struct step {
    enum class kind {
        client,
        server,
        connected,
        cancel,
        cancel_sent,
        shutdown,
        released,
        catalog,
        later,
        tier
    };
    kind what = kind::client;
    std::string bytes{};
    want expected{};
    std::chrono::milliseconds after{};  // later
    core::tier_finds found{};           // tier
};

class script {
  public:
    explicit script(bool logged_in = true) : logged_in_{logged_in} {}
    script& client(std::string bytes, want expected) {
        return add({step::kind::client, std::move(bytes), std::move(expected)});
    }
    script& server(std::string bytes, want expected) {
        return add({step::kind::server, std::move(bytes), std::move(expected)});
    }
    script& event(step::kind what, want expected = {}) {
        return add({what, {}, std::move(expected)});
    }
    // A request that passes, and its answer that passes.
    script& passes(const std::string& request, const std::string& reply) {
        client(request, {.server = request});
        return server(reply, {.client = reply});
    }
    // A request that the cache answers.
    script& hits(const std::string& request, const std::string& reply) {
        return client(request, {.client = reply});
    }
    script& later(std::chrono::milliseconds after, want expected = {}) {
        return add({step::kind::later, {}, std::move(expected), after});
    }
    // What the shared tier has; there is one in a script with such a step.
    script& tier(core::tier_finds found, want expected) {
        return add({step::kind::tier, {}, std::move(expected), {}, std::move(found)});
    }
    script& shares_tier() {
        tier_ = true;
        return *this;
    }
    // In force from the log-in on.
    script& limits(policy::tenant_options given) {
        limits_ = std::move(given);
        return *this;
    }
    script& start_up(std::vector<protocol::startup_parameter> more) {
        more_ = std::move(more);
        return *this;
    }

    void play_everyhow() const;
    void play() const;  // whole, once

  private:
    struct cut {
        std::size_t at = 0;  // bytes of the whole script before it; 0: none
        bool everywhere = false;
    };
    script& add(step s) {
        steps_.push_back(std::move(s));
        return *this;
    }
    void play(const cut& c) const;
    void play_with_failure(std::size_t at, bool halfway, bool client_dies) const;
    void prepare(world& w) const;
    void begin(wired& l) const;
    static void act(wired& l, const step& s, std::string_view bytes);

    std::vector<step> steps_;
    std::vector<protocol::startup_parameter> more_;
    std::optional<policy::tenant_options> limits_;
    bool logged_in_;
    bool tier_ = false;
};

}  // namespace core_test
