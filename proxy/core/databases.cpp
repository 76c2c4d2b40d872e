#include "proxy/core/databases.h"

#include <algorithm>
#include <utility>

namespace pgsidecar::core {

std::shared_ptr<const policy::catalog> database::usable_catalog() const {
    const std::lock_guard lock{mutex_};
    return is_usable() ? catalog_ : nullptr;
}

bool database::is_usable() const {
    return !suspended_.load() && schema_changes_.load() == 0 && catalog_ &&
           catalog_->generation() == wanted_.load();
}

std::shared_ptr<const policy::catalog> database::latest_catalog() const {
    const std::lock_guard lock{mutex_};
    return catalog_;
}

bool database::publish(std::shared_ptr<const policy::catalog> snapshot) {
    bool others = false;
    {
        const std::lock_guard lock{mutex_};
        // Roles, privileges, settings or definitions that changed unseen (by a session that does
        // not come through here) may stand behind any entry.
        others = catalog_ && snapshot && catalog_->fingerprint() != snapshot->fingerprint();
        if (others) whole_.version.fetch_add(1);
        if (!catalog_) {
            const auto before = whole_.version.fetch_add(1);
            if (snapshot && before == cache::table_state::first_version)
                first_version_.store(before + 1);
        }
        catalog_ = std::move(snapshot);
        before_loss_.reset();
        // What was read before it was doubted says nothing of now.
        if (catalog_ && catalog_->generation() == wanted_.load()) doubted_at_ = time_point::max();
    }
    epoch_.fetch_add(1);
    return others;
}

void database::require(outside_coverage coverage) {
    {
        const std::lock_guard lock{mutex_};
        if (required_ == coverage) return;
        required_ = std::move(coverage);
    }
    epoch_.fetch_add(1);
}

outside_coverage database::required() const {
    const std::lock_guard lock{mutex_};
    return required_;
}

void database::wal_began(std::uint64_t history, std::uint64_t position) {
    const std::lock_guard lock{wal_mutex_};
    wal_ = {.history = history, .began = position, .reached = position};
}

void database::wal_reached(std::uint64_t position) {
    const std::lock_guard lock{wal_mutex_};
    wal_.reached = std::max(wal_.reached, position);
}

void database::wal_proven(std::uint64_t position, time_point at) {
    const std::lock_guard lock{wal_mutex_};
    wal_.proven = position;
    wal_.at = at;
}

wal_proof database::wal() const {
    const std::lock_guard lock{wal_mutex_};
    return wal_;
}

void database::withdraw() {
    {
        const std::lock_guard lock{mutex_};
        catalog_.reset();
        before_loss_.reset();
    }
    whole_.version.fetch_add(1);
    epoch_.fetch_add(1);
}

void database::want_reload() noexcept {
    const auto now = wanted_.fetch_add(1) + 1;
    auto before = changed_.load();
    while (before < now && !changed_.compare_exchange_weak(before, now)) {
    }
    epoch_.fetch_add(1);
}

void database::doubt(time_point now) {
    {
        const std::lock_guard lock{mutex_};
        doubted_at_ = std::min(doubted_at_, now);
        wanted_.fetch_add(1);
    }
    epoch_.fetch_add(1);
}

void database::lose(time_point now) {
    {
        const std::lock_guard lock{mutex_};
        if (catalog_) before_loss_ = std::move(catalog_);
    }
    doubt(now);
}

std::shared_ptr<const policy::catalog> database::doubted_catalog() const {
    const std::lock_guard lock{mutex_};
    const auto& last = catalog_ ? catalog_ : before_loss_;
    const bool unchanged = !suspended_.load() && schema_changes_.load() == 0 && last &&
                           last->generation() >= changed_.load();
    return unchanged ? last : nullptr;
}

database::time_point database::seen_until() const {
    const std::lock_guard lock{mutex_};
    return std::min(time_point{time_point::duration{seen_until_.load()}}, doubted_at_);
}

void database::end_schema_change() noexcept {
    whole_.bump();
    // Reload first: between the two steps the old snapshot must not pass for a usable one.
    want_reload();
    schema_changes_.fetch_sub(1);
    epoch_.fetch_add(1);
}

database& databases::of(std::string_view name) {
    const std::lock_guard lock{mutex_};
    if (const auto it = by_name_.find(name); it != by_name_.end()) return *it->second;
    auto made = std::make_unique<database>(std::string{name}, versions_, suspended_);
    return *by_name_.emplace(std::string{name}, std::move(made)).first->second;
}

void databases::for_each(const std::function<void(database&)>& visit) {
    const std::lock_guard lock{mutex_};
    for (auto& [name, item] : by_name_) visit(*item);
}

void databases::want_reload_everywhere() {
    for_each([](database& d) { d.want_reload(); });
}

void databases::doubt_everywhere(database::time_point now) {
    for_each([now](database& d) { d.doubt(now); });
}

void databases::suspend() {
    suspended_.store(true);
    for_each([](database& d) { d.move_epoch(); });
}

void databases::resume_anew() {
    versions_.bump_all();
    resume_first();
}

void databases::resume_first() {
    want_reload_everywhere();
    suspended_.store(false);
    for_each([](database& d) { d.move_epoch(); });
}

}  // namespace pgsidecar::core
