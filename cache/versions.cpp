#include "cache/versions.h"

#include <cassert>
#include <mutex>

namespace pgsidecar::cache {

// On memory order. The promise is: a look-up that begins after a write's acknowledgement left for a
// client sees the bump. The acknowledgement and the later request travel through the kernel (and
// the client), whose locks order everything the writing thread did before everything the reading
// thread does after; within the program a release on the writer's side and an acquire on the
// reader's is what keeps the compiler and the processor from moving our accesses across those
// calls. The default order used here is stronger than release and costs the same on x86: a commit
// just took a network round trip.

void table_state::bump() noexcept { version.fetch_add(1); }

void table_state::begin_commit() noexcept { commits_in_flight.fetch_add(1); }

void table_state::end_commit() noexcept {
    version.fetch_add(1);
    drop_commit();
}

void table_state::drop_commit() noexcept {
    [[maybe_unused]] const auto before = commits_in_flight.fetch_sub(1);
    assert(before > 0);
}

void table_state::lose_commit() noexcept {
    unsettled.fetch_add(1);
    drop_commit();
}

void table_state::settle() noexcept {
    version.fetch_add(1);
    [[maybe_unused]] const auto before = unsettled.fetch_sub(1);
    assert(before > 0);
}

versions::versions(std::size_t max_states) : max_states_{max_states} {}

table_state& versions::of(std::string_view database, std::uint32_t oid) {
    {
        const std::shared_lock lock{mutex_};
        if (const auto d = databases_.find(database); d != databases_.end()) {
            if (const auto t = d->second.find(oid); t != d->second.end()) return t->second;
        }
        // size_ never falls, so what shares a state once shares it for good.
        if (size_ >= max_states_) return shared(database, oid);
    }
    const std::unique_lock lock{mutex_};
    auto d = databases_.find(database);
    if (d != databases_.end()) {
        if (const auto t = d->second.find(oid); t != d->second.end()) return t->second;
    }
    if (size_ >= max_states_) return shared(database, oid);
    if (d == databases_.end()) d = databases_.try_emplace(std::string{database}).first;
    table_state& state = d->second[oid];
    ++size_;
    return state;
}

table_state& versions::shared(std::string_view database, std::uint32_t oid) noexcept {
    const std::uint64_t mixed = (std::hash<std::string_view>{}(database) + oid) *
                                std::uint64_t{0x9E3779B97F4A7C15};  // the golden ratio spreads it
    return shared_[(mixed >> 32) % shared_states];
}

void versions::bump_all() {
    // A state made after this is observed after this: whoever fills from it is not concerned.
    const std::shared_lock lock{mutex_};
    cluster_.bump();
    for (auto& [database, states] : databases_) {
        for (auto& [oid, state] : states) state.bump();
    }
    for (auto& state : shared_) state.bump();
}

table_state& versions::rule(std::string_view name) {
    {
        const std::shared_lock lock{mutex_};
        if (const auto known = rules_.find(name); known != rules_.end()) return known->second;
    }
    const std::unique_lock lock{mutex_};
    return rules_[std::string{name}];
}

void versions::bump_tenant(std::string_view name) {
    const std::unique_lock lock{mutex_};
    any_tenant_.bump();
    if (const auto known = tenants_.find(name); known != tenants_.end())
        return known->second.bump();
    if (tenants_.size() >= max_named_tenants) return cluster_.bump();
    tenants_[std::string{name}].bump();
    tenants_named_.fetch_add(1);
}

const table_state* versions::tenant(std::string_view name) const {
    const std::shared_lock lock{mutex_};
    const auto known = tenants_.find(name);
    return known == tenants_.end() ? nullptr : &known->second;
}

std::size_t versions::size() const {
    const std::shared_lock lock{mutex_};
    return size_;
}

}  // namespace pgsidecar::cache
