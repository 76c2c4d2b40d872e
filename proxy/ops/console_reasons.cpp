#include "proxy/ops/console_reasons.h"

#include <array>
#include <cstddef>

namespace pgsidecar::ops {
namespace {

using policy::reason;

struct meaning {
    reason why;
    std::string_view text;
};

// In the order of the codes.
constexpr std::array meanings{
    meaning{reason::hit, "answered from the cache"},
    meaning{reason::miss, "may be answered from the cache, and is kept when the server answers it"},
    meaning{reason::coalesced, "answered together with the same query of another session"},
    meaning{reason::stale, "answered beyond its ttl, while another session asked the server anew"},
    meaning{reason::stale_if_error,
            "answered from before, in place of the error that no server connection could be had"},
    meaning{reason::disabled, "the cache is switched off"},
    meaning{reason::not_a_select, "only a SELECT can be answered from the cache"},
    meaning{reason::parse_error, "the text is not SQL that the analysis understands"},
    meaning{reason::too_long, "the text is longer than max_sql_length"},
    meaning{reason::multiple_statements, "the text holds more than one statement"},
    meaning{reason::multiple_executes, "one of several queries of the batch cannot be answered"},
    meaning{reason::in_transaction, "a transaction block is open"},
    meaning{reason::pipeline_busy, "an earlier answer was still to come"},
    meaning{reason::row_limit, "the client asks for its rows in pieces"},
    meaning{reason::named_portal, "the client uses a named portal"},
    meaning{reason::unusual_batch, "the messages are not one plain query"},
    meaning{reason::locking_clause, "it locks rows"},
    meaning{reason::select_into, "it makes a table"},
    meaning{reason::modifying_cte, "its WITH clause changes rows"},
    meaning{reason::tablesample, "it takes a sample"},
    meaning{reason::clock_read, "its answer depends on the time of day"},
    meaning{reason::system_column, "it reads a column that tells of storage"},
    meaning{reason::opaque_setting, "it reads or sets a setting whose name is computed"},
    meaning{reason::undeclared_setting, "it reads a setting that is not one of cache.key_settings"},
    meaning{reason::volatile_function, "it calls a volatile function"},
    meaning{reason::stable_function, "it calls a stable function that no rule vouches for"},
    meaning{reason::unknown_function, "it calls a function that the catalog does not have"},
    meaning{reason::volatile_operator, "it uses an operator that is not immutable"},
    meaning{reason::volatile_cast, "it uses a cast that is not immutable"},
    meaning{reason::unproven_cast,
            "it casts something to a date or time that may be a word such as "
            "now"},
    meaning{reason::unknown_table, "it names a table that is not found, or perhaps another one"},
    meaning{reason::no_table, "it reads no table"},
    meaning{reason::catalog_table, "it reads a system catalog"},
    meaning{reason::foreign_table, "it reads a foreign table"},
    meaning{reason::unlogged_table, "it reads an unlogged table"},
    meaning{reason::temporary_table, "it reads a temporary table"},
    meaning{reason::unsupported_relation, "it reads something that is neither table nor view"},
    meaning{reason::row_level_security, "a policy of a table reads what is not part of the key"},
    meaning{reason::no_rule, "no rule allows all of its tables"},
    meaning{reason::rule_off, "its rule is switched off"},
    meaning{reason::no_catalog, "the catalogs of the database have not been read"},
    meaning{reason::stale_catalog, "the catalogs are being read anew"},
    meaning{reason::tainted_session, "something ran in the session that cannot be followed"},
    meaning{reason::serializable, "the transaction is serializable"},
    meaning{reason::write_in_flight, "one of its tables is being written"},
    meaning{reason::unsettled_write, "a write of one of its tables has an unknown outcome"},
    meaning{reason::too_large, "the answer is larger than cache.max_entry_size"},
    meaning{reason::replication, "it is a replication connection"},
    meaning{reason::doubtful_text, "the server may read the text otherwise: its settings say so"},
    meaning{reason::limited, "a limit of its tenant refused it"},
    meaning{reason::unknown_statement, "the statement is not one that the session has prepared"},
    meaning{reason::shadow, "its rule only compares answers with what would have been served"},
    meaning{reason::rollout, "its rule is not in force for this tenant yet"},
    meaning{reason::handover, "another process serves clients of the same server, or just has"},
    meaning{reason::not_watched,
            "writes of one of its tables that do not come through here would not be seen"},
    meaning{reason::invalidation_lost,
            "writes that do not come through here are not seen at present, or too late"},
};
static_assert(meanings.size() == static_cast<std::size_t>(reason::count_));

constexpr bool in_order() {
    for (std::size_t i = 0; i < meanings.size(); ++i)
        if (static_cast<std::size_t>(meanings[i].why) != i) return false;
    return true;
}
static_assert(in_order());

}  // namespace

std::string_view explanation_of(reason why) noexcept {
    const auto i = static_cast<std::size_t>(why);
    return i < meanings.size() ? meanings[i].text : std::string_view{};
}

}  // namespace pgsidecar::ops
