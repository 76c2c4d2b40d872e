// One statement that has been answered, for who keeps a record of how long they take: whose it was,
// what it was, and how many rows it gave or changed. Nothing of its text. When it was over is when
// the actions that hold this are carried out.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "cache/store.h"

namespace pgsidecar::core {

struct measurement {
    std::shared_ptr<const std::string> tenant;
    std::shared_ptr<const std::string> type;  // the matching rule's name, else the statement's kind
    // When the session was first shown it, or the one before it in its pipeline was over.
    cache::time_point since{};
    std::uint64_t rows = 0;
};

}  // namespace pgsidecar::core
