#include <array>

#include "config/conninfo.h"
#include "config/schema.h"
#include "config/webhook_url.h"

namespace pgsidecar::config {
namespace {

constexpr std::uint64_t second = 1'000, minute = 60 * second, day = 24 * 60 * minute;

std::string check_channel(std::string_view text) {
    constexpr std::size_t longest = 63;  // bytes of a name in PostgreSQL
    if (text.size() > longest) return "is longer than 63 bytes";
    return check_query(text);
}

std::string check_webhook_url(std::string_view text) {
    std::string why;
    if (text.empty() || read_webhook_url(text, why)) return {};
    return why;
}

constexpr key_row<settings> row(std::string_view path, slot (*at)(settings&),
                                std::string_view meaning, bounds range = {},
                                text_check check = nullptr, key_flag flag = key_flag::none) {
    return {path, at, meaning, range, check, flag};
}

// How a row's lambda hands out a member.
#define PGSIDECAR_AT(member) [](settings& s) -> slot { return &s.alerts.member; }

constexpr std::array alert_table{
    row("alerts.enable_alerts", PGSIDECAR_AT(enable_alerts),
        "Whether anybody is told. Not with `enable_optimizations: false`."),
    row("alerts.window", PGSIDECAR_AT(window),
        "The time over which statements are looked at together; in steps of ten "
        "seconds.",
        {10 * second, day}),
    row("alerts.windows", PGSIDECAR_AT(windows),
        "Windows in a row that are over the target before an alert fires.", {1, 1'000}),
    row("alerts.min_statements", PGSIDECAR_AT(min_statements),
        "A window in which a tenant had fewer statements says nothing about it. One "
        "that has become silent is cleared.",
        {1, 1'000'000}),
    row("alerts.repeat_interval", PGSIDECAR_AT(repeat_interval),
        "A tenant that stays over the target is told of again after so long, and not "
        "more often than that if it goes up and down. 0 tells of each change, and "
        "repeats nothing.",
        {0, 365 * day}),
    row("alerts.max_tenants", PGSIDECAR_AT(max_tenants),
        "Tenants that are named at a time, the slowest ones; how many more there are "
        "is told in one line.",
        {1, 1'000}),
    row("alerts.event_log", PGSIDECAR_AT(event_log),
        "Also told to the machine's own log: syslog, facility daemon, as `pgsidecar`; severity "
        "warning when one fires, notice when it clears."),
    row("alerts.notify_channel", PGSIDECAR_AT(notify_channel),
        "Channel of the NOTIFY whose payload tells the same as JSON; empty sends "
        "none.",
        {}, check_channel),
    row("alerts.connection", PGSIDECAR_AT(connection),
        "libpq connection string of the database in which NOTIFY is sent, with the "
        "upstream's host and port where it names none. Empty is "
        "`upstream.control_connection`.",
        {0, 4096}, check_conninfo, key_flag::conninfo),
    row("alerts.webhook_url", PGSIDECAR_AT(webhook_url),
        "`http://HOST[:PORT]/PATH` to which the same JSON is posted. HOST is a "
        "loopback address, `localhost`, or one of `alerts.webhook_hosts`. It is no "
        "place for a secret: `check` shows it. Empty posts nothing.",
        {}, check_webhook_url),
    row("alerts.webhook_hosts", PGSIDECAR_AT(webhook_hosts),
        "Hosts beside this one to which a webhook may go.", {0, 100}, check_host),
    row("alerts.webhook_timeout", PGSIDECAR_AT(webhook_timeout),
        "How long one attempt may take; there are three.", {100, minute}),
};
#undef PGSIDECAR_AT

}  // namespace

std::span<const key_row<settings>> alert_rows() noexcept { return alert_table; }

}  // namespace pgsidecar::config
