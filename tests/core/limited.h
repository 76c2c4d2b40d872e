// Limits for scripts, and the errors they end in.
#pragma once
#include <string>
#include <string_view>

#include "tests/core/script.h"

namespace core_test::limited {

using namespace std::chrono_literals;
using policy::enforcement;

inline const auto select_kv = query("SELECT v FROM kv");
inline const auto insert_kv = query("INSERT INTO kv VALUES ('1')");
inline const auto begin = query("BEGIN");
inline const auto begun = completed("BEGIN") + ready('T');
inline const auto rollback = query("ROLLBACK");
inline const auto rolled_back = completed("ROLLBACK") + ready();
// What the session sends in the place of what it refuses.
inline const auto failing = parse("pgsidecar", "pgsidecar: refused");

inline policy::tenant_options limits(auto change) {
    policy::tenant_options out{
        .limits = enforcement::enforce,
        .sources = {{.where = policy::tenant_source::from::setting, .name = "app.tenant_id"}}};
    out.tiers.front().queries_per_minute = 1'000'000;
    change(out.tiers.front(), out);
    return out;
}

inline std::string error(std::string_view sqlstate, std::string_view message,
                         std::string_view detail, std::string_view hint = {},
                         std::string_view who = "default") {
    std::string out;
    protocol::write_error(out, "ERROR", sqlstate,
                          std::string{message} + " of tenant \"" + std::string{who} + "\"", detail,
                          hint);
    return out;
}

inline const auto two_a_minute = limits([](policy::tier& t, auto&) {
    t.queries_per_minute = 2;
    t.burst = 2;
});
inline const auto over_rate =
    error("55P03", "over queries_per_minute", "2 queries a minute, at most 2 at once.",
          "Retry after 30000 ms.");

inline const auto two_rows = limits([](policy::tier& t, auto&) { t.max_result_rows = 2; });
inline const auto too_many_rows =
    error("54000", "result exceeds max_result_rows", "At most 2 rows.",
          "Ask for fewer rows at a time, with LIMIT.");

inline const auto one_second = limits([](policy::tier& t, auto&) { t.query_timeout = 1s; });
inline std::string out_of_time(std::string_view more = {}) {
    return error("57014", "canceling statement due to query_timeout",
                 std::string{"query_timeout is 1000 ms."}.append(more));
}

// How it is told where the server has not confirmed the cancel, of a request that it has whole.
inline const auto unsure =
    out_of_time(" The server has not confirmed it; what it writes may be kept.");

// A write of one row by the extended protocol.
inline const auto insert_part = parse("", "INSERT INTO kv VALUES ('1')") + bind("") + execute();
inline const auto starts = parse_complete() + bind_complete();
inline const auto inserted_part = starts + completed("INSERT 0 1");

inline std::string rows(int n) {
    std::string out;
    for (int i = 0; i < n; ++i) out += row_of("x");
    return out;
}

}  // namespace core_test::limited
