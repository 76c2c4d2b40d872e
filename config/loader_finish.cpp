// What a load says at its end: problems of the whole, what completes it, where each value is from.
#include <algorithm>
#include <utility>

#include "config/check.h"
#include "config/loader.h"
#include "config/tiers.h"
#include "config/values.h"
#include "protocol/ascii.h"

namespace pgsidecar::config {
namespace {

// Fit to stand behind a value: a file's name may hold anything.
std::string origin_of(const place& where) {
    std::string out = protocol::printable(where.file);
    if (where.line > 0) out.append(":").append(std::to_string(where.line));
    if (where.foreign) out.append(" ").append(where.shown);
    return out;
}

std::string tier_path(std::size_t i) { return "tenants.tiers[" + std::to_string(i) + "]"; }

}  // namespace

void loader::report(const place& where, std::string key, std::string reason) {
    if (problems_.size() > max_problems) return;
    if (problems_.size() == max_problems) {
        problems_.push_back({file_, 0, 0, {}, "has more problems; these are the first"});
        return;
    }
    problems_.push_back({where.file, where.line, where.column, std::move(key), std::move(reason)});
}

void loader::note(const place& where, std::string key, std::string reason) {
    if (notes_.size() >= max_problems) return;
    notes_.push_back({where.file, where.line, where.column, std::move(key), std::move(reason)});
}

// A key is text from outside: what cannot be a key is shown quoted and cut.
std::string loader::shown_key(const std::string& key) {
    const auto usual = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '.' || c == '-' || c == '[' || c == ']';
    };
    return key.size() <= 120 && std::ranges::all_of(key, usual) ? key : show(key);
}

load_result loader::finish() {
    apply_tiers();
    default_ttl();
    if (readable_) combinations();
    std::vector<std::string> names;
    for (const policy::tier& tier : value_.tenants.tiers) names.push_back(tier.name);
    complete();
    std::map<std::string, std::string> from = origins();
    tier_origins(names, from);
    return {std::move(value_), std::move(problems_), std::move(notes_), std::move(from)};
}

std::map<std::string, std::string> loader::origins() const {
    std::map<std::string, std::string> out;
    for (const auto& [key, where] : places_) out.emplace(key, origin_of(where));
    const auto ttl = out.find("cache.default_ttl");
    for (std::size_t i = 0; ttl != out.end() && i < value_.cache.rules.rules.size(); ++i) {
        out.emplace("cache.rules[" + std::to_string(i) + "].ttl", ttl->second);
    }
    return out;
}

// The tiers have been put in order since they were read, as `read` has their names, and one has
// what "default" was given unless it has its own.
void loader::tier_origins(const std::vector<std::string>& read,
                          std::map<std::string, std::string>& out) {
    const std::map<std::string, std::string> before = out;
    std::erase_if(out, [](const auto& one) { return one.first.starts_with("tenants.tiers["); });
    if (!places_.contains("tenants.tiers")) return;
    const auto index = [&](const std::string& name) {
        return static_cast<std::size_t>(std::ranges::find(read, name) - read.begin());
    };
    std::vector<policy::tier>& tiers = value_.tenants.tiers;
    policy::tier& base = tiers.front();
    for (std::size_t i = 0; i < tiers.size(); ++i) {
        const auto move = [&](std::size_t from, const std::string& leaf) {
            const auto found = before.find(tier_path(from) + leaf);
            return found != before.end() && out.emplace(tier_path(i) + leaf, found->second).second;
        };
        const std::size_t own = index(tiers[i].name);
        move(own, {});
        for (const auto& row : kind_of<policy::tier>().rows) {
            const std::string leaf = '.' + std::string{row.path};
            if (move(own, leaf) || row.path == "name" || row.path == "members") continue;
            if (write_scalar(row.at(tiers[i])) == write_scalar(row.at(base))) {
                move(index(base.name), leaf);
            }
        }
    }
}

void loader::default_ttl() {
    std::vector<policy::cache_rule>& rules = value_.cache.rules.rules;
    for (std::size_t i = 0; i < rules.size(); ++i) {
        const std::string key = "cache.rules[" + std::to_string(i) + "].ttl";
        if (!places_.contains(key)) rules[i].ttl = value_.cache.default_ttl;
    }
}

// The words of the file that gave the key.
std::string loader::shown(const std::string& key) const {
    const auto found = places_.find(key);
    return found == places_.end() || found->second.shown.empty() ? key : found->second.shown;
}

// Follow-ups of what was reported already would only confuse.
void loader::combinations() {
    const auto reported = [this](const std::string& key) {
        const std::string its = shown(key);
        return std::ranges::any_of(problems_, [&](const problem& p) {
            return p.key.starts_with(its) &&
                   (p.key.size() == its.size() || p.key[its.size()] == '[');
        });
    };
    for (finding& f : check_combinations(value_)) {
        if (reported(f.key) || std::ranges::any_of(f.also, reported)) continue;
        place where{main_file_};
        if (const auto found = places_.find(f.key); found != places_.end()) {
            where = found->second;
        } else {
            for (const std::string& key : f.also) {
                if (const auto other = places_.find(key); other != places_.end()) {
                    where = other->second;
                    break;
                }
            }
        }
        report(where, shown(f.key), std::move(f.reason));
    }
}

// Only now: the list's order in the file is what messages count by.
void loader::complete() {
    complete_tiers(value_.tenants.tiers);
    value_.tenants.sources.clear();
    for (const std::string& text : value_.tenant_source_texts) {
        std::string why;  // none: each was checked
        if (auto source = policy::read_tenant_source(text, why)) {
            value_.tenants.sources.push_back(std::move(*source));
        }
    }
}

}  // namespace pgsidecar::config
