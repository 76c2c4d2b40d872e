// Sessions that share a world, and whose wake-ups reach each other. They log in one by one; at the
// end each client goes, and nothing of theirs is left behind.
#pragma once
#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "tests/core/world.h"

namespace core_test {

inline constexpr std::uint64_t token_step = 1U << 20;  // between the tokens of two sessions

class session_group {
  public:
    explicit session_group(std::size_t workers = 1) : w{workers} {}
    ~session_group() {
        std::vector<core::unsettled_commit> unsettled;
        for (auto& l : each) {
            if (!l->closing) l->client_gone();
            unsettled.insert(unsettled.end(), l->unsettled.begin(), l->unsettled.end());
        }
        deliver();
        CHECK(w.unrest(unsettled) == "");
    }
    session_group(const session_group&) = delete;
    session_group& operator=(const session_group&) = delete;

    void log_in(std::size_t sessions) {
        for (std::size_t i = 0; i < sessions; ++i) {
            each.push_back(std::make_unique<wired>(w, (each.size() + 1) * token_step,
                                                   each.size() % w.deciders.size()));
            each.back()->log_in();
        }
    }
    wired& operator[](std::size_t i) { return *each[i]; }

    void deliver(const core::wake_up& wake) {
        const auto i = wake.token / token_step - 1;
        if (i < each.size() && each[i] && !each[i]->closing) each[i]->wake(wake);
    }
    void deliver() {
        for (bool some = true; std::exchange(some, false);)
            for (auto& l : each)
                for (const auto& wake : l->wakes()) some = true, deliver(wake);
    }

    world w;
    std::vector<std::unique_ptr<wired>> each;
};

}  // namespace core_test
