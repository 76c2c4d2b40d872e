// A shared tier in redis: one server (the first of some addresses that answers), the one that
// Sentinels name, or a cluster. An entry is one string under its name, which redis itself lets
// expire (SET ... PXAT, so that one that is delivered late does not live the longer). All that is
// asked for at a moment goes out in one pipeline for each node, with TIME at its end.
//
// In a cluster the nodes of the moment are read by CLUSTER SLOTS; a MOVED has them read again. What
// is being moved (ASK) is a miss. With Sentinels a server that has become a replica (READONLY) ends
// the connection, and they are asked anew.
#pragma once
#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/settings.h"
#include "proxy/io/redis_link.h"
#include "proxy/io/tier_engine.h"

namespace pgsidecar::io {

// As CLUSTER KEYSLOT: CRC16 of the name, or of its part in the first braces that hold something.
[[nodiscard]] unsigned cluster_slot(std::string_view name) noexcept;
inline constexpr unsigned cluster_slots = 16384;

class redis_engine : public tier_engine {
  public:
    // Throws std::runtime_error: a file that cannot be read.
    explicit redis_engine(const config::settings& settings);

    [[nodiscard]] std::string_view name() const noexcept override { return "redis"; }
    [[nodiscard]] std::string open(time_point until) override;
    [[nodiscard]] std::string check(time_point until) override;
    [[nodiscard]] const core::tier_clock& clock_of(std::string_view name) const override;
    [[nodiscard]] std::string get(std::span<tier_get> all, time_point until) override;
    [[nodiscard]] std::string put(std::span<tier_put> all, time_point until) override;
    void close() noexcept override;

  private:
    struct request {
        std::string_view name;
        std::vector<std::string_view> words;
        redis_reply reply{};
        const core::tier_clock* clock = nullptr;  // of who has answered
        std::chrono::microseconds now{0};         // and its time
    };
    using requests = std::vector<request>;
    using parts = std::map<redis_link*, std::vector<request*>>;

    [[nodiscard]] std::string open_first(time_point until);
    [[nodiscard]] std::string open_by_sentinel(time_point until);
    [[nodiscard]] std::string ask_sentinel(const std::string& sentinel, time_point until);
    [[nodiscard]] std::string open_cluster(time_point until);
    [[nodiscard]] std::string read_slots(redis_link& from, time_point until);
    // The connection to that address, open; null: `why` not.
    [[nodiscard]] redis_link* link_to(const std::string& address, time_point until,
                                      std::string& why);
    [[nodiscard]] const std::string& address_of(std::string_view name) const noexcept;
    [[nodiscard]] std::string run(requests& all, time_point until);
    [[nodiscard]] std::string exchange(const parts& todo, time_point until, bool& moved);

    const config::shared_cache_settings settings_;
    redis_options options_;
    redis_options of_sentinels_;
    std::map<std::string, std::unique_ptr<redis_link>> links_;  // by address
    std::map<std::string, core::tier_clock> clocks_;            // kept for as long as the program
    std::string server_;                                        // no cluster: the address in use
    std::vector<std::string> nodes_;
    std::array<std::uint16_t, cluster_slots> node_of_{};  // of nodes_
};

}  // namespace pgsidecar::io
