#include "proxy/ops/metrics_queue.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>
#include <utility>

namespace pgsidecar::ops {
namespace {

constexpr std::size_t most_of_type = 50;  // characters of query_type
constexpr std::uint32_t most_rows_told = 0x7fffffff;

// PostgreSQL 15, COPY, "Text Format".
void append_text(std::string& out, std::string_view text, std::size_t most, bool ascii) {
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

template <class... Values>
void append_format(std::string& out, const char* format, Values... values) {
    std::array<char, 64> text{};
    const int size = std::snprintf(text.data(), text.size(), format, values...);
    if (size > 0) out.append(text.data(), static_cast<std::size_t>(size));
}

void append_timestamp(std::string& out, std::chrono::system_clock::time_point when) {
    using namespace std::chrono;
    const auto exact = floor<microseconds>(when);
    const auto day = floor<days>(exact);
    const year_month_day date{day};
    const hh_mm_ss time{exact - day};
    append_format(out, "%04d-%02u-%02u %02d:%02d:%02d.%06d", static_cast<int>(date.year()),
                  static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                  static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                  static_cast<int>(time.seconds().count()),
                  static_cast<int>(time.subseconds().count()));
}

}  // namespace

void metrics_queue::add(batch&& rows) {
    if (rows.empty()) return;
    {
        const std::lock_guard lock{mutex_};
        const auto room = most_ - std::min(most_, counts_.waiting);
        if (rows.size() > room) {
            counts_.dropped += rows.size() - room;
            rows.resize(room);
        }
        if (rows.empty()) return;
        counts_.waiting += rows.size();
        batches_.push_back(std::move(rows));
    }
    changed_.notify_one();
}

const metrics_queue::batch* metrics_queue::front(std::chrono::milliseconds patience) {
    std::unique_lock lock{mutex_};
    changed_.wait_for(lock, patience, [this] { return closed_ || !batches_.empty(); });
    return batches_.empty() ? nullptr : &batches_.front();  // a deque: others are added behind it
}

void metrics_queue::done(bool written) {
    const std::lock_guard lock{mutex_};
    const auto size = batches_.front().size();
    counts_.waiting -= size;
    (written ? counts_.written : counts_.dropped) += size;
    batches_.pop_front();
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
    std::string out;
    for (const auto& row : rows) {
        append_text(out, *row.tenant, std::string::npos, ascii);
        out += '\t';
        append_text(out, *row.type, most_of_type, ascii);
        // Hundredths of a millisecond, rounded as numeric is.
        const auto hundredths = (std::uint64_t{row.took.count()} + 5) / 10;
        append_format(out, "\t%llu.%02llu\t%u\t", static_cast<unsigned long long>(hundredths / 100),
                      static_cast<unsigned long long>(hundredths % 100),
                      std::min(row.rows, most_rows_told));
        append_timestamp(out, row.ended + offset);
        out += '\n';
    }
    return out;
}

}  // namespace pgsidecar::ops
