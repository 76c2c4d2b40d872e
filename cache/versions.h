// Table versions: what makes an entry valid. One table_state for each (database, table oid), one
// for each whole database (oid 0) and one for the cluster; their addresses live as long as
// `versions`, so entries and resolved statements keep plain pointers.
//
// An entry depends on every table it read and also on database() and cluster(): list them all when
// filling. Read the versions *before* the fill's query is sent.
//
// The life of a write, per table it may touch:
//     begin_commit()  before the bytes that may commit it leave for the server
//     end_commit()    when the server said it committed, before that reaches the client
//     drop_commit()   when the server said it did not commit
//     lose_commit()   when the connection died without an answer; later settle()
// Outside writes (WAL): begin_commit() and bump() on arrival, end_commit() when visible.
//
// Each step publishes the next fact before it withdraws the previous one, and readers look in the
// same direction (commits_in_flight, then unsettled, then version): whoever no longer sees a write
// under way sees what became of it.
#pragma once
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>

namespace pgsidecar::cache {

struct table_state {
    static constexpr std::uint64_t first_version = 1;
    std::atomic<std::uint64_t> version{first_version};  // only ever grows
    std::atomic<std::uint32_t> commits_in_flight{0};    // sent, not yet answered
    std::atomic<std::uint32_t> unsettled{0};  // outcome unknown: nobody was left to answer

    void bump() noexcept;
    void begin_commit() noexcept;
    void end_commit() noexcept;   // bumps
    void drop_commit() noexcept;  // does not bump
    void lose_commit() noexcept;  // commits_in_flight becomes unsettled
    void settle() noexcept;       // bumps; unsettled goes down
};

// What an answer was computed from: the table, and its version before the query was sent.
struct dependency {
    const table_state* table = nullptr;
    std::uint64_t version = 0;
};

// Takes the version now, for a query that is sent later.
[[nodiscard]] inline dependency observe(const table_state& table) noexcept {
    return {&table, table.version.load(std::memory_order_acquire)};
}

// Safe to call from any thread. of() costs a shared lock and a hash look-up: keep the reference.
class versions {
  public:
    // Oids are never forgotten, and a server that creates and drops tables all day makes many.
    // Beyond max_states, further oids share a fixed set of states: they are then invalidated
    // together, which costs hits and never correctness.
    explicit versions(std::size_t max_states = std::size_t{1} << 18);
    versions(const versions&) = delete;
    versions& operator=(const versions&) = delete;

    [[nodiscard]] table_state& of(std::string_view database, std::uint32_t oid);
    [[nodiscard]] table_state& database(std::string_view database) { return of(database, 0); }
    [[nodiscard]] table_state& cluster() noexcept { return cluster_; }

    // Everything cached before is outdated: a lost invalidation stream, INVALIDATE of everything.
    void bump_all();

    // What INVALIDATE names beside tables. As long as nobody has named a rule or a tenant its state
    // is at first_version, or not there, and entries do not depend on it. From then on it serves
    // only those that do: see session::find_entry(). Rules: few, as many as are configured.
    [[nodiscard]] table_state& rule(std::string_view name);
    void bump_tenant(std::string_view name);
    // Null: not named so far, nor will it be while tenants_named() is the same.
    [[nodiscard]] const table_state* tenant(std::string_view name) const;
    [[nodiscard]] std::uint64_t tenants_named() const noexcept { return tenants_named_.load(); }
    // Moves with each of them: for whoever cannot say for sure who the tenant is.
    [[nodiscard]] const table_state& any_tenant() const noexcept { return any_tenant_; }
    // States of their own, the cluster's and the shared ones not counted.
    [[nodiscard]] std::size_t size() const;

  private:
    struct name_hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view name) const noexcept {
            return std::hash<std::string_view>{}(name);
        }
    };
    // Nodes of unordered_map never move, so their states' addresses are stable.
    using tables = std::unordered_map<std::uint32_t, table_state>;
    using databases = std::unordered_map<std::string, tables, name_hash, std::equal_to<>>;

    static constexpr std::size_t shared_states = 1024;
    // Beyond, naming one more outdates everything.
    static constexpr std::size_t max_named_tenants = 4096;
    using names = std::unordered_map<std::string, table_state, name_hash, std::equal_to<>>;

    [[nodiscard]] table_state& shared(std::string_view database, std::uint32_t oid) noexcept;

    const std::size_t max_states_;
    mutable std::shared_mutex mutex_;
    databases databases_;
    std::size_t size_ = 0;
    table_state cluster_;
    std::array<table_state, shared_states> shared_;
    names rules_, tenants_;  // under the mutex
    std::atomic<std::uint64_t> tenants_named_{0};
    table_state any_tenant_;
};

}  // namespace pgsidecar::cache
