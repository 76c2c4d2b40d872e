// What auth_query has said of users, for a while: a secret, or that there is none to log in with.
// Bounded: when it is full what has expired goes, then everything. Not synchronised.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

namespace pgsidecar::io {

class secret_cache {
  public:
    using time_point = std::chrono::steady_clock::time_point;
    static constexpr std::size_t capacity = 10'000;  // users
    // Who fails to log in is asked about anew, but not more often than this: guessing is not to
    // become work for the server.
    static constexpr std::chrono::seconds between_questions{1};

    // ttl 0: nothing is kept.
    explicit secret_cache(std::chrono::milliseconds ttl) : ttl_{ttl} {}

    // `altered`: how often roles have been altered through us. What is older counts for nothing.
    [[nodiscard]] std::optional<std::string> find(const std::string& user, std::uint64_t altered,
                                                  time_point now) const {
        const auto it = known_.find(user);
        if (it == known_.end() || it->second.altered != altered || now >= it->second.expires)
            return std::nullopt;
        return it->second.secret;
    }
    // `altered` and `asked`: of the moment before the question. `valid`: how much longer it is.
    void keep(const std::string& user, std::string secret, std::uint64_t altered, time_point asked,
              std::optional<std::chrono::milliseconds> valid) {
        const auto lasts = valid ? std::min(ttl_, *valid) : ttl_;
        if (lasts.count() <= 0) return;
        if (known_.size() >= capacity && !known_.contains(user)) {
            std::erase_if(known_, [&](const auto& item) { return asked >= item.second.expires; });
            if (known_.size() >= capacity) known_.clear();
        }
        known_.insert_or_assign(user, entry{std::move(secret), altered, asked, asked + lasts});
    }
    // A log-in by it has failed: it may have been replaced.
    void doubt(const std::string& user, time_point now) {
        const auto it = known_.find(user);
        if (it != known_.end() && now - it->second.asked >= between_questions) known_.erase(it);
    }
    [[nodiscard]] std::size_t size() const noexcept { return known_.size(); }

  private:
    struct entry {
        std::string secret;
        std::uint64_t altered = 0;
        time_point asked, expires;
    };
    std::chrono::milliseconds ttl_;
    std::unordered_map<std::string, entry> known_;
};

}  // namespace pgsidecar::io
