// One statement that has been answered, for who counts and keeps records: whose it was, what it
// was, how it was answered, and how much it gave. Nothing of its text but the text itself, which
// only the counters see, to bring it into its normal form. When it was over is when the actions
// that hold this are carried out.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "cache/entry.h"
#include "policy/reason.h"
#include "policy/tenants.h"

namespace pgsidecar::core {

class database;
struct statement_text;

struct measurement {
    std::shared_ptr<const policy::tenant> tenant;
    std::shared_ptr<const std::string> type;  // the matching rule's name, else the statement's kind
    std::shared_ptr<const statement_text> text;  // null: a statement that was never seen
    const database* where = nullptr;
    // When the session was first shown it, or the one before it in its pipeline was over.
    cache::time_point since{};
    std::uint64_t rows = 0;
    std::uint64_t bytes = 0;  // of the answer
    policy::reason why = policy::reason::miss;
    bool by_rule = false;  // `type` is a rule's name
    bool failed = false;
    bool alone = false;  // answered without the server: a transaction of its own
};

// A transaction that has ended at the server, or one statement outside a block.
struct transaction_end {
    const database* where = nullptr;
    cache::time_point since{};  // its first statement
};

}  // namespace pgsidecar::core
