// What the benchmark tools share: a logged-in socket, the cost of a process, a histogram.
//
// A connection is logged in by libpq, so that every authentication method works, and used raw
// from then on: the PGconn only owns the socket. Times are nanoseconds of the steady clock.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct pg_conn;

namespace pgsidecar::bench {

struct pg_conn_closer {
    void operator()(pg_conn* c) const noexcept;
};
using login = std::unique_ptr<pg_conn, pg_conn_closer>;

// Logs in without TLS; ends the program with the server's words when it is refused.
[[nodiscard]] login log_in(const std::string& conninfo);
[[nodiscard]] int socket_of(const login& l);

[[noreturn]] void die(const std::string& why);

// Sends all of `bytes` on a non-blocking socket, waiting for room.
void send_all(int fd, std::string_view bytes);
// Waits until the non-blocking socket has bytes, reads some; ends the program at end of stream.
[[nodiscard]] std::size_t receive_some(int fd, char* to, std::size_t room);

// Walks a stream of server frames handed over in pieces; only types are looked at.
class frame_counter {
  public:
    // Returns how many ReadyForQuery ended in these bytes; an ErrorResponse ends the program,
    // unless it is a tenant's refusal and these are awaited.
    std::uint32_t feed(std::string_view bytes);
    bool refusals_awaited = false;
    std::uint64_t rows = 0;      // DataRow frames begun
    std::uint64_t refusals = 0;  // ErrorResponse frames of a limit

  private:
    void take_error(std::string_view rest);

    std::array<char, 5> header_{};
    std::uint32_t have_ = 0;  // octets of the header present
    std::uint64_t skip_ = 0;  // octets of the body still to come
};

// Sends the bytes and reads until `count` ReadyForQuery came; returns all that was received.
std::string exchange(int fd, std::string_view bytes, std::uint32_t count);

// Log-linear: 64 steps to each power of two, so a value is known to 1.6 %.
class histogram {
  public:
    void add(std::uint64_t nanoseconds);
    [[nodiscard]] std::uint64_t quantile(double q) const;
    // [[microseconds, how many], ...], as JSON.
    [[nodiscard]] std::string json() const;
    void clear();

  private:
    [[nodiscard]] static std::uint64_t value_of(std::size_t slot);

    std::vector<std::uint32_t> counts_ = std::vector<std::uint32_t>(std::size_t{64} * 48);
    std::uint64_t total_ = 0;
};

[[nodiscard]] std::uint64_t now_ns();
// CPU time used so far by the process and its direct children, in microseconds; 0 if it is gone.
[[nodiscard]] std::uint64_t cpu_us_of(int pid);
[[nodiscard]] std::uint64_t own_cpu_us();
// Resident memory in bytes.
[[nodiscard]] std::uint64_t rss_of(int pid);
// Lets this process open `count` sockets, as far as the hard limit allows.
void allow_sockets(std::size_t count);

}  // namespace pgsidecar::bench
