#include "proxy/io/migrate.h"

#include <algorithm>
#include <initializer_list>
#include <ostream>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "protocol/ascii.h"
#include "proxy/io/control_parameters.h"
#include "proxy/ops/migration.h"
#include "proxy/ops/migration_sql.h"
#include "proxy/ops/migration_status.h"

namespace pgsidecar::io {
namespace {

using protocol::printable;

// Ends the command; everything undone by then. what: lines for the operator.
struct failure {
    int exit_code = 1;
    std::string what;
    bool undone = true;  // false: it is not known
};

constexpr int exit_missing = 1;
constexpr int exit_unusable = 2;

// The conninfo to use; a bare name replaces the database of control_connection.
std::pair<config::settings, std::string> target_of(config::settings s, const std::string& given) {
    if (!is_uri(given) && given.find('=') == std::string::npos)
        return std::pair{std::move(s), given};
    s.upstream.control_connection = given;
    return std::pair{std::move(s), std::string{}};
}

class session {
  public:
    explicit session(const control_parameters& parameters) : connection_{parameters.connect()} {
        if (PQstatus(connection_.get()) != CONNECTION_OK)
            throw failure{1, "cannot connect: " + one_line(PQerrorMessage(connection_.get()))};
        PQsetNoticeProcessor(
            connection_.get(), [](void*, const char*) {}, nullptr);
    }

    // The rows of one statement.
    ops::answer_rows ask(std::string_view sql, std::span<const std::string> values = {}) {
        std::vector<const char*> given;
        for (const auto& value : values) given.push_back(value.c_str());
        const result_ptr r{PQexecParams(connection_.get(), std::string{sql}.c_str(),
                                        static_cast<int>(given.size()), nullptr, given.data(),
                                        nullptr, nullptr, 0)};
        return rows_of(r.get());
    }

    // A text of several statements; the rows of the last.
    ops::answer_rows run(std::string_view sql) {
        const result_ptr r{PQexec(connection_.get(), std::string{sql}.c_str())};
        return rows_of(r.get());
    }

    // The server may have committed and its answer be lost.
    void commit() {
        try {
            (void)run("COMMIT");
        } catch (failure& f) {
            f.undone = PQstatus(connection_.get()) == CONNECTION_OK;
            throw;
        }
    }

    // A setting of this transaction.
    void set(const std::string& name, const std::string& value) {
        (void)ask("SELECT pg_catalog.set_config($1, $2, true)", std::vector{name, value});
    }

    [[nodiscard]] std::string address() const {
        const std::string_view host{PQhost(connection_.get())};
        const std::string_view port{PQport(connection_.get())};
        return std::string{host} + ":" + std::string{port};
    }

  private:
    ops::answer_rows rows_of(const PGresult* r) {
        const auto status = PQresultStatus(r);
        if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) throw failure{1, words_of(r)};
        ops::answer_rows out(static_cast<std::size_t>(PQntuples(r)));
        for (int i = 0; i < PQntuples(r); ++i)
            for (int c = 0; c < PQnfields(r); ++c)
                out[static_cast<std::size_t>(i)].emplace_back(PQgetvalue(r, i, c));
        return out;
    }

    // DETAIL only where it names objects: elsewhere it may quote a row.
    std::string words_of(const PGresult* r) {
        const auto field = [r](int code) {
            const char* text = PQresultErrorField(r, code);
            return std::string{text ? text : ""};
        };
        const auto state = field(PG_DIAG_SQLSTATE);
        if (state.empty())
            return "the connection was lost: " + one_line(PQerrorMessage(connection_.get()));
        auto out = printable(field(PG_DIAG_MESSAGE_PRIMARY)) + " (SQLSTATE " + state + ")";
        if (state == "2BP01") out += "\n  " + one_line(field(PG_DIAG_MESSAGE_DETAIL));
        if (const auto hint = field(PG_DIAG_MESSAGE_HINT); !hint.empty() && state != "2BP01")
            out += "\n  " + one_line(hint);
        if (state == "55P03")
            out +=
                "\n  Another migrate is at work, or somebody holds a lock on a table that is to "
                "change. Try again.";
        return out;
    }

