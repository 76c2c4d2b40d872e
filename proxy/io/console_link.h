// A pump's part in its client's conversation with the admin console.
#pragma once
#include <cstdint>

#include "proxy/io/pump.h"
#include "proxy/ops/console_protocol.h"

namespace pgsidecar::io {

struct pump::console_link {
    ops::console_protocol protocol;
    std::uint64_t asked = 0;  // requests so far: an answer to an earlier one comes too late
};

}  // namespace pgsidecar::io
