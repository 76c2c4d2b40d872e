// Listens to the server frames of one answer on their way to the client and keeps them as the body
// of an entry, or gives up: on what must not be stored (errors, notices, notifications, parameter
// changes, suspended portals, COPY, anything unknown) and on what is too large.
//
// start() -> add() for each frame, while it returns true -> finish() -> make_entry() -> reset().
// Owned by a session or lent by its worker; between reset() and start() it holds next to nothing.
// PostgreSQL protocol, 55.7 Message Formats.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace pgsidecar::cache {

class recorder {
  public:
    // A new answer, of at most max_bytes in all.
    void start(std::size_t max_bytes);
    // One whole frame: type byte, length, body. False once and for ever (until start) when the
    // answer can no longer be stored; the memory is then already free.
    bool add(std::string_view frame_whole);
    // The same verdict for a reason of the caller's: a frame too large to be held whole, a cancel.
    void give_up() noexcept;
    // The body, valid until the next start(), give_up() or reset(). Nothing when recording has
    // failed or the answer is not complete: each command's rows must add up to what its tag says.
    [[nodiscard]] std::optional<std::string_view> finish() const noexcept;
    void reset() noexcept;

    [[nodiscard]] bool recording() const noexcept { return recording_; }
    // DataRows so far.
    [[nodiscard]] std::uint32_t rows() const noexcept { return rows_; }

  private:
    [[nodiscard]] bool accept(char type, std::string_view content) noexcept;
    [[nodiscard]] bool close_command(std::string_view content) noexcept;

    std::string body_;
    std::size_t max_bytes_ = 0;
    std::uint32_t rows_ = 0;
    std::uint32_t command_rows_ = 0;  // DataRows since the last CommandComplete
    std::uint32_t commands_ = 0;
    bool recording_ = false;
    bool open_ = false;   // frames of a command that has not completed
    bool ready_ = false;  // ReadyForQuery seen: nothing may follow
};

}  // namespace pgsidecar::cache
