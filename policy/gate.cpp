#include "policy/gate.h"

#include <algorithm>

namespace pgsidecar::policy {
namespace {

// One more, if that is not above `most`; 0 is no limit.
bool add_one(std::atomic<std::uint32_t>& count, std::uint32_t most) noexcept {
    auto now = count.load();
    do {
        if (most != 0 && now >= most) return false;
    } while (!count.compare_exchange_weak(now, now + 1));
    return true;
}

}  // namespace

gate::taking gate::take(lane& l) noexcept {
    if (!add_one(l.running_, l.most_.load())) return taking::lane_full;
    if (add_one(running_, most_.load())) return taking::done;
    l.running_.fetch_sub(1);
    return taking::all_full;
}

void gate::join_turns(lane& l) {
    if (l.in_turn_ || l.waiting_.empty()) return;
    turns_.push_back(&l);
    l.in_turn_ = true;
}

// Lets in whoever may: one of each lane in turn. A lane that is full leaves the turns until one of
// its own requests does, so that nobody looks at it in vain.
void gate::admit(std::vector<ticket>& admitted) {
    while (!turns_.empty()) {
        auto& l = *turns_.front();
        const auto result = l.waiting_.empty() ? taking::lane_full : take(l);
        if (result == taking::all_full) return;
        turns_.pop_front();
        l.in_turn_ = false;
        if (result == taking::lane_full) continue;
        admitted.push_back(l.waiting_.front());
        l.waiting_.pop_front();
        l.queued_.fetch_sub(1);
        waiting_.fetch_sub(1);
        join_turns(l);
    }
}

bool gate::enter(lane& l, ticket who, std::vector<ticket>& admitted) {
    if (waiting_.load() == 0 && take(l) == taking::done) return true;
    const std::lock_guard lock{mutex_};
    // Said before looking once more: whoever leaves from now on looks for those who wait.
    waiting_.fetch_add(1);
    join_turns(l);
    admit(admitted);
    if (l.waiting_.empty() && take(l) == taking::done) {
        waiting_.fetch_sub(1);
        return true;
    }
    l.waiting_.push_back(who);
    l.queued_.fetch_add(1);
    join_turns(l);
    return false;
}

void gate::leave(lane& l, std::vector<ticket>& admitted) {
    l.running_.fetch_sub(1);
    running_.fetch_sub(1);
    if (waiting_.load() == 0) return;
    const std::lock_guard lock{mutex_};
    join_turns(l);
    admit(admitted);
}

bool gate::give_up(lane& l, ticket who, std::vector<ticket>& admitted) {
    const std::lock_guard lock{mutex_};
    const auto it = std::find(l.waiting_.begin(), l.waiting_.end(), who);
    if (it == l.waiting_.end()) return false;
    l.waiting_.erase(it);
    l.queued_.fetch_sub(1);
    waiting_.fetch_sub(1);
    if (l.waiting_.empty() && l.in_turn_) {
        std::erase(turns_, &l);
        l.in_turn_ = false;
    }
    admit(admitted);
    return true;
}

}  // namespace pgsidecar::policy
