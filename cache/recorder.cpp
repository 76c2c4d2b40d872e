#include "cache/recorder.h"

#include <charconv>
#include <new>

namespace pgsidecar::cache {

namespace {

constexpr std::size_t header_size = 5;  // type byte and length
constexpr std::size_t kept_capacity = 4096;

std::uint32_t announced_length(std::string_view frame) noexcept {
    std::uint32_t length = 0;
    for (const char c : frame.substr(1, 4)) length = length << 8 | static_cast<unsigned char>(c);
    return length;
}

}  // namespace

void recorder::start(std::size_t max_bytes) {
    reset();
    max_bytes_ = max_bytes;
    recording_ = true;
}

bool recorder::add(std::string_view frame_whole) {
    if (!recording_) return false;
    // A length that disagrees with the bytes at hand is a piece of a frame: not for the cache.
    const bool whole = frame_whole.size() >= header_size &&
                       announced_length(frame_whole) == frame_whole.size() - 1;
    if (!whole || frame_whole.size() > max_bytes_ - body_.size() ||
        !accept(frame_whole.front(), frame_whole.substr(header_size))) {
        give_up();
        return false;
    }
    try {
        body_.append(frame_whole);
    } catch (const std::bad_alloc&) {
        give_up();
        return false;
    }
    return true;
}

bool recorder::accept(char type, std::string_view content) noexcept {
    if (ready_) return false;
    switch (type) {
        case '1':  // ParseComplete
        case '2':  // BindComplete
        case 't':  // ParameterDescription
        case 'T':  // RowDescription
        case 'n':  // NoData
            open_ = true;
            return true;
        case '3':  // CloseComplete
            return true;
        case 'D':  // DataRow
            open_ = true;
            ++rows_;
            ++command_rows_;
            return true;
        case 'C':  // CommandComplete
            return close_command(content);
        case 'Z':  // ReadyForQuery: a hit is served in idle alone, so must its answer end there
            ready_ = true;
            return !open_ && commands_ > 0 && content == "I";
        default:
            return false;
    }
}

// "SELECT 3": anything else has written, or cannot be told apart from what has. The count is the
// server's word on how many rows there should be here.
bool recorder::close_command(std::string_view content) noexcept {
    constexpr std::string_view tag = "SELECT ";
    if (!content.starts_with(tag) || content.back() != '\0') return false;
    const char* first = content.data() + tag.size();
    const char* last = content.data() + content.size() - 1;
    std::uint32_t count = 0;
    const auto [end, error] = std::from_chars(first, last, count);
    if (error != std::errc{} || end != last || count != command_rows_) return false;
    ++commands_;
    command_rows_ = 0;
    open_ = false;
    return true;
}

void recorder::give_up() noexcept {
    reset();
    std::string{}.swap(body_);
}

std::optional<std::string_view> recorder::finish() const noexcept {
    if (!recording_ || open_ || commands_ == 0) return std::nullopt;
    return body_;
}

void recorder::reset() noexcept {
    if (body_.capacity() > kept_capacity) {
        std::string{}.swap(body_);
    } else {
        body_.clear();
    }
    rows_ = 0;
    command_rows_ = 0;
    commands_ = 0;
    recording_ = false;
    open_ = false;
    ready_ = false;
}

}  // namespace pgsidecar::cache
