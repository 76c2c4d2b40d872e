#include "policy/tenants.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "policy/analyze_scan.h"
#include "policy/pattern.h"
#include "protocol/utf8.h"

namespace pgsidecar::policy {
namespace {

// Looking for tenants to forget takes as long as there are tenants.
constexpr std::chrono::milliseconds sweep_interval{100};
constexpr std::string_view placeholder = "{tenant}";

int hex_digit(char c) noexcept {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::string percent_decoded(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const int high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
        const int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
        if (low >= 0) {
            out.push_back(static_cast<char>(high * 16 + low));
            i += 2;
        } else {
            out.push_back(text[i]);
        }
    }
    return out;
}

// The next comment of what the lexer skips between two tokens, without its marks; taken off the
// front of it. Those inside a block comment are part of it.
std::optional<std::string_view> next_comment(std::string_view& skipped) {
    while (!skipped.empty()) {
        if (skipped.starts_with("--")) {
            const auto end = std::min(skipped.find_first_of("\r\n"), skipped.size());
            const auto inside = skipped.substr(2, end - 2);
            skipped.remove_prefix(end);
            return inside;
        } else if (skipped.starts_with("/*")) {
            std::size_t depth = 1;
            std::size_t end = 2;
            for (; depth > 0 && end < skipped.size(); ++end) {
                const auto mark = skipped.substr(end, 2);
                if (mark != "*/" && mark != "/*") continue;
                depth = mark == "*/" ? depth - 1 : depth + 1;
                ++end;
            }
            if (depth > 0) return std::nullopt;
            const auto inside = skipped.substr(2, end - 4);
            skipped.remove_prefix(end);
            return inside;
        } else {
            skipped.remove_prefix(1);
        }
    }
    return std::nullopt;
}

bool is_key(std::string_view before_value, std::string_view key) noexcept {
    if (!before_value.ends_with(key)) return false;
    before_value.remove_suffix(key.size());
    return before_value.empty() || before_value.ends_with(',') || before_value.ends_with(' ') ||
           before_value.ends_with('*');
}

// key='value' somewhere in one comment, the key not a part of a longer word or of another value.
std::optional<std::string> tag_in(std::string_view comment, std::string_view key) {
    for (auto at = comment.find("='"); at != std::string_view::npos; at = comment.find("='", at)) {
        const bool wanted = is_key(comment.substr(0, at), key);
        std::string value;
        for (at += 2; at < comment.size() && comment[at] != '\''; ++at) {
            if (comment[at] == '\\' && at + 1 < comment.size()) ++at;
            value.push_back(comment[at]);
        }
        if (at == comment.size()) break;  // it does not end
        if (wanted) return percent_decoded(value);
        ++at;
    }
    return std::nullopt;
}

// What {tenant} stands for, if the text fits.
std::optional<std::string> by_pattern(const tenant_source& s, std::string_view text) {
    if (text.size() < s.before.size() + s.behind.size()) return std::nullopt;
    if (!text.starts_with(s.before) || !text.ends_with(s.behind)) return std::nullopt;
    text.remove_prefix(s.before.size());
    text.remove_suffix(s.behind.size());
    return std::string{text};
}

std::optional<std::string> answer_of(const tenant_source& s, const tenant_evidence& e) {
    using from = tenant_source::from;
    switch (s.where) {
        case from::startup:
            return e.at_startup ? e.at_startup(s.name) : std::nullopt;
        case from::setting:
            return e.now ? e.now(s.name) : std::nullopt;
        case from::comment:
            return comment_tag(e.sql, s.name);
        case from::application_name: {
            const auto value = e.now ? e.now("application_name") : std::nullopt;
            return value ? by_pattern(s, *value) : std::nullopt;
        }
        case from::user:
            return by_pattern(s, e.user);
        case from::database:
            return by_pattern(s, e.database);
    }
    return std::nullopt;
}

}  // namespace

std::string bad_tenant_name(std::string_view name) {
    if (name.empty()) return "is empty";
    if (name.size() > max_tenant_name)
        return "is longer than " + std::to_string(max_tenant_name) + " bytes";
    const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
    if (std::any_of(name.begin(), name.end(), control)) return "holds a control character";
    if (!protocol::is_utf8(name)) return "is not UTF-8";
    return {};
}

std::optional<tenant_source> read_tenant_source(std::string_view text, std::string& why) {
    using from = tenant_source::from;
    static constexpr std::array<std::pair<std::string_view, from>, 6> words{
        {{"startup", from::startup},
         {"setting", from::setting},
         {"comment", from::comment},
         {"application_name", from::application_name},
         {"user", from::user},
         {"database", from::database}}};
    const auto colon = text.find(':');
    const auto word = text.substr(0, colon);
    const auto* known =
        std::find_if(words.begin(), words.end(), [&](const auto& w) { return w.first == word; });
    if (known == words.end()) {
        why =
            "is not one of: startup:NAME, setting:NAME, comment:KEY, application_name:PATTERN, "
            "user, database";
        return std::nullopt;
    }
    tenant_source out{.where = known->second};
    const auto rest = colon == std::string_view::npos ? std::string_view{} : text.substr(colon + 1);
    if (out.where == from::startup || out.where == from::setting || out.where == from::comment) {
        if (rest.empty()) {
            why = "names nothing behind " + std::string{word} + ":";
            return std::nullopt;
        }
        out.name = rest;
        if (out.where != from::comment)
            for (char& c : out.name)
                c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        return out;
    }
    if (colon == std::string_view::npos) return out;
    const auto at = rest.find(placeholder);
    if (at == std::string_view::npos) {
        why = "has no {tenant} in its pattern";
        return std::nullopt;
    }
    out.before = rest.substr(0, at);
    out.behind = rest.substr(at + placeholder.size());
    if (out.behind.find(placeholder) != std::string::npos) {
        why = "has {tenant} twice in its pattern";
        return std::nullopt;
    }
    return out;
}

std::vector<tenant_source> default_sources() {
    std::vector<tenant_source> out;
    std::string why;
    for (const std::string_view text : default_tenant_sources)
        if (auto source = read_tenant_source(text, why)) out.push_back(std::move(*source));
    return out;
}

std::optional<std::string> comment_tag(std::string_view sql, std::string_view key) {
    if (!has_comment(sql)) return std::nullopt;
    sql_scanner scan{sql};
    const char* behind = sql.data();
    while (true) {
        // What the lexer skips between two tokens is blanks and comments.
        const auto t = scan.next();
        const char* next = t.kind == token_kind::end ? sql.data() + sql.size() : t.text.data();
        std::string_view skipped{behind, static_cast<std::size_t>(next - behind)};
        while (const auto comment = next_comment(skipped))
            if (auto value = tag_in(*comment, key)) return value;
        if (t.kind == token_kind::end || t.kind == token_kind::bad) return std::nullopt;
        behind = next + t.text.size();
    }
}

std::string find_tenant(const std::vector<tenant_source>& sources,
                        const tenant_evidence& evidence) {
    for (const auto& s : sources)
        if (auto answer = answer_of(s, evidence); answer && bad_tenant_name(*answer).empty())
            return std::move(*answer);
    return {};
}

bool tenant_options::reads_comments() const noexcept {
    return std::any_of(sources.begin(), sources.end(), [](const tenant_source& s) {
        return s.where == tenant_source::from::comment;
    });
}

namespace {
std::uint32_t most_at_the_gate(const tenant_options& o) noexcept {
    return o.limits == enforcement::enforce ? o.max_concurrent_requests : 0;
}
}  // namespace

tenant_directory::tenant_directory(tenant_options options)
    : options_{std::make_shared<const tenant_options>(std::move(options))},
      active_{options_->limits != enforcement::off},
      gate_{most_at_the_gate(*options_)},
      default_{make(options_->default_tenant, std::make_shared<tenant_usage>())} {}

void tenant_directory::adopt(tenant_options options) {
    const std::lock_guard lock{mutex_};
    options_ = std::make_shared<const tenant_options>(std::move(options));
    for (auto& [name, known] : known_) known = make(name, known->usage);
    // Another tenant may be the default one now.
    const auto before = std::exchange(default_, nullptr);
    known_.insert_or_assign(before->name, make(before->name, before->usage));
    auto chosen = known_.extract(options_->default_tenant);
    default_ = chosen.empty() ? make(options_->default_tenant, std::make_shared<tenant_usage>())
                              : std::move(chosen.mapped());
    gate_.limit(most_at_the_gate(*options_));
    active_.store(options_->limits != enforcement::off);
    generation_.fetch_add(1);
}

std::shared_ptr<const tenant_options> tenant_directory::options() const {
    const std::lock_guard lock{mutex_};
    return options_;
}

std::shared_ptr<tenant> tenant_directory::make(std::string_view name,
                                               std::shared_ptr<tenant_usage> usage) const {
    auto made = std::make_shared<tenant>(
        std::string{name}, std::shared_ptr<const tier>{options_, &tier_of(name)}, std::move(usage));
    const bool enforced =
        options_->effective(made->of->max_concurrent_mode) == enforcement::enforce;
    made->lane.limit(enforced ? made->of->max_concurrent : 0);
    return made;
}

const tier& tenant_directory::tier_of(std::string_view name) const {
    const auto& tiers = options_->tiers;
    for (const auto& t : tiers)
        for (const auto& pattern : t.members)
            if (matches_glob(pattern, name)) return t;
    const auto found = std::find_if(tiers.begin(), tiers.end(), [this](const tier& t) {
        return t.name == options_->default_tier;
    });
    return found == tiers.end() ? tiers.front() : *found;
}

std::shared_ptr<tenant> tenant_directory::find(std::string_view name,
                                               rate_limiter::time_point now) {
    const std::lock_guard lock{mutex_};
    if (name.empty() || name == default_->name) return default_;
    if (const auto it = known_.find(name); it != known_.end()) return it->second;
    if (known_.size() >= options_->max_tenants) {
        if (now - swept_at_ < sweep_interval) return default_;
        swept_at_ = now;
        // Whoever forgot more would give a tenant its rate back for a change of its name.
        std::erase_if(known_, [&](const auto& item) {
            const auto& t = *item.second;
            return item.second.use_count() == 1 && t.usage.use_count() == 1 && t.queries.full(now);
        });
        if (known_.size() >= options_->max_tenants) return default_;
    }
    return known_.emplace(std::string{name}, make(name, std::make_shared<tenant_usage>()))
        .first->second;
}

std::vector<std::shared_ptr<const tenant>> tenant_directory::known() const {
    const std::lock_guard lock{mutex_};
    std::vector<std::shared_ptr<const tenant>> out{default_};
    out.reserve(known_.size() + 1);
    for (const auto& [name, one] : known_) out.push_back(one);
    return out;
}

std::size_t tenant_directory::size() const {
    const std::lock_guard lock{mutex_};
    return known_.size() + 1;
}

}  // namespace pgsidecar::policy
