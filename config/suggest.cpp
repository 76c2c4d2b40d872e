#include "config/suggest.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "config/load.h"
#include "config/loader.h"
#include "config/schema.h"
#include "protocol/ascii.h"

namespace pgsidecar::config {
namespace {

// Letters to insert, drop, replace or swap with their neighbour; `limit` stands for any more.
std::size_t distance(std::string_view a, std::string_view b, std::size_t limit) {
    if (a.size() >= b.size() + limit || b.size() >= a.size() + limit) return limit;
    std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), now(b.size() + 1);
    std::iota(last.begin(), last.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        now[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            now[j] = std::min(
                {last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0u : 1u)});
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                now[j] = std::min(now[j], before[j - 2] + 1);
            }
        }
        before.swap(last);
        last.swap(now);
    }
    return last[b.size()];
}

struct split_path {
    std::string_view parent;  // with its dot
    std::string_view leaf;
};

split_path split(std::string_view path) noexcept {
    const std::size_t dot = path.rfind('.');
    const std::size_t cut = dot == std::string_view::npos ? 0 : dot + 1;
    return {path.substr(0, cut), path.substr(cut)};
}

}  // namespace

std::string nearest_key(std::string_view path) {
    if (path.size() > 100) return {};
    std::vector<std::string> candidates = known_keys();
    for (const section& s : sections()) candidates.emplace_back(s.name);
    candidates.emplace_back(include_key);

    const std::string given = protocol::lower_case(path);
    const auto [parent, leaf] = split(given);
    std::string best;
    std::size_t best_distance = std::max<std::size_t>(1, leaf.size() / 3) + 1;
    for (const std::string& candidate : candidates) {
        const auto [its_parent, its_leaf] = split(candidate);
        const std::size_t astray = parent == its_parent ? 0 : 1;  // right name, wrong place
        const std::size_t d = std::min(distance(leaf, its_leaf, best_distance) + astray,
                                       distance(given, candidate, best_distance));
        if (d >= best_distance) continue;
        best_distance = d;
        best = candidate;
    }
    return best;
}

std::string_view nearest_name(std::string_view given, std::span<const std::string_view> names) {
    if (given.size() > 100) return {};
    const std::string folded = protocol::lower_case(given);
    std::string_view best;
    std::size_t best_distance = std::max<std::size_t>(1, folded.size() / 3) + 1;
    for (const std::string_view name : names) {
        const std::size_t d = distance(folded, protocol::lower_case(name), best_distance);
        if (d >= best_distance) continue;
        best_distance = d;
        best = name;
    }
    return best;
}

}  // namespace pgsidecar::config
