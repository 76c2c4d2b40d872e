#include "proxy/ops/metrics_queue.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <limits>
#include <span>
#include <string_view>
#include <utility>

namespace pgsidecar::ops {
namespace {

constexpr std::size_t most_of_type = 50;  // characters of query_type
constexpr std::uint32_t most_rows_told = 0x7fffffff;
constexpr std::size_t usual_line = 80;       // bytes
constexpr std::size_t most_of_numbers = 72;  // bytes of a line behind its names

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

char* put_all(char* at, std::span<const char> what) {
    std::memcpy(at, what.data(), what.size());
    return at + what.size();
}

// There is room for the 20 digits of any number.
char* put_number(char* at, std::uint64_t value) { return std::to_chars(at, at + 20, value).ptr; }

constexpr auto two_digits = [] {
    std::array<std::array<char, 2>, 100> out{};
    for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = {static_cast<char>('0' + i / 10), static_cast<char>('0' + i % 10)};
    return out;
}();

// Below 100.
char* put_two(char* at, std::uint64_t value) { return put_all(at, two_digits[value]); }

// "2026-02-28 23:59:58.123456"
class time_text {
  public:
    static constexpr std::size_t size = 26;

    char* put(char* at, std::chrono::system_clock::time_point when) {
        using namespace std::chrono;
        const auto exact = floor<microseconds>(when);
        if (exact != told_ || text_[0] == '\0') write(exact);
        return put_all(at, text_);
    }

  private:
    void write(std::chrono::sys_time<std::chrono::microseconds> exact) {
        using namespace std::chrono;
        told_ = exact;
        if (text_[0] == '\0' || exact < second_ || exact >= second_ + seconds{1})
            write_second(floor<seconds>(exact));
        const auto us = static_cast<std::uint64_t>((exact - second_).count());
        auto* at = put_two(text_.data() + size - 6, us / 10'000);
        put_two(put_two(at, us / 100 % 100), us % 100);
    }

    // Neighbouring rows have it in common.
    void write_second(std::chrono::sys_seconds of) {
        using namespace std::chrono;
        const auto day = floor<days>(of);
        const year_month_day date{day};
        const hh_mm_ss time{of - day};
        const auto year = static_cast<unsigned>(static_cast<int>(date.year()));
        auto* at = put_two(text_.data(), year / 100 % 100);
        const auto part = [&at](auto value, char behind) {
            at = put_two(at, static_cast<std::uint64_t>(value));
            *at++ = behind;
        };
        part(year % 100, '-');
        part(static_cast<unsigned>(date.month()), '-');
        part(static_cast<unsigned>(date.day()), ' ');
        part(time.hours().count(), ':');
        part(time.minutes().count(), ':');
        part(time.seconds().count(), '.');
        second_ = of;
    }

    std::array<char, size> text_{};
    std::chrono::sys_time<std::chrono::microseconds> told_{};
    std::chrono::sys_seconds second_{};
};

// The names of a batch as COPY has them, a tab behind each; made when a row needs it.
class name_texts {
  public:
    name_texts(const metrics_batch& of, std::size_t most, bool ascii)
        : names_{of.names()}, texts_(of.names().size()), most_{most}, ascii_{ascii} {}

    const std::string& operator[](std::uint32_t number) {
        auto& text = texts_[number];
        if (text.empty()) {
            append_text(text, *names_[number], most_, ascii_);
            text += '\t';
        }
        return text;
    }

  private:
    const std::vector<metrics_batch::name>& names_;
    std::vector<std::string> texts_;
    std::size_t most_;
    bool ascii_;
};

}  // namespace

std::uint32_t metrics_batch::listed(name of) {
    constexpr std::size_t step = 256;  // in small steps: most batches have few
    if (names_.size() == names_.capacity()) names_.reserve(names_.size() + step);
    names_.push_back(std::move(of));
    return static_cast<std::uint32_t>(names_.size() - 1);
}

void metrics_batch::append(const metrics_batch& other, std::size_t first, std::size_t count) {
    constexpr auto unknown = std::numeric_limits<std::uint32_t>::max();
    std::vector<std::uint32_t> here(other.names_.size(), unknown);
    const auto number = [&](std::uint32_t there) {
        if (here[there] == unknown)
            here[there] = number_of(other.names_[there], *other.names_[there]);
        return here[there];
    };
    for (auto row : std::span{other.rows_}.subspan(first, count)) {
        row.tenant = number(row.tenant);
        row.type = number(row.type);
        put(row);
    }
}

void metrics_batch::clear() noexcept {
    rows_.clear();
    names_.clear();
}

void metrics_queue::add(batch& rows) {
    if (rows.empty()) return;
    {
        const std::lock_guard lock{mutex_};
        const auto taken = std::min(rows.size(), most_ - std::min(most_, counts_.waiting));
        counts_.dropped += rows.size() - taken;
        counts_.waiting += taken;
        if (rows.full() && taken == rows.size()) {
            batches_.push_back(std::exchange(rows, {}));
        } else {
            join(rows, taken);
            rows.clear();
        }
    }
    changed_.notify_one();
}

void metrics_queue::join(const batch& rows, std::size_t count) {
    for (std::size_t at = 0; at < count;) {
        const bool fits = batches_.size() > (taken_ ? 1U : 0U) && !batches_.back().full();
        auto& last = fits ? batches_.back() : batches_.emplace_back();
        const auto some = std::min(count - at, batch::usual_rows - last.size());
        last.append(rows, at, some);
        at += some;
    }
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

std::string copy_text(const metrics_batch& batch, std::chrono::seconds offset, bool ascii) {
    name_texts tenants{batch, std::string::npos, ascii}, types{batch, most_of_type, ascii};
    time_text time;
    std::string out(batch.size() * usual_line, '\0');
    std::size_t written = 0;
    for (const auto& row : batch.rows()) {
        const auto& tenant = tenants[row.tenant];
        const auto& type = types[row.type];
        const auto most = written + tenant.size() + type.size() + most_of_numbers;
        if (out.size() < most) out.resize(most + out.size() / 2);
        auto* at = put_all(out.data() + written, tenant);
        at = put_all(at, type);
        // Hundredths of a millisecond, rounded as numeric is.
        const auto hundredths = (std::uint64_t{row.took.count()} + 5) / 10;
        at = put_number(at, hundredths / 100);
        *at++ = '.';
        at = put_two(at, hundredths % 100);
        *at++ = '\t';
        at = put_number(at, std::min(row.rows, most_rows_told));
        *at++ = '\t';
        at = time.put(at, row.ended + offset);
        *at++ = '\n';
        written = static_cast<std::size_t>(at - out.data());
    }
    out.resize(written);
    return out;
}

}  // namespace pgsidecar::ops
