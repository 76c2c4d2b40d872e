#include "proxy/io/configuration.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>
#include <utility>

#include "config/check.h"
#include "proxy/io/http_service.h"
#include "proxy/io/log.h"
#include "proxy/io/users.h"

namespace pgsidecar::io {
namespace {

std::string list_of(const std::vector<std::string>& keys) {
    std::string out;
    for (const auto& key : keys) out.append(out.empty() ? "" : ", ").append(key);
    return out;
}

std::vector<std::string> lines_of(const std::vector<config::problem>& problems) {
    std::vector<std::string> out;
    out.reserve(problems.size());
    for (const auto& p : problems) out.push_back(config::to_string(p));
    return out;
}

void add_lines(std::string_view text, std::vector<std::string>& out) {
    while (!text.empty()) {
        const auto end = std::min(text.find('\n'), text.size());
        if (end > 0) out.emplace_back(text.substr(0, end));
        text.remove_prefix(std::min(end + 1, text.size()));
    }
}

// "cache.rules[x].mode" is a part of what changed_keys() calls "cache.rules".
std::string top_key(const std::string& key) { return key.substr(0, key.find('[')); }

bool holds(const std::vector<std::string>& keys, const std::string& key) {
    return std::ranges::find(keys, key) != keys.end();
}

std::string problems_of_files(const config::settings& s) {
    return users::problems(s) + http_service::problems(s);
}

std::string text_of(const std::string& path) {
    std::ifstream in{std::filesystem::path{path}, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
}

}  // namespace

struct configuration::state {
    config::file_memory memory;
    std::map<std::string, std::string> sets;
    config::settings of_files;   // without what is SET
    config::load_result loaded;  // in force, so with what waits for a restart as it was
    std::vector<std::string> waiting;
    std::shared_ptr<const config::settings> shared;
    kept told;
};

configuration::configuration(config::sources from) : from_{std::move(from)} {}
configuration::~configuration() = default;

const config::load_result& configuration::current() const noexcept { return kept_.back()->loaded; }

std::shared_ptr<const config::settings> configuration::settings() const {
    return kept_.back()->shared;
}

std::vector<std::string> configuration::waiting() const { return kept_.back()->waiting; }

std::map<std::string, std::string> configuration::given() const { return kept_.back()->sets; }

std::vector<configuration::kept> configuration::history() const {
    std::vector<kept> out;
    for (auto s = kept_.rbegin(); s != kept_.rend(); ++s) out.push_back((*s)->told);
    return out;
}

std::vector<std::string> configuration::files_of(const state& s) {
    std::vector<std::string> out;
    for (const auto& [path, text] : s.memory.texts) out.push_back(path);
    const auto& v = s.of_files;
    for (const auto* path :
         {&v.auth_file, &v.auth_hba_file, &v.client_tls.cert_file, &v.client_tls.key_file,
          &v.client_tls.ca_file, &v.upstream.tls.cert_file, &v.upstream.tls.key_file,
          &v.upstream.tls.ca_file})
        if (!path->empty()) out.push_back(*path);
    return out;
}

std::vector<std::string> configuration::files() const {
    auto out = files_of(*kept_.back());
    // The overlay may come to be, or be another one, in the letters of its name.
    const auto overlay = config::find_overlay(from_.path, from_.where);
    if (!overlay.path.empty() && !holds(out, overlay.path)) out.push_back(overlay.path);
    return out;
}

std::uint64_t configuration::disk_fingerprint() const {
    std::uint64_t out = 0;
    const std::hash<std::string_view> hash;
    for (const auto& path : files()) out = out * 31 + hash(path) + hash(text_of(path)) * 17;
    return out;
}

configuration::result configuration::start() {
    auto first = std::make_shared<state>();
    first->told = {std::chrono::system_clock::now(), "start", {}};
    first->loaded = config::load(from_, first->memory);
    result r{.problems = lines_of(first->loaded.problems)};
    // What the files that it names hold is a part of the configuration.
    if (r.problems.empty()) add_lines(problems_of_files(first->loaded.value), r.problems);
    r.ok = r.problems.empty();
    if (!r.ok) return r;
    first->of_files = first->loaded.value;
    first->shared = std::make_shared<const config::settings>(first->loaded.value);
    kept_.push_back(std::move(first));
    read_ = disk_fingerprint();
    return r;
}

void configuration::reload(std::string why, const handler& then) {
    read_ = disk_fingerprint();  // first: what changes after this is looked at again
    auto next = std::make_shared<state>();
    next->told.why = std::move(why);
    next->sets = kept_.back()->sets;
    auto base = config::load(from_, next->memory);
    result r{.problems = lines_of(base.problems)};
    const refusal refused{std::chrono::system_clock::now(), next->told.why};
    if (!base.ok()) {
        refused_ = refused;
        return refuse(next->told.why, std::move(r), then);
    }
    const auto says_otherwise = config::changed_keys(kept_.back()->of_files, base.value);
    std::erase_if(next->sets, [&](const auto& one) {
        if (!holds(says_otherwise, top_key(one.first))) return false;
        r.dropped.push_back(one.first);
        return true;
    });
    next->of_files = std::move(base.value);
    r.problems = check(*next);
    refused_.reset();
    if (!take(next, std::move(r), false, then)) refused_ = refused;
}

void configuration::set(const std::string& key, const std::string& value, const handler& then) {
    auto next = std::make_shared<state>(*kept_.back());
    next->told.why = "SET " + key;
    next->sets[key] = value;
    result r;
    if (config::needs_restart(key))
        r.problems.push_back("SET " + key + ": takes effect only when the program starts anew");
    else
        r.problems = check(*next);
    take(next, std::move(r), false, then);
}

void configuration::unset(const std::string& key, const handler& then) {
    auto next = std::make_shared<state>(*kept_.back());
    next->told.why = "RESET " + key;
    result r;
    if (next->sets.erase(key) == 0)
        r.problems.push_back("RESET " + key + ": it is not SET");
    else
        r.problems = check(*next);
    take(next, std::move(r), false, then);
}

void configuration::rollback(const handler& then) {
    if (kept_.size() < 2)
        return refuse("rollback", {.problems = {"there is no earlier configuration"}}, then);
    take(kept_[kept_.size() - 2], {}, true, then);
}

// Loads it with what is SET, and sets aside what needs a restart.
std::vector<std::string> configuration::check(state& next) const {
    auto from = from_;
    for (const auto& [key, value] : next.sets)
        from.later_overrides.emplace_back(key).append(1, '=').append(value);
    next.loaded = config::load(from, next.memory);
    auto problems = lines_of(next.loaded.problems);
    if (!problems.empty()) return problems;
    auto& value = next.loaded.value;
    const auto& running = kept_.back()->loaded.value;
    next.waiting.clear();
    for (auto& key : config::changed_keys(running, value)) {
        if (!config::needs_restart(key)) continue;
        auto& origin = next.loaded.origins[key];
        origin.insert(0, origin.empty() ? "until a restart" : "until a restart, then ");
        next.waiting.push_back(std::move(key));
    }
    config::keep_until_restart(running, value);
    for (const auto& f : config::check_combinations(value)) {
        const auto waits = [&](const std::string& key) { return holds(next.waiting, key); };
        if (waits(f.key) || std::ranges::any_of(f.also, waits))
            problems.push_back(f.key + ": " + f.reason +
                               "; what it needs takes effect only when the program starts anew");
    }
    if (problems.empty()) add_lines(problems_of_files(value), problems);
    next.shared = std::make_shared<const config::settings>(value);
    return problems;
}

bool configuration::take(const state_ptr& next, result r, bool rolls_back, const handler& then) {
    if (!r.problems.empty()) {
        refuse(next->told.why, std::move(r), then);
        return false;
    }
    r.changed = config::changed_keys(current().value, next->loaded.value);
    r.waiting = next->waiting;
    r.ok = true;
    const auto answer = [r, then] {
        if (then) then(r);
    };
    if (const auto why = target_ ? target_(next->shared, answer) : std::string{}; !why.empty()) {
        add_lines(why, r.problems);
        r.ok = false;
        r.changed.clear();
        refuse(rolls_back ? "rollback" : next->told.why, std::move(r), then);
        return false;
    }
    tell(*next, r, rolls_back);
    next->told.since = std::chrono::system_clock::now();
    if (rolls_back) {
        kept_.pop_back();
    } else {
        next->told.changed = r.changed;
        const auto& before = *kept_.back();
        // The same once more is no other one to return to.
        if (r.changed.empty() && next->waiting == before.waiting && next->sets == before.sets) {
            next->told = before.told;
            kept_.pop_back();
        }
        kept_.push_back(next);
        if (kept_.size() > most_kept) kept_.pop_front();
    }
    if (!target_) answer();
    return true;
}

void configuration::refuse(const std::string& why, result r, const handler& then) {
    log_error("configuration not changed (" + why + "), it is not valid:");
    for (const auto& line : r.problems) log_error(line);
    r.ok = false;
    if (then) then(r);
}

void configuration::tell(const state& next, const result& r, bool rolls_back) {
    log_info("configuration " +
             (rolls_back ? std::string{"rolled back"} : "loaded (" + next.told.why + ")") + ": " +
             (r.changed.empty() ? "nothing has changed" : "changed: " + list_of(r.changed)));
    if (!r.waiting.empty())
        log_warning("configuration: only with a restart: " + list_of(r.waiting));
    if (!r.dropped.empty())
        log_info("configuration: the file speaks anew of what was SET: " + list_of(r.dropped));
    for (const auto& note : next.loaded.notes)
        if (note.line > 0) log_warning(config::to_string(note));
}

}  // namespace pgsidecar::io
