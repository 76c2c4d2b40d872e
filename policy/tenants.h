// Who a session works for. Sources are asked in order and the first that has an answer wins; what
// it answers is looked up in the directory, which knows each tenant's tier and what it has used.
// The directory is shared by all workers; a tenant lives as long as a session or the directory
// holds it.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "policy/gate.h"
#include "policy/limits.h"
#include "policy/rate_limiter.h"

namespace pgsidecar::policy {

// Bytes. The column prescription_query_metrics.tenant_id holds as many characters.
inline constexpr std::size_t max_tenant_name = 100;

// Why a text cannot be a tenant's name, for a message; empty when it can: 1 to 100 bytes of valid
// UTF-8 without control characters.
[[nodiscard]] std::string bad_tenant_name(std::string_view name);

// One place where a tenant's name may stand, as the configuration writes it: `startup:name` (a
// start-up parameter or -c option, fixed for the connection's life), `setting:name` (the same
// setting as it is now), `comment:key` (sqlcommenter's key='value' in a comment of the statement),
// `application_name:pattern`, `user:pattern`, `database:pattern`. A pattern is a text with
// {tenant} in it; without a pattern the whole value is the name.
struct tenant_source {
    enum class from : std::uint8_t { startup, setting, comment, application_name, user, database };
    from where = from::user;
    std::string name{};    // startup, setting: lower case; comment: the key
    std::string before{};  // of the pattern: what stands before and behind the tenant
    std::string behind{};
};
// `why` says what is wrong when there is no result.
[[nodiscard]] std::optional<tenant_source> read_tenant_source(std::string_view text,
                                                              std::string& why);

// The value of a key in the comments of a statement, as sqlcommenter writes it: /*a='x',b='y%20z'*/
// with percent-encoding and \' for a quote, or in a line of its own behind --, as EF Core's TagWith
// puts it. The first one counts. Without a value: nothing.
[[nodiscard]] std::optional<std::string> comment_tag(std::string_view sql, std::string_view key);

// May there be a comment? A look that costs little: most texts have none.
[[nodiscard]] inline bool has_comment(std::string_view sql) noexcept {
    return sql.find("/*") != std::string_view::npos || sql.find("--") != std::string_view::npos;
}

// What the sources can be asked about; each may be empty.
struct tenant_evidence {
    std::function<std::optional<std::string>(std::string_view setting)> at_startup, now;
    std::string_view sql{}, user{}, database{};
};
// Empty: no source has a usable name.
[[nodiscard]] std::string find_tenant(const std::vector<tenant_source>& sources,
                                      const tenant_evidence& evidence);

inline constexpr auto limit_kinds = static_cast<std::size_t>(limit_kind::count_);

// What a tenant uses and has used. It outlasts a change of the tenant's tier.
struct tenant_usage {
    rate_limiter queries;
    gate::lane lane;
    // How often each limit was met, refused or only warned about.
    std::array<std::atomic<std::uint64_t>, limit_kinds> met{};
};

struct tenant {
    tenant(std::string its_name, std::shared_ptr<const tier> its_tier,
           std::shared_ptr<tenant_usage> its_usage = std::make_shared<tenant_usage>())
        : name{std::move(its_name)},
          of{std::move(its_tier)},
          usage{std::move(its_usage)},
          queries{usage->queries},
          lane{usage->lane},
          met{usage->met} {}
    const std::string name;
    const std::shared_ptr<const tier> of;
    const std::shared_ptr<tenant_usage> usage;
    rate_limiter& queries;
    gate::lane& lane;
    std::array<std::atomic<std::uint64_t>, limit_kinds>& met;
};

// Asked unless others are configured, as the configuration writes them.
inline constexpr std::array<std::string_view, 2> default_tenant_sources{"startup:pgsidecar.tenant",
                                                                        "setting:app.tenant_id"};
[[nodiscard]] std::vector<tenant_source> default_sources();

struct tenant_options {
    enforcement limits = enforcement::off;  // the most that any tier's modes may do
    std::vector<tenant_source> sources = default_sources();
    std::string default_tenant = "default";
    std::string default_tier = "default";
    std::vector<tier> tiers = shipped_tiers();
    unsigned max_concurrent_requests = 0;  // of all tenants; 0 = no limit
    unsigned max_tenants = 10'000;         // known at a time

    // `e`, but no more than the master switch allows.
    [[nodiscard]] enforcement effective(enforcement e) const noexcept {
        return e < limits ? e : limits;
    }
    // True when a statement's own text can name the tenant.
    [[nodiscard]] bool reads_comments() const noexcept;
};

class tenant_directory {
  public:
    explicit tenant_directory(tenant_options options);
    tenant_directory(const tenant_directory&) = delete;
    tenant_directory& operator=(const tenant_directory&) = delete;

    // Other limits from now on, for all tenants; what each has used stays. Who has found a tenant
    // before goes on with its tier as it was, until it asks for the tenant again.
    void adopt(tenant_options options);
    // Moves with each adopt().
    [[nodiscard]] std::uint64_t generation() const noexcept { return generation_.load(); }
    [[nodiscard]] std::shared_ptr<const tenant_options> options() const;
    [[nodiscard]] bool active() const noexcept { return active_.load(); }
    // Never null. Makes the tenant when it is new; an empty name is the default tenant. When too
    // many are known, those that nobody uses and whose rate is fully restored are forgotten (looked
    // for ten times a second at most); if there are none, a new name counts as the default tenant.
    [[nodiscard]] std::shared_ptr<tenant> find(std::string_view name, rate_limiter::time_point now);
    [[nodiscard]] std::size_t size() const;
    [[nodiscard]] std::vector<std::shared_ptr<const tenant>> known() const;
    [[nodiscard]] policy::gate& gate() noexcept { return gate_; }
    [[nodiscard]] const policy::gate& gate() const noexcept { return gate_; }

    // A limit was met, by this tenant.
    void count(tenant& whose, limit_kind k) noexcept {
        whose.met[static_cast<std::size_t>(k)].fetch_add(1, std::memory_order_relaxed);
        met_[static_cast<std::size_t>(k)].fetch_add(1, std::memory_order_relaxed);
    }
    // By all tenants, also those forgotten.
    [[nodiscard]] std::uint64_t met(limit_kind k) const noexcept {
        return met_[static_cast<std::size_t>(k)].load(std::memory_order_relaxed);
    }

  private:
    [[nodiscard]] std::shared_ptr<tenant> make(std::string_view name,
                                               std::shared_ptr<tenant_usage> usage) const;
    [[nodiscard]] const tier& tier_of(std::string_view name) const;

    std::shared_ptr<const tenant_options> options_;  // under the mutex
    std::atomic<std::uint64_t> generation_{1};
    std::atomic<bool> active_;
    policy::gate gate_;
    std::array<std::atomic<std::uint64_t>, limit_kinds> met_{};
    mutable std::mutex mutex_;
    struct hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view s) const noexcept {
            return std::hash<std::string_view>{}(s);
        }
    };
    std::unordered_map<std::string, std::shared_ptr<tenant>, hash, std::equal_to<>> known_;
    std::shared_ptr<tenant> default_;
    rate_limiter::time_point swept_at_{};  // under the mutex
};

}  // namespace pgsidecar::policy
