// What the operator allows to be cached. Built by config, read by plan_read(); immutable.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace pgsidecar::policy {

// shadow: the server is asked, and its answer compared with what would have been served.
enum class rule_mode : std::uint8_t { off, shadow, on };

// What becomes of a SELECT without LIMIT.
enum class unlimited_select : std::uint8_t { allow, refuse, cut };

struct cache_rule {
    std::string name;
    std::vector<std::string> tables;  // patterns "schema.table" with * and ?; no dot = schema
                                      // public; "*" = every user table
    std::vector<std::string>
        functions;  // names the rule vouches for as if immutable, "schema.name" or "name"
    std::chrono::milliseconds ttl{std::chrono::minutes{5}};
    rule_mode mode = rule_mode::on;
    unlimited_select unlimited = unlimited_select::allow;
    unsigned rollout_percent = 100;  // of the tenants; see in_rollout()
    // Beyond the ttl an answer is served for this long still, while one session asks anew.
    std::chrono::milliseconds stale_while_revalidate{0};
    // Beyond the ttl, or the end of looking for writes, in place of an error for want of a server.
    std::chrono::milliseconds stale_if_error{0};
};

struct cache_rules {
    std::vector<cache_rule> rules;  // the first rule that allows every table of a statement wins
    std::vector<std::string> key_settings{
        "app.tenant_id"};  // settings current_setting() may read: they are in the key
};

}  // namespace pgsidecar::policy
