#include "proxy/ops/service_state.h"

#include <algorithm>

namespace pgsidecar::ops {
namespace {

constexpr std::size_t longest_name = 80;  // of 256; it is a part of an account's name, too

}  // namespace

service_state::service_state(milliseconds start) noexcept : left_{start} {
    now_.checkpoint = 1;
    now_.wait_hint = hint;
}

std::optional<service_report> service_state::running() noexcept {
    if (now_.phase != service_phase::start_pending) return std::nullopt;
    now_ = {.phase = service_phase::running, .takes_controls = true};
    return now_;
}

std::optional<service_report> service_state::stop(milliseconds at_most) noexcept {
    if (now_.phase == service_phase::stop_pending || now_.phase == service_phase::stopped)
        return std::nullopt;
    left_ = at_most;
    now_ = {.phase = service_phase::stop_pending, .checkpoint = 1, .wait_hint = hint};
    return now_;
}

std::optional<service_report> service_state::progress(milliseconds passed) noexcept {
    const bool pending =
        now_.phase == service_phase::start_pending || now_.phase == service_phase::stop_pending;
    if (!pending || left_ <= milliseconds::zero()) return std::nullopt;
    left_ -= passed;
    ++now_.checkpoint;
    return now_;
}

std::optional<service_report> service_state::ended(std::uint32_t exit_code) noexcept {
    if (now_.phase == service_phase::stopped) return std::nullopt;
    now_ = {.phase = service_phase::stopped, .exit_code = exit_code};
    return now_;
}

std::string quoted_argument(const std::string& word) {
    if (!word.empty() && word.find_first_of(" \t\n\v\"") == std::string::npos) return word;
    std::string out = "\"";
    std::size_t slashes = 0;  // mean themselves, unless a quote follows them
    for (const char c : word) {
        if (c == '\\') {
            ++slashes;
            continue;
        }
        out.append(c == '"' ? 2 * slashes + 1 : slashes, '\\');
        slashes = 0;
        out += c;
    }
    out.append(2 * slashes, '\\');
    return out + '"';
}

std::string service_command_line(const std::vector<std::string>& words) {
    std::string out;
    for (const auto& word : words) {
        if (!out.empty()) {
            out += ' ';
            out += quoted_argument(word);
            continue;
        }
        const auto first = quoted_argument(word);
        out += first.starts_with('"') ? first : '"' + first + '"';
    }
    return out;
}

std::string bad_service_name(const std::string& name) {
    if (name.empty()) return "is empty";
    if (name.size() > longest_name)
        return "is longer than " + std::to_string(longest_name) + " characters";
    const auto usual = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '-' || c == '_' || c == '.';
    };
    if (!std::ranges::all_of(name, usual)) return "may hold letters, digits, '-', '_' and '.' only";
    return {};
}

}  // namespace pgsidecar::ops
