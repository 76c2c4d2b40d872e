// What exists at the server, and what the whole test knows of it. Rows belong to parties: tenants
// (schema and setting "t5"), roles ("r5"), the users who log in, and "nobody" (schema public).
// Every row carries the name of its party. Each counter only grows, by one for each committed
// UPDATE; a cell knows how many commits were acknowledged and how many were sent. So whatever is
// read must lie between the two.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace pgsidecar::crossing {

enum class table : std::uint8_t {
    visit,  // row-level security by the setting app.tenant_id
    item,   // one in each schema, found by search_path
    chart   // row-level security by current_user
};
inline constexpr std::size_t table_count = 3;
[[nodiscard]] std::string_view name_of(table t);

using party = int;
inline constexpr party no_party = -1;
inline constexpr int tenant_count = 1000;
inline constexpr int role_count = 32;
inline constexpr party first_role = tenant_count;
inline constexpr party nobody = first_role + role_count;
inline constexpr party first_user = nobody + 1;
inline constexpr std::array<std::string_view, 2> users{"app", "desk"};
inline constexpr int party_count = first_user + static_cast<int>(users.size());
inline constexpr int rows_each = 4;  // id 0 to 3

[[nodiscard]] std::string party_name(party p);
// "t5", "r5", "app", "nobody"; no_party for another word.
[[nodiscard]] party party_of(std::string_view name);

struct cell {
    std::atomic<std::int64_t> acknowledged{0};
    std::atomic<std::int64_t> sent{0};

    void acknowledge(std::int64_t now) {
        auto was = acknowledged.load();
        while (was < now && !acknowledged.compare_exchange_weak(was, now)) {
        }
    }
};

class world {
  public:
    explicit world(std::uint16_t direct_port);

    [[nodiscard]] static std::size_t index(table t, party p, int id) {
        return (static_cast<std::size_t>(t) * party_count + static_cast<std::size_t>(p)) *
                   rows_each +
               static_cast<std::size_t>(id);
    }
    [[nodiscard]] cell& at(table t, party p, int id) { return cells_[index(t, p, id)]; }
    [[nodiscard]] cell& at(std::size_t index) { return cells_[index]; }

    // How one moment, number and string of bytes are written under these settings; learnt from the
    // server itself.
    [[nodiscard]] const std::string& moment(const std::string& zone,
                                            const std::string& style) const {
        return moments_.at(zone + '/' + style);
    }
    [[nodiscard]] const std::string& ratio(const std::string& precision) const {
        return ratios_.at(precision);
    }
    [[nodiscard]] const std::string& mark(const std::string& output) const {
        return marks_.at(output);
    }

    // Who holds the advisory lock of a tenant: number of a client, or -1.
    [[nodiscard]] std::atomic<int>& lock_holder(party p) {
        return holders_[static_cast<std::size_t>(p)];
    }

    // What is wrong with the tables after the last client has gone; each a line.
    [[nodiscard]] std::vector<std::string> final_check(bool some_unknown);

    static const std::vector<std::string> zones, styles, digits, outputs;

  private:
    std::uint16_t direct_port_;
    std::vector<cell> cells_;
    std::vector<std::atomic<int>> holders_;
    std::map<std::string, std::string> moments_, ratios_, marks_;
};

}  // namespace pgsidecar::crossing
