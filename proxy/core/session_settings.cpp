#include "proxy/core/session_settings.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "protocol/ascii.h"

namespace pgsidecar::core {
namespace {

constexpr char reset_mark = '\1';  // a value that means "back to the start value"
constexpr std::size_t frame_limit = 1000;

bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

struct startup_options {
    std::vector<std::pair<std::string, std::string>> values;
    bool understood = true;
};

startup_options read_options(std::string_view options) {
    std::vector<std::string> words;
    std::string word;
    bool in_word = false;
    for (std::size_t i = 0; i <= options.size(); ++i) {
        const char c = i == options.size() ? ' ' : options[i];
        if (c == '\\') {
            if (i + 1 < options.size()) word.push_back(options[++i]);
            in_word = true;
        } else if (is_blank(c)) {
            if (in_word) words.push_back(std::exchange(word, {}));
            in_word = false;
        } else {
            word.push_back(c);
            in_word = true;
        }
    }
    startup_options out;
    for (std::size_t i = 0; i < words.size(); ++i) {
        std::string_view text = words[i];
        const auto is_short = text == "-c" && i + 1 < words.size();
        if (is_short)
            text = words[++i];
        else if (text.starts_with("-c") || text.starts_with("--"))
            text.remove_prefix(2);
        const auto equals = text.find('=');
        if ((!is_short && text.size() == words[i].size()) || equals == std::string_view::npos) {
            out.understood = false;
            return out;
        }
        std::string name = protocol::lower_case(text.substr(0, equals));
        std::replace(name.begin(), name.end(), '-', '_');
        out.values.emplace_back(std::move(name), std::string{text.substr(equals + 1)});
    }
    return out;
}

void append_setting(std::string& out, const session_settings::values::value_type& item) {
    out.append(item.first).push_back('\0');
    out.append(item.second).push_back('\0');
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

bool setting_is_read_by(std::string_view name) noexcept {
    return name.find('.') == std::string_view::npos && setting_matters(name);
}

bool literals_are_read_by(std::string_view name) noexcept {
    const auto& path = session_settings::of_path;
    return setting_is_read_by(name) && std::find(path.begin(), path.end(), name) == path.end();
}

bool constants_are_written_by(std::string_view name) noexcept {
    return name == "bytea_output" || name == "extra_float_digits" || name == "intervalstyle";
}

const session_settings::changes& session_settings::seen() const noexcept {
    static const changes none;
    return changes_ ? *changes_ : none;
}

session_settings::changes& session_settings::mine() {
    if (!changes_) changes_ = std::make_unique<changes>();
    return *changes_;
}

void session_settings::put(values& where, std::string_view name, std::string value) {
    where.insert_or_assign(std::string{name}, std::move(value));
    ++revision_;
}

void session_settings::start(std::string_view name, std::string_view value) {
    put(start_, protocol::lower_case(name), std::string{value});
}

bool session_settings::start_options(std::string_view options) {
    const auto read = read_options(options);
    for (const auto& [name, value] : read.values) start(name, value);
    return read.understood;
}

std::string session_settings::options_without(std::string_view options,
                                              const std::function<bool(std::string_view)>& goes) {
    std::string out;
    for (const auto& [name, value] : read_options(options).values) {
        if (goes(name)) continue;
        out.append(out.empty() ? "-c " : " -c ").append(name).push_back('=');
        for (const char c : value) {
            if (is_blank(c) || c == '\\') out.push_back('\\');
            out.push_back(c);
        }
    }
    return out;
}

// A value that was set for good: the commit no longer returns to what was before a SET LOCAL.
void session_settings::keep(const std::string& name) {
    if (seen().frames.empty()) return;
    mine().frames.back().local.erase(name);
    mine().frames.back().kept.insert(name);
}

void session_settings::apply(const policy::setting_change& change) {
    if (change.all) {
        std::set<std::string, std::less<>> names;
        for (const auto& item : mine().set) names.insert(item.first);
        for (const auto& f : mine().frames)
            for (const auto& item : f.local) names.insert(item.first);
        return_all();
        for (const auto& name : names) {
            if (names_a_role(name)) continue;
            keep(name);
            if (mine().set.erase(name) > 0) ++revision_;
        }
        return;
    }
    // A new session user begins without a role, whatever the start-up said.
    if (change.name == "session_authorization") apply({"role", "none", change.local, false});
    if (change.local) {
        if (seen().frames.empty()) return;  // outside a transaction SET LOCAL does nothing
        const auto old = mine().set.find(change.name);
        const std::string before = old == mine().set.end() ? std::string{reset_mark} : old->second;
        // Only the first SET LOCAL of a frame knows the value to return to.
        mine().frames.back().local.try_emplace(change.name, before);
    } else {
        keep(change.name);
        if (!change.value && start_.contains(change.name))
            mine().returned.insert(change.name);
        else if (changes_)
            changes_->returned.erase(change.name);
    }
    const auto now = mine().set.find(change.name);
    const bool is_set = now != mine().set.end();
    if (change.value ? is_set && now->second == *change.value : !is_set) return;
    ++revision_;
    if (change.value)
        mine().set.insert_or_assign(change.name, *change.value);
    else
        mine().set.erase(now);
}

void session_settings::touch(std::string_view name) {
    if (name.find('.') == std::string_view::npos) return;
    if (mine().touched.emplace(name).second) ++revision_;
}

void session_settings::return_all() {
    for (const auto& item : start_)
        if (!names_a_role(item.first)) mine().returned.insert(item.first);
}

void session_settings::forget_returned(const std::function<bool(std::string_view)>& which) {
    if (seen().returned.empty() && seen().frames.empty()) return;
    std::erase_if(mine().returned, which);
    for (auto& f : mine().frames) std::erase_if(f.returned, which);
}

// DISCARD ALL begins with SET SESSION AUTHORIZATION DEFAULT, and that ends the role for good.
void session_settings::discard_all() {
    const values none{{"role", "none"}};
    mine().frames.clear();
    return_all();
    if (mine().set == none) return;
    mine().set = none;
    ++revision_;
}

void session_settings::begin() {
    if (seen().frames.empty()) mine().frames.push_back({{}, mine().set, {}, {}, mine().returned});
}

// As when a subtransaction ends well: what the inner frame set for good is so for the outer one
// too, and what it set locally is local to the outer one.
void session_settings::merge_into_outer(std::size_t inner) {
    auto& from = mine().frames[inner];
    auto& to = mine().frames[inner - 1];
    for (const auto& name : from.kept) {
        to.local.erase(name);
        to.kept.insert(name);
    }
    for (auto& [name, before] : from.local) to.local.try_emplace(name, std::move(before));
}

void session_settings::commit() {
    if (seen().frames.empty()) return;
    for (auto i = mine().frames.size(); i-- > 1;) merge_into_outer(i);
    for (auto& [name, before] : mine().frames.front().local) {
        if (before.size() == 1 && before[0] == reset_mark)
            mine().set.erase(name);
        else
            mine().set.insert_or_assign(name, std::move(before));
        ++revision_;
    }
    mine().frames.clear();
}

void session_settings::rollback() {
    if (seen().frames.empty()) return;
    if (mine().set != mine().frames.front().at_start) {
        mine().set = std::move(mine().frames.front().at_start);
        ++revision_;
    }
    mine().returned = std::move(mine().frames.front().returned);
    mine().frames.clear();
}

bool session_settings::set_in_transaction(std::string_view name) const {
    const auto value_in = [name](const values& in) {
        const auto it = in.find(name);
        return it == in.end() ? std::optional<std::string_view>{} : it->second;
    };
    const auto now = value_in(seen().set);
    return std::ranges::any_of(seen().frames, [&](const frame& f) {
        return f.local.contains(name) || value_in(f.at_start) != now;
    });
}

bool session_settings::reading_set_in_transaction() const {
    const auto any_in = [this](const auto& items, const auto& name_of) {
        return std::ranges::any_of(items, [&](const auto& item) {
            const std::string_view name = name_of(item);
            return setting_is_read_by(name) && set_in_transaction(name);
        });
    };
    const auto name = [](const auto& item) -> std::string_view { return item.first; };
    return any_in(seen().set, name) || std::ranges::any_of(seen().frames, [&](const frame& f) {
               return any_in(f.at_start, name) || any_in(f.local, name);
           });
}

bool session_settings::savepoint(std::string_view name) {
    begin();
    if (mine().frames.size() >= frame_limit) return false;
    mine().frames.push_back({std::string{name}, mine().set, {}, {}, mine().returned});
    return true;
}

void session_settings::release(std::string_view name) {
    for (std::size_t i = mine().frames.size(); i-- > 1;) {
        if (mine().frames[i].savepoint != name) continue;
        for (std::size_t j = mine().frames.size(); j-- > i;) merge_into_outer(j);
        mine().frames.resize(i);
        return;
    }
}

void session_settings::rollback_to(std::string_view name) {
    for (std::size_t i = mine().frames.size(); i-- > 1;) {
        if (mine().frames[i].savepoint != name) continue;
        mine().set = mine().frames[i].at_start;
        mine().returned = mine().frames[i].returned;
        mine().frames[i].local.clear();
        mine().frames[i].kept.clear();
        mine().frames.resize(i + 1);
        ++revision_;
        return;
    }
}

const std::string* session_settings::find(std::string_view name) const {
    if (const auto it = seen().set.find(name); it != seen().set.end()) return &it->second;
    if (const auto it = start_.find(name); it != start_.end()) return &it->second;
    return nullptr;
}

std::string session_settings::literals_text(const values& reported) const {
    std::string out;
    const auto add = [&out](const auto& item) {
        if (literals_are_read_by(item.first)) append_setting(out, item);
    };
    for (const auto& item : reported)
        if (!find(item.first)) add(item);
    for (const auto& item : start_)
        if (!seen().set.contains(item.first)) add(item);
    for (const auto& item : seen().set) add(item);
    return out;
}

// No role is what a session begins with; who is who then stands in the key beside this text.
std::string session_settings::key_text() const {
    std::string out;
    const auto add = [&out](const auto& item) {
        if (setting_matters(item.first)) append_setting(out, item);
    };
    for (const auto& item : start_)
        if (!seen().set.contains(item.first)) add(item);
    out.push_back('\2');
    for (const auto& item : seen().set)
        if (item.first != "role" || item.second != "none") add(item);
    out.push_back('\3');
    for (const auto& name : seen().touched)
        if (!find(name)) out.append(name).push_back('\0');
    return out;
}

}  // namespace pgsidecar::core
