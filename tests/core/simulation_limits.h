// Limits in the simulation: which are in force, by the seed, and a watch over whether they are
// kept. It sees the proxy from outside alone: the bytes that a session writes to its server and the
// hits that it counts. A request runs from the first of its bytes until its server is at rest again
// outside of any transaction.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "policy/tenants.h"
#include "tests/core/model_server.h"

namespace core_test {

namespace policy = pgsidecar::policy;

class chance;

struct simulated_limits {
    policy::tenant_options options;
    bool by_startup = false;  // a tenant is a session's for life; else by app.tenant_id
    bool cuts_pages = false;  // a SELECT without LIMIT ends after default_page_size

    [[nodiscard]] static simulated_limits of(std::uint64_t seed);
    // All tenants share one tier.
    [[nodiscard]] const policy::tier& tier() const { return options.tiers.front(); }
    [[nodiscard]] bool enforced(policy::enforcement mode) const {
        return options.limits == policy::enforcement::enforce &&
               mode == policy::enforcement::enforce;
    }
    // Whoever waits for a place gets it: nobody stops waiting before that.
    [[nodiscard]] bool waits_for_ever() const {
        return tier().query_wait_timeout >= std::chrono::hours{1};
    }
};

// What one session has sent.
struct passage {
    [[nodiscard]] std::vector<statement> sent(std::string_view bytes);  // that are to run

    std::string in{};
    bool started = false;
    bool skipped = false;  // it sent what fails: up to its Sync the server runs nothing
    std::map<std::string, std::optional<statement>, std::less<>> prepared{};
    std::optional<statement> portal{};

    std::string tenant{};  // empty: none
    bool runs = false;
    bool moved = false;  // since the server was at rest its tenant may have become another one
    bool block = false;  // what follows may be skipped there, and then costs nothing
    std::optional<std::uint64_t> held_since{};  // what is shown first next time was not taken
};

class limits_watch {
  public:
    explicit limits_watch(const simulated_limits& limits) : limits_{limits} {}

    // After each call of a session, at `now` (ms). True: a token was taken.
    bool note(passage& p, std::string_view bytes, std::size_t hits, std::uint64_t now);
    // Before that, when the session's server is at rest and has told so.
    void at_rest(passage& p, const std::string& tenant) const;
    // "" or how more run than may. `places`: those that the gate knows of.
    [[nodiscard]] std::string crowd(const std::vector<const passage*>& alive,
                                    unsigned places) const;
    // "" or who was given more than its rate. Once, at the end.
    [[nodiscard]] std::string excess() const;

  private:
    // Taken from its tenant's bucket at some moment of these.
    struct token {
        std::uint64_t from, until;
    };
    const simulated_limits& limits_;
    std::map<std::string, std::vector<token>> taken_;
};

}  // namespace core_test
