// How often answers of the server were equal to what the cache would have given, for each rule with
// mode: shadow. Any thread.
#pragma once
#include <chrono>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace pgsidecar::ops {

struct comparison_counts {
    std::uint64_t equal = 0, different = 0;
};

class comparisons {
  public:
    using time_point = std::chrono::steady_clock::time_point;
    using by_rule = std::map<std::string, comparison_counts, std::less<>>;
    static constexpr std::chrono::seconds between_warnings{10};  // of one rule

    // True: it is a difference that is to be told of.
    [[nodiscard]] bool add(const std::string& rule, bool equal, time_point now) {
        const std::lock_guard lock{mutex_};
        auto& r = rules_[rule];
        ++(equal ? r.counts.equal : r.counts.different);
        if (equal || (r.told && now - r.told_at < between_warnings)) return false;
        r.told = true;
        r.told_at = now;
        return true;
    }
    [[nodiscard]] by_rule counts() const {
        const std::lock_guard lock{mutex_};
        by_rule out;
        for (const auto& [name, r] : rules_) out.emplace(name, r.counts);
        return out;
    }

  private:
    struct known_rule {
        comparison_counts counts;
        bool told = false;
        time_point told_at{};
    };
    mutable std::mutex mutex_;
    std::map<std::string, known_rule, std::less<>> rules_;
};

}  // namespace pgsidecar::ops
