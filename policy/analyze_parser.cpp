// The one file that names libpg_query. Its functions are thread-safe (per-thread memory contexts)
// and report errors in their results, each of which is freed on every path by a guard here.
#include <pg_query.h>

#include <boost/json/parse.hpp>
#include <cstring>
#include <string>

#include "policy/analyze_scan.h"
#include "policy/analyze_tree.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PGSIDECAR_LEAKS_ARE_SOUGHT
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(PGSIDECAR_LEAKS_ARE_SOUGHT)
// Whenever a PL/pgSQL body does not parse, libpg_query loses the empty string in which it would
// have kept what was written to stderr: one byte, out of our reach.
extern "C" const char* __lsan_default_suppressions();  // NOLINT(bugprone-reserved-identifier)
extern "C" const char* __lsan_default_suppressions() { return "leak:pg_query_raw_parse\n"; }
#endif

namespace pgsidecar::policy {
namespace {

// libpg_query writes its tree recursively, at 200 to 400 bytes of stack per level, and checks
// nothing: 100,000 nested operators overflow 8 MB. 500 levels fit into 256 kB.
constexpr std::size_t max_nesting = 500;
constexpr std::size_t max_json_nesting = 3000;  // a subquery takes seven levels of JSON
constexpr std::size_t max_json = std::size_t{64} << 20;

template <class Result, void (*Free)(Result)>
struct owned {
    Result result;
    explicit owned(Result r) noexcept : result{r} {}
    owned(const owned&) = delete;
    owned& operator=(const owned&) = delete;
    ~owned() { Free(result); }
};

}  // namespace

bool fit_to_parse(std::string_view sql) {
    if (sql.find('\0') != std::string_view::npos) return false;
    const auto bounds = bounds_of(sql);
    return bounds.nesting <= max_nesting &&
           (bounds.copies == 1 || bounds.copies <= max_json / (32 * (sql.size() + 1)));
}

bool sql_tree::read(std::string_view json) {
    if (json.size() > max_json) return false;
    boost::json::parse_options options;
    options.max_depth = max_json_nesting;
    options.allow_invalid_utf8 = true;  // the text may be in another encoding
    boost::json::error_code error;
    root_ = boost::json::parse(json, error, &memory_, options);
    return !error;
}

bool sql_tree::parse_sql(std::string_view sql) {
    if (!fit_to_parse(sql)) return false;
    const std::string text{sql};
    const owned<PgQueryParseResult, pg_query_free_parse_result> parsed{
        pg_query_parse(text.c_str())};
    if (parsed.result.error != nullptr || parsed.result.parse_tree == nullptr) return false;
    return read(parsed.result.parse_tree) && root_.is_object();
}

bool sql_tree::parse_plpgsql(std::string_view create_function) {
    if (!fit_to_parse(create_function)) return false;
    const std::string text{create_function};
    const owned<PgQueryPlpgsqlParseResult, pg_query_free_plpgsql_parse_result> parsed{
        pg_query_parse_plpgsql(text.c_str())};
    if (parsed.result.error != nullptr || parsed.result.plpgsql_funcs == nullptr) return false;
    return read(parsed.result.plpgsql_funcs) && root_.is_array();
}

std::uint64_t fingerprint_of(std::string_view sql) {
    if (!fit_to_parse(sql)) return 0;
    const std::string text{sql};
    const owned<PgQueryFingerprintResult, pg_query_free_fingerprint_result> found{
        pg_query_fingerprint(text.c_str())};
    return found.result.error != nullptr ? 0 : found.result.fingerprint;
}

}  // namespace pgsidecar::policy
