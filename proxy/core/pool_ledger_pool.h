// One pool of the ledger's: its connections are counted, those that lie idle and the sessions that
// wait are known by name. Only the ledger's own files include this; every access is under its lock.
#pragma once
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "proxy/core/pool_ledger.h"

namespace pgsidecar::core {

class pool_ledger::pool : public std::enable_shared_from_this<pool> {
  public:
    struct idle_one {
        place connection;
        time_point since;
        birth born;
    };
    struct waiting_one {
        place who;
        time_point since;
    };
    std::string database, user;
    std::shared_ptr<const entry_card> card;
    std::vector<idle_one> idle;  // the longest first
    std::deque<waiting_one> waiting;
    std::size_t total = 0;
    std::size_t opening = 0;
    unsigned last_worker = 0;
    bool proven = false;  // somebody has logged in
    time_point not_before{};
    std::string error;  // with not_before: what those are told who come earlier
};

}  // namespace pgsidecar::core
