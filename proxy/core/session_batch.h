// A batch of the extended protocol that is held back until its Sync: what was read of it, and what
// the cache has for each of its parts. Made anew each time the held messages are shown; views point
// into them.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/frontend.h"
#include "proxy/core/session.h"

namespace pgsidecar::core {

struct session::unit {
    prepared_ptr definition;
    protocol::bind bind;
    bool executed = false;
    bool described = false;
    std::shared_ptr<const plan> planned;
    std::string key;
    cache::hash128 hash;
    cache::entry_ptr entry;
};

struct session::batch {
    enum class step : std::uint8_t { parse, unit, close };
    struct change {
        step what;
        std::string_view name;    // parse, close: the statement
        prepared_ptr definition;  // parse
    };
    std::vector<change> steps;
    std::vector<unit> units;
    std::size_t size = 0;  // bytes, its Sync included
    bool complete = false;
    policy::reason why = policy::reason::miss;

    // As the client will see its statements when the steps so far have been done.
    [[nodiscard]] prepared_ptr find(const prepared_statements& before,
                                    std::string_view name) const {
        for (auto s = steps.rbegin(); s != steps.rend(); ++s)
            if (s->what != step::unit && s->name == name) return s->definition;
        return before.client(name);
    }
    // Would the server be in a block after it?
    [[nodiscard]] bool begins() const {
        bool open = false;
        for (const auto& u : units)
            if (u.definition && u.executed) open = begins_block(*u.definition->text, open);
        return open;
    }
    // Empty, as a new one is; it keeps the room for a batch of the usual length.
    void clear() {
        constexpr std::size_t usual = 16;
        if (steps.capacity() > usual) steps = {};
        if (units.capacity() > usual) units = {};
        steps.clear();
        units.clear();
        size = 0;
        complete = false;
        why = policy::reason::miss;
    }
};

}  // namespace pgsidecar::core
