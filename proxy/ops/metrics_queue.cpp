#include "proxy/ops/metrics_queue.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <string_view>
#include <utility>

namespace pgsidecar::ops {
namespace {

constexpr std::size_t most_of_type = 50;  // characters of query_type
constexpr std::uint32_t most_rows_told = 0x7fffffff;
constexpr std::size_t usual_line = 64;  // bytes

bool is_plain(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20U && byte < 0x80U && c != '\\';
}

// PostgreSQL 15, COPY, "Text Format".
void append_text(std::string& out, std::string_view text, std::size_t most, bool ascii) {
    if (text.size() <= most && std::ranges::all_of(text, is_plain)) {
        out += text;
        return;
    }
    std::size_t characters = 0;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool continues = (byte & 0xc0U) == 0x80U;  // of a UTF-8 character
        if (!continues && ++characters > most) return;
        if (byte >= 0x80U && ascii) {
            if (!continues) out += '?';
        } else if (c == '\\') {
            out += "\\\\";
        } else if (c == '\n') {
            out += "\\n";
        } else if (c == '\r') {
            out += "\\r";
        } else if (c == '\t') {
            out += "\\t";
        } else {
            out += c;
        }
    }
}

// There is room for the 20 digits of any number.
char* put_number(char* at, std::uint64_t value) { return std::to_chars(at, at + 20, value).ptr; }

// The last `width` digits.
char* put_digits(char* at, std::uint64_t value, std::size_t width) {
    for (auto i = width; i-- > 0; value /= 10) at[i] = static_cast<char>('0' + value % 10);
    return at + width;
}

void append_digits(std::string& out, std::uint64_t value, std::size_t width) {
    std::array<char, 8> digits{};
    out.append(digits.data(), put_digits(digits.data(), value, width));
}

// "2026-02-28 23:59:58.": neighbouring rows have it in common.
class second_text {
  public:
    void append(std::string& out, std::chrono::system_clock::time_point when) {
        using namespace std::chrono;
        const auto exact = floor<microseconds>(when);
        if (const auto of = floor<seconds>(exact); text_.empty() || of != second_) write(of);
        out += text_;
        append_digits(out, static_cast<std::uint64_t>((exact - second_).count()), 6);
    }

  private:
    void write(std::chrono::sys_seconds of) {
        using namespace std::chrono;
        const auto day = floor<days>(of);
        const year_month_day date{day};
        const hh_mm_ss time{of - day};
        text_.clear();
        const auto part = [this](auto value, std::size_t width, char behind) {
            append_digits(text_, static_cast<std::uint64_t>(value), width);
            text_ += behind;
        };
        part(static_cast<int>(date.year()), 4, '-');
        part(static_cast<unsigned>(date.month()), 2, '-');
        part(static_cast<unsigned>(date.day()), 2, ' ');
        part(time.hours().count(), 2, ':');
        part(time.minutes().count(), 2, ':');
        part(time.seconds().count(), 2, '.');
        second_ = of;
    }

    std::string text_;
    std::chrono::sys_seconds second_{};
};

}  // namespace

void metrics_queue::add(batch&& rows) {
    if (rows.empty()) return;
    {
        const std::lock_guard lock{mutex_};
        const auto taken = std::min(rows.size(), most_ - std::min(most_, counts_.waiting));
        counts_.dropped += rows.size() - taken;
        counts_.waiting += taken;
        for (auto& row : std::span{rows}.first(taken)) {
            const bool fits =
                batches_.size() > (taken_ ? 1U : 0U) && batches_.back().size() < batch_rows;
            if (!fits) batches_.emplace_back().reserve(batch_rows);
            batches_.back().push_back(std::move(row));
        }
    }
    changed_.notify_one();
}

const metrics_queue::batch* metrics_queue::front(std::chrono::milliseconds patience) {
    std::unique_lock lock{mutex_};
    changed_.wait_for(lock, patience, [this] { return closed_ || !batches_.empty(); });
    taken_ = !batches_.empty();
    return taken_ ? &batches_.front() : nullptr;  // a deque: others are added behind it
}

void metrics_queue::done(bool written) {
    const std::lock_guard lock{mutex_};
    const auto size = batches_.front().size();
    counts_.waiting -= size;
    (written ? counts_.written : counts_.dropped) += size;
    batches_.pop_front();
    taken_ = false;
}

void metrics_queue::pause(std::chrono::milliseconds length) {
    std::unique_lock lock{mutex_};
    changed_.wait_for(lock, length, [this] { return closed_; });
}

void metrics_queue::close() {
    {
        const std::lock_guard lock{mutex_};
        closed_ = true;
    }
    changed_.notify_all();
}

bool metrics_queue::closed() const {
    const std::lock_guard lock{mutex_};
    return closed_;
}

metrics_queue::counts metrics_queue::count() const {
    const std::lock_guard lock{mutex_};
    return counts_;
}

std::string copy_text(const metrics_queue::batch& rows, std::chrono::seconds offset, bool ascii) {
    std::string out, names;
    out.reserve(rows.size() * usual_line);
    second_text second;
    const metrics_row* before = nullptr;  // neighbouring rows often have their names in common
    for (const auto& row : rows) {
        if (!before || before->tenant != row.tenant || before->type != row.type) {
            names.clear();
            append_text(names, *row.tenant, std::string::npos, ascii);
            names += '\t';
            append_text(names, *row.type, most_of_type, ascii);
            names += '\t';
            before = &row;
        }
        out += names;
        // Hundredths of a millisecond, rounded as numeric is.
        const auto hundredths = (std::uint64_t{row.took.count()} + 5) / 10;
        std::array<char, 64> numbers{};
        auto* end = put_number(numbers.data(), hundredths / 100);
        *end++ = '.';
        end = put_digits(end, hundredths % 100, 2);
        *end++ = '\t';
        end = put_number(end, std::min(row.rows, most_rows_told));
        *end++ = '\t';
        out.append(numbers.data(), end);
        second.append(out, row.ended + offset);
        out += '\n';
    }
    return out;
}

}  // namespace pgsidecar::ops
