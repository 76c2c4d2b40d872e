// What a text value must look like beside being text. Each check returns an empty string or the
// reason, fit to follow the key in a message. The texts are valid UTF-8.
#pragma once
#include <string>
#include <string_view>

namespace pgsidecar::config {

using text_check = std::string (*)(std::string_view);

[[nodiscard]] std::string check_listen_addr(std::string_view text);    // IPv4, IPv6 or *
[[nodiscard]] std::string check_host(std::string_view text);           // name or address
[[nodiscard]] std::string check_auth_query(std::string_view text);     // asks for $1
[[nodiscard]] std::string check_path(std::string_view text);           // file; empty = none
[[nodiscard]] std::string check_query(std::string_view text);          // one line; empty = none
[[nodiscard]] std::string check_rule_name(std::string_view text);      // fits query_type
[[nodiscard]] std::string check_table_pattern(std::string_view text);  // [schema.]table, * and ?
[[nodiscard]] std::string check_function(std::string_view text);       // [schema.]name, * and ?
[[nodiscard]] std::string check_setting_name(std::string_view text);   // app.tenant_id, TimeZone
[[nodiscard]] std::string check_tenant_source(std::string_view text);  // user, setting:NAME, ...
[[nodiscard]] std::string check_tenant_name(std::string_view text);
[[nodiscard]] std::string check_tenant_pattern(std::string_view text);  // a name with * and ?
[[nodiscard]] std::string check_slot_name(
    std::string_view text);  // what the server takes, or empty
[[nodiscard]] std::string check_object_name(std::string_view text);  // what the server takes
[[nodiscard]] std::string check_user_name(std::string_view text);
[[nodiscard]] std::string check_tier_name(std::string_view text);  // identifier-like
[[nodiscard]] std::string check_validity(std::string_view text);   // ttl, wal; empty = not said
[[nodiscard]] std::string check_endpoint(std::string_view text);   // host:port
[[nodiscard]] std::string check_key_prefix(std::string_view text);

// Whether something that listens on `listen` can be reached under `host`; a guess from the texts.
[[nodiscard]] bool same_address(std::string_view listen, std::string_view host) noexcept;

}  // namespace pgsidecar::config