    connection_ptr connection_;
};

// Where it all happens: printed, and the schema that everything below is about.
std::string find_place(session& s, const migrate_request& request, std::ostream& out) {
    const auto rows = s.ask(
        "SELECT pg_catalog.current_database(), current_user, w.name, n.nspname FROM "
        "coalesce(nullif($1, ''), pg_catalog.current_schema()::pg_catalog.text, '') AS w(name) "
        "LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = w.name",
        std::vector{request.schema});
    const auto& here = rows.at(0);
    const auto database = "database \"" + printable(here.at(0)) + "\"";
    if (here.at(2).empty())
        throw failure{1, "no schema of search_path exists in " + database +
                             " (SQLSTATE 3F000)\n  Name the schema: --schema."};
    if (here.at(3).empty())
        throw failure{1, "schema \"" + printable(here.at(2)) + "\" does not exist in " + database +
                             " (SQLSTATE 3F000)"};
    out << database << " on " << s.address() << ", schema \"" << printable(here.at(2))
        << "\", as role \"" << printable(here.at(1)) << "\"\n";
    return here.at(2);
}

int change(session& s, const config::settings& settings, const migrate_request& request,
           std::ostream& out) {
    namespace sql = ops::migration_sql;
    (void)s.run("BEGIN ISOLATION LEVEL READ COMMITTED");
    s.set("pgsidecar.schema", find_place(s, request, out));
    s.set("pgsidecar.drop_data", request.drop_data ? "on" : "off");
    s.set("pgsidecar.tables", ops::array_literal(ops::watched_patterns(settings.cache.rules)));
    std::vector<std::string_view> texts;
    if (request.what == migrate_request::action::up) {
        texts.push_back(sql::up);
        if (request.notify) texts.push_back(sql::notify_up);
        if (request.wal) texts.push_back(sql::wal_up);
    } else {
        const bool all = !request.notify && !request.wal;
        if (all || request.wal) texts.push_back(sql::wal_down);
        if (all || request.notify) texts.push_back(sql::notify_down);
        if (all) texts.push_back(sql::down);
    }
    ops::answer_rows report;
    for (const auto text : texts) std::ranges::copy(s.run(text), std::back_inserter(report));
    s.commit();
    for (const auto& line : report)
        out << "  " << line.at(0)
            << std::string(9 - std::min<std::size_t>(line.at(0).size(), 8), ' ')
            << printable(line.at(1)) << '\n';
    if (report.empty()) out << "  nothing was made here, so there is nothing to remove\n";
    return 0;
}

ops::migration_facts look(session& s, const config::settings& settings,
                          const std::vector<std::string>& schema) {
    namespace queries = ops::migration_queries;
    ops::migration_facts facts;
    facts.relations = s.ask(queries::relations, schema);
    facts.columns = s.ask(queries::columns, schema);
    facts.index = s.ask(queries::index, schema);
    facts.outside = s.ask(queries::outside, schema);
    const auto recorded = std::ranges::any_of(
        facts.relations, [](const auto& r) { return r.at(0) == ops::versions_table; });
    if (recorded && ops::records_problem(facts).empty())
        facts.records = s.ask(queries::records(schema.front()));
    // Only a function that is known to be ours is called.
    const auto callable = [&](std::initializer_list<std::string_view> objects) {
        return std::ranges::all_of(objects, [&](auto object) {
            return std::ranges::any_of(facts.outside, [&](const auto& row) {
                return row.at(0) == object && row.at(1).empty();
            });
        });
    };
    const std::vector patterns{ops::array_literal(ops::watched_patterns(settings.cache.rules))};
    if (callable({"schema pgsidecar", "function pgsidecar.watched_tables"})) {
        facts.watched = s.ask(queries::watched, patterns);
        if (callable({"function pgsidecar.wal_settings", "function pgsidecar.wal_tables"}))
            facts.published = s.ask(queries::published, patterns);
    }
    return facts;
}

int status(session& s, const config::settings& settings, const migrate_request& request,
           std::ostream& out) {
    (void)s.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    const std::vector schema{find_place(s, request, out)};
    s.set("search_path", "pg_catalog, pg_temp");
    const auto facts = look(s, settings, schema);
    (void)s.run("COMMIT");
    if (const auto problem = ops::records_problem(facts); !problem.empty())
        throw failure{1, "cannot tell what is applied: " + problem};
    const auto steps = ops::migration_status(facts);
    out << ops::render(steps);
    bool good = true;
    std::string needed = "pgsidecar migrate up";
    for (const auto& step : steps) {
        if (step.ok((step.name == "notify" && request.notify) ||
                    (step.name == "wal" && request.wal)))
            continue;
        good = false;
        if (step.optional) needed += " --" + step.name;
    }
    if (good) return 0;
    out << "not as it must be: see the lines that are not ok, and run " << needed << '\n';
    return exit_missing;
}

}  // namespace

int migrate(const config::settings& settings, const migrate_request& request, std::ostream& out,
            std::ostream& err) {
    using action = migrate_request::action;
    const std::string name = request.what == action::up     ? "up"
                             : request.what == action::down ? "down"
                                                            : "status";
    try {
        const auto [there, database] = target_of(settings, request.database);
        if (there.upstream.control_connection.empty() && database.empty())
            throw failure{exit_unusable,
                          "where to connect? The configuration has no upstream.control_connection, "
                          "and --database is not given"};
        if (auto wrong = conninfo_problem(there.upstream.control_connection); !wrong.empty())
            throw failure{exit_unusable, std::move(wrong)};
        control_parameters parameters{there};
        parameters.application_name("pgsidecar migrate");
        if (!database.empty()) parameters.database(database);
        if (const auto dbname = parameters.database();
            dbname.find('=') != std::string::npos || is_uri(dbname))
            throw failure{exit_unusable, "dbname is a connection string; give that one instead"};
        session s{parameters};
        return request.what == action::status ? status(s, settings, request, out)
                                              : change(s, settings, request, out);
    } catch (const failure& f) {
        out.flush();
        err << "pgsidecar: migrate " << name << ": " << f.what << '\n';
        if (request.what != action::status)
            err << (f.undone ? "Nothing was changed.\n"
                             : "Whether it was done is not known: see migrate status.\n");
        return f.exit_code;
    }
}

}  // namespace pgsidecar::io
