// A shared tier in the table prescription_query_cache of a database, which `migrate` makes: through
// libpq, without blocking beyond the caller's time. What is asked for at a moment is one statement;
// what is put goes out in one pipeline, each row for itself, so that one that is refused takes no
// other along. cached_result is {"v": 1, "data": the envelope in base64}; expiration_time is UTC.
#pragma once
#include <boost/asio/io_context.hpp>
#include <span>
#include <string>

#include "proxy/io/control_parameters.h"
#include "proxy/io/tier_engine.h"

namespace pgsidecar::io {

class database_engine : public tier_engine {
  public:
    explicit database_engine(const config::settings& settings);
    ~database_engine() override { close(); }

    [[nodiscard]] std::string_view name() const noexcept override { return "database"; }
    [[nodiscard]] std::string open(time_point until) override;
    [[nodiscard]] std::string check(time_point until) override;
    [[nodiscard]] const core::tier_clock& clock_of(std::string_view /*name*/) const override {
        return clock_;
    }
    [[nodiscard]] std::string get(std::span<tier_get> all, time_point until) override;
    [[nodiscard]] std::string put(std::span<tier_put> all, time_point until) override;
    void close() noexcept override { connection_.reset(); }

  private:
    [[nodiscard]] std::string connect(time_point until);
    [[nodiscard]] bool wait(bool to_write, time_point until);
    [[nodiscard]] bool flush(time_point until);
    // The next result, null where there is none any more; false: it did not come.
    [[nodiscard]] bool result(result_ptr& out, time_point until);
    // Of one statement that is under way alone: its last result.
    [[nodiscard]] std::string only_result(result_ptr& out, time_point until);
    [[nodiscard]] std::string query(const char* sql, result_ptr& out, time_point until);
    [[nodiscard]] std::string put_result(tier_put& p, time_point until);
    [[nodiscard]] std::string failure(const PGresult* r) const;

    const config::settings settings_;
    boost::asio::io_context context_{1};
    connection_ptr connection_;
    core::tier_clock clock_;
    bool late_ = false;  // the last wait ended without what it was for
};

// Where the table is: with shared_cache.connection in the place of control_connection.
[[nodiscard]] config::settings of_shared_cache(config::settings s);

}  // namespace pgsidecar::io
