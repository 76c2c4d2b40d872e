// The frontend's side of protocol 3.0, written for this test alone: it shares no code with what it
// tests. A `wire` is a non-blocking socket with what is still to be sent and what has been read; it
// is used by one thread. Frames are views into the buffer, dead after the next receive().
// Protocol 3.0, "Message Formats".
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pgsidecar::crossing {

using value = std::optional<std::string>;  // nullopt: NULL
using row = std::vector<value>;

// What one statement gave.
struct result {
    std::vector<row> rows;
    std::string tag;
    bool binary = false;
};

struct frame {
    char type = 0;
    std::string_view body;
};

// Reads a body; past its end everything is empty or zero.
class reader {
  public:
    explicit reader(std::string_view body) : body_{body} {}
    [[nodiscard]] std::int32_t i32() { return static_cast<std::int32_t>(number(4)); }
    [[nodiscard]] std::int16_t i16() { return static_cast<std::int16_t>(number(2)); }
    [[nodiscard]] std::string_view text();
    [[nodiscard]] std::string_view bytes(std::size_t n);
    [[nodiscard]] bool empty() const noexcept { return body_.empty(); }

  private:
    std::uint64_t number(std::size_t width);
    std::string_view body_;
};

// A big-endian number of 4 or 8 bytes, or its digits.
[[nodiscard]] std::int64_t number_of(const std::string& word, bool binary);
[[nodiscard]] row row_of(std::string_view data_row);
// A field of an ErrorResponse: 'C' its SQLSTATE, 'M' its message.
[[nodiscard]] std::string error_field(std::string_view body, char which);

class wire {
  public:
    using settings = std::vector<std::pair<std::string, std::string>>;

    wire() = default;
    wire(const wire&) = delete;
    wire& operator=(const wire&) = delete;
    ~wire() { close(); }

    // Begins to connect to 127.0.0.1. False: it could not.
    [[nodiscard]] bool connect(std::uint16_t port);
    void close();
    [[nodiscard]] int fd() const noexcept { return fd_; }

    void start_up(const settings& parameters);
    void query(std::string_view sql);
    void parse(std::string_view name, std::string_view sql);
    void bind(std::string_view portal, std::string_view statement, const std::vector<value>& values,
              bool binary_results);
    void describe(char what, std::string_view name) { named('D', what, name); }
    void close_object(char what, std::string_view name) { named('C', what, name); }
    void execute(std::string_view portal, std::int32_t most_rows);
    void sync() { finish(begin('S')); }
    void flush() { finish(begin('H')); }
    void terminate() { finish(begin('X')); }

    // Sends what it can. False: the connection is gone.
    [[nodiscard]] bool send_some();
    [[nodiscard]] bool unsent() const noexcept { return sent_ < out_.size(); }
    // Reads what there is. False: the connection is gone.
    [[nodiscard]] bool receive();
    // The next whole frame.
    [[nodiscard]] std::optional<frame> next();

  private:
    std::size_t begin(char type);
    void finish(std::size_t at);
    void named(char type, char what, std::string_view name);
    void text(std::string_view s);
    void i32(std::int32_t n);
    void i16(std::int16_t n);

    int fd_ = -1;
    std::string out_;
    std::size_t sent_ = 0;
    std::string in_;
    std::size_t taken_ = 0;
};

}  // namespace pgsidecar::crossing
