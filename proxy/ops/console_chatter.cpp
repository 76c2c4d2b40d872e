#include "proxy/ops/console_chatter.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>

namespace pgsidecar::ops {
namespace {

using kind = console_command::kind;

console_command made(kind what, std::string tag) {
    console_command out;
    out.what = what;
    out.tag = std::move(tag);
    return out;
}

console_command one_cell(std::string column, std::string value) {
    auto out = made(kind::select, "SELECT 1");
    out.name = std::move(column);
    out.value = std::move(value);
    return out;
}

struct parameter {
    std::string_view name, value;
};
constexpr std::array parameters{
    parameter{"server_version", spoken_version},
    parameter{"server_version_num", "150000"},
    parameter{"server_encoding", "UTF8"},
    parameter{"client_encoding", "UTF8"},
    parameter{"standard_conforming_strings", "on"},
    parameter{"integer_datetimes", "on"},
    parameter{"datestyle", "ISO, MDY"},
    parameter{"intervalstyle", "postgres"},
    parameter{"timezone", "UTC"},
    parameter{"transaction_isolation", "read committed"},
    parameter{"default_transaction_isolation", "read committed"},
    parameter{"transaction_read_only", "off"},
    parameter{"default_transaction_read_only", "off"},
    parameter{"in_hot_standby", "off"},
    parameter{"search_path", "pg_catalog"},
    parameter{"max_identifier_length", "63"},
    parameter{"bytea_output", "hex"},
    parameter{"is_superuser", "off"},
};

// Settings of the server that drivers and tools set; no key of the configuration has such a name.
constexpr std::array<std::string_view, 24> ignored{"application_name",
                                                   "client_encoding",
                                                   "client_min_messages",
                                                   "datestyle",
                                                   "intervalstyle",
                                                   "timezone",
                                                   "names",
                                                   "extra_float_digits",
                                                   "standard_conforming_strings",
                                                   "bytea_output",
                                                   "search_path",
                                                   "statement_timeout",
                                                   "lock_timeout",
                                                   "idle_in_transaction_session_timeout",
                                                   "idle_session_timeout",
                                                   "default_transaction_read_only",
                                                   "default_transaction_isolation",
                                                   "row_security",
                                                   "escape_string_warning",
                                                   "synchronize_seqscans",
                                                   "transaction",
                                                   "role",
                                                   "jit",
                                                   "geqo"};

std::optional<console_command> read_block_word(word_reader in) {
    if (in.take("begin")) return made(kind::begin, "BEGIN");
    if (in.take("start"))
        return in.take("transaction") ? std::optional{made(kind::begin, "START TRANSACTION")}
                                      : std::nullopt;
    if (in.take("commit") || in.take("end")) return made(kind::commit, "COMMIT");
    if (in.take("abort")) return made(kind::rollback, "ROLLBACK");
    if (in.take("savepoint")) return made(kind::chatter, "SAVEPOINT");
    if (in.take("release")) return made(kind::chatter, "RELEASE");
    if (!in.take("rollback")) return std::nullopt;
    if (!in.take("work")) (void)in.take("transaction");
    // A savepoint holds nothing here.
    return in.take("to") ? made(kind::chatter, "ROLLBACK") : made(kind::rollback, "ROLLBACK");
}

std::optional<console_command> read_reset_word(word_reader in) {
    if (in.take("discard")) {
        for (const std::string_view what : {"all", "plans", "sequences", "temp", "temporary"})
            if (in.take(what)) {
                const bool temporary = what.starts_with("temp");
                if (what == "all") return made(kind::chatter, "DISCARD ALL");
                if (what == "plans") return made(kind::chatter, "DISCARD PLANS");
                return made(kind::chatter, temporary ? "DISCARD TEMP" : "DISCARD SEQUENCES");
            }
        return std::nullopt;
    }
    if (in.take("deallocate")) {
        (void)in.take("prepare");
        return made(kind::chatter, in.take("all") ? "DEALLOCATE ALL" : "DEALLOCATE");
    }
    if (in.take("close")) return made(kind::chatter, in.take("all") ? "CLOSE CURSOR ALL" : "CLOSE");
    if (in.take("unlisten")) return made(kind::chatter, "UNLISTEN");
    if (in.take("reset")) return made(kind::chatter, "RESET");
    return std::nullopt;
}

std::optional<console_command> read_select(word_reader in) {
    if (!in.take("select")) return std::nullopt;
    const auto called = [](word_reader& at, std::string_view name) {
        auto copy = at;
        const bool fits = (copy.take(name) || copy.take(std::string{"pg_catalog."}.append(name))) &&
                          copy.take_char('(') && copy.take_char(')') && copy.at_end();
        if (fits) at = copy;
        return fits;
    };
    if (auto one = in; one.take("1") && one.at_end()) return one_cell("?column?", "1");
    if (called(in, "version"))
        return one_cell("version", "PostgreSQL " + std::string{spoken_version} +
                                       " (the admin console of pgsidecar)");
    if (called(in, "pg_advisory_unlock_all")) return one_cell("pg_advisory_unlock_all", "");
    if (called(in, "current_schema")) return one_cell("current_schema", "pg_catalog");
    if (called(in, "current_database")) return one_cell("current_database", "pgsidecar");
    return std::nullopt;
}

}  // namespace

std::optional<console_command> read_chatter(const word_reader& in) {
    if (auto block = read_block_word(in)) return block;
    if (auto reset = read_reset_word(in)) return reset;
    return read_select(in);
}

std::optional<console_command> read_ignored_set(const word_reader& in) {
    auto at = in;
    if (!at.take("local") && at.take("session")) {
        if (at.take("authorization") || at.take("characteristics"))
            return made(kind::chatter, "SET");
    }
    if (at.take("time") && at.take("zone")) return made(kind::chatter, "SET");
    for (const auto name : ignored)
        if (at.take(name)) return made(kind::chatter, "SET");
    return std::nullopt;
}

std::optional<console_command> read_parameter(const word_reader& in) {
    auto at = in;
    if (at.take("transaction") && at.take("isolation") && at.take("level") && at.at_end()) {
        auto out = one_cell("transaction_isolation", "read committed");
        out.tag = "SHOW";
        return out;
    }
    at = in;
    if (at.take("time") && at.take("zone") && at.at_end()) {
        auto out = one_cell("TimeZone", "UTC");
        out.tag = "SHOW";
        return out;
    }
    at = in;
    for (const auto& p : parameters) {
        if (!at.take(p.name) || !at.at_end()) continue;
        auto out = one_cell(std::string{p.name}, std::string{p.value});
        out.tag = "SHOW";
        return out;
    }
    return std::nullopt;
}

}  // namespace pgsidecar::ops
