// A Unix socket that keeps messages apart and can pass a descriptor with one: what two processes of
// the program on one machine talk over. Both ends see who the other one is; only the same user and
// root are spoken to. On other systems than Linux nothing here is to be had.
#pragma once
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace pgsidecar::io {

class descriptor {
  public:
    descriptor() = default;
    explicit descriptor(int fd) noexcept : fd_{fd} {}
    ~descriptor() { reset(); }
    descriptor(descriptor&& other) noexcept : fd_{other.release()} {}
    descriptor& operator=(descriptor&& other) noexcept {
        reset(other.release());
        return *this;
    }
    [[nodiscard]] int get() const noexcept { return fd_; }
    [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
    void reset(int fd = -1) noexcept;
    [[nodiscard]] explicit operator bool() const noexcept { return fd_ >= 0; }

  private:
    int fd_ = -1;
};

struct packet {
    std::string text;  // empty: the other end is gone
    descriptor passed;
};

inline constexpr std::size_t packet_limit = 1024;  // bytes of a text

// Takes the path from whoever had it. Throws std::runtime_error.
[[nodiscard]] descriptor listen_for_packets(const std::string& path);
// Does not block. Nothing: nobody has connected, or somebody who may not.
[[nodiscard]] descriptor accept_packets(int listener);
// Nothing: nobody listens there. Throws std::runtime_error: it cannot be known, or the one who does
// is another user.
[[nodiscard]] descriptor connect_packets(const std::string& path);
[[nodiscard]] int peer_process(int fd);  // 0: unknown

// Does not block; false: it was not sent.
bool send_packet(int fd, std::string_view text, int pass = -1) noexcept;
// Does not block. Nothing: none has come.
[[nodiscard]] std::optional<packet> receive_packet(int fd);
// Waits. Nothing: none has come in that time.
[[nodiscard]] std::optional<packet> await_packet(int fd, std::chrono::milliseconds at_most);

}  // namespace pgsidecar::io
