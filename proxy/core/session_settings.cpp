#include "proxy/core/session_settings.h"

#include <algorithm>
#include <array>
#include <utility>

namespace pgsidecar::core {
namespace {

constexpr char reset_mark = '\1';  // a value that means "back to the start value"
constexpr std::size_t frame_limit = 1000;

std::string lower(std::string_view text) {
    std::string out{text};
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

bool survives_reset_all(std::string_view name) {
    return name == "role" || name == "session_authorization";
}

}  // namespace

bool setting_matters(std::string_view name) noexcept {
    static constexpr std::array<std::string_view, 16> harmless{
        "application_name",
        "statement_timeout",
        "lock_timeout",
        "idle_session_timeout",
        "idle_in_transaction_session_timeout",
        "tcp_keepalives_idle",
        "tcp_keepalives_interval",
        "tcp_keepalives_count",
        "tcp_user_timeout",
        "log_statement",
        "log_min_duration_statement",
        "log_min_messages",
        "work_mem",
        "maintenance_work_mem",
        "synchronous_commit",
        "client_connection_check_interval"};
    return std::find(harmless.begin(), harmless.end(), name) == harmless.end();
}

void session_settings::put(values& where, std::string_view name, std::string value) {
    where.insert_or_assign(std::string{name}, std::move(value));
    ++revision_;
}

void session_settings::start(std::string_view name, std::string_view value) {
    put(start_, lower(name), std::string{value});
}

bool session_settings::start_options(std::string_view options) {
    std::vector<std::string> words;
    std::string word;
    bool in_word = false;
    for (std::size_t i = 0; i <= options.size(); ++i) {
        const bool end = i == options.size();
        const char c = end ? ' ' : options[i];
        if (c == '\\') {
            if (i + 1 < options.size()) word.push_back(options[++i]);
            in_word = true;
        } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v') {
            if (in_word) words.push_back(std::exchange(word, {}));
            in_word = false;
        } else {
            word.push_back(c);
            in_word = true;
        }
    }
    for (std::size_t i = 0; i < words.size(); ++i) {
        std::string_view text = words[i];
        if (text == "-c" && i + 1 < words.size())
            text = words[++i];
        else if (text.starts_with("-c") || text.starts_with("--"))
            text.remove_prefix(2);
        else
            return false;
        const auto equals = text.find('=');
        if (equals == std::string_view::npos) return false;
        std::string name = lower(text.substr(0, equals));
        std::replace(name.begin(), name.end(), '-', '_');
        start(name, text.substr(equals + 1));
    }
    return true;
}

// A value that was set for good: the commit no longer returns to what was before a SET LOCAL.
void session_settings::keep(const std::string& name) {
    if (frames_.empty()) return;
    frames_.back().local.erase(name);
    frames_.back().kept.insert(name);
}

void session_settings::apply(const policy::setting_change& change) {
    ++revision_;
    if (change.all) {
        std::set<std::string, std::less<>> names;
        for (const auto& item : set_) names.insert(item.first);
        for (const auto& f : frames_)
            for (const auto& item : f.local) names.insert(item.first);
        for (const auto& name : names) {
            if (survives_reset_all(name)) continue;
            keep(name);
            set_.erase(name);
        }
        return;
    }
    // A new session user begins without a role, whatever the start-up said.
    if (change.name == "session_authorization") apply({"role", "none", change.local, false});
    if (change.local) {
        if (frames_.empty()) return;  // outside a transaction SET LOCAL does nothing
        const auto now = set_.find(change.name);
        const std::string before = now == set_.end() ? std::string{reset_mark} : now->second;
        // Only the first SET LOCAL of a frame knows the value to return to.
        frames_.back().local.try_emplace(change.name, before);
    } else {
        keep(change.name);
    }
    if (change.value)
        set_.insert_or_assign(change.name, *change.value);
    else
        set_.erase(change.name);
}

// DISCARD ALL begins with SET SESSION AUTHORIZATION DEFAULT, and that ends the role for good.
void session_settings::touch(std::string_view name) {
    if (name.find('.') == std::string_view::npos) return;
    if (touched_.emplace(name).second) ++revision_;
}

void session_settings::discard_all() {
    set_.clear();
    frames_.clear();
    set_.emplace("role", "none");
    ++revision_;
}

void session_settings::begin() {
    if (frames_.empty()) frames_.push_back({{}, set_, {}, {}});
}

// As when a subtransaction ends well: what the inner frame set for good is so for the outer one
// too, and what it set locally is local to the outer one.
void session_settings::merge_into_outer(std::size_t inner) {
    auto& from = frames_[inner];
    auto& to = frames_[inner - 1];
    for (const auto& name : from.kept) {
        to.local.erase(name);
        to.kept.insert(name);
    }
    for (auto& [name, before] : from.local) to.local.try_emplace(name, std::move(before));
}

void session_settings::commit() {
    if (frames_.empty()) return;
    for (auto i = frames_.size(); i-- > 1;) merge_into_outer(i);
    for (auto& [name, before] : frames_.front().local) {
        if (before.size() == 1 && before[0] == reset_mark)
            set_.erase(name);
        else
            set_.insert_or_assign(name, std::move(before));
        ++revision_;
    }
    frames_.clear();
}

void session_settings::rollback() {
    if (frames_.empty()) return;
    if (set_ != frames_.front().at_start) {
        set_ = std::move(frames_.front().at_start);
        ++revision_;
    }
    frames_.clear();
}

bool session_settings::savepoint(std::string_view name) {
    begin();
    if (frames_.size() >= frame_limit) return false;
    frames_.push_back({std::string{name}, set_, {}, {}});
    return true;
}

void session_settings::release(std::string_view name) {
    for (std::size_t i = frames_.size(); i-- > 1;) {
        if (frames_[i].savepoint != name) continue;
        for (std::size_t j = frames_.size(); j-- > i;) merge_into_outer(j);
        frames_.resize(i);
        return;
    }
}

void session_settings::rollback_to(std::string_view name) {
    for (std::size_t i = frames_.size(); i-- > 1;) {
        if (frames_[i].savepoint != name) continue;
        set_ = frames_[i].at_start;
        frames_[i].local.clear();
        frames_[i].kept.clear();
        frames_.resize(i + 1);
        ++revision_;
        return;
    }
}

const std::string* session_settings::find(std::string_view name) const {
    if (const auto it = set_.find(name); it != set_.end()) return &it->second;
    if (const auto it = start_.find(name); it != start_.end()) return &it->second;
    return nullptr;
}

// No role is what a session begins with; who is who then stands in the key beside this text.
std::string session_settings::key_text() const {
    std::string out;
    const auto add = [&out](const auto& item) {
        if (!setting_matters(item.first)) return;
        out.append(item.first).push_back('\0');
        out.append(item.second).push_back('\0');
    };
    for (const auto& item : start_)
        if (!set_.contains(item.first)) add(item);
    out.push_back('\2');
    for (const auto& item : set_)
        if (item.first != "role" || item.second != "none") add(item);
    out.push_back('\3');
    for (const auto& name : touched_)
        if (!find(name)) out.append(name).push_back('\0');
    return out;
}

}  // namespace pgsidecar::core
