// What a Windows service tells the service manager of itself, as a pure state machine: events in,
// the report to send out. Knows nothing of Windows but the numbers of its protocol
// (SERVICE_STATUS).
//
//   start_pending --running()--> running --stop()--> stop_pending --ended()--> stopped
//        |  ^ progress()            |                   |  ^ progress()          ^
//        +--+                       +-------------------+--+---------------------+
//   Any state ends in stopped by ended(); after it nothing is reported any more: the service
//   manager may have taken the handle away.
//
// progress() counts the checkpoint up, so that the service manager sees that something happens; it
// does so no longer than the phase may last, and who hangs is seen to hang.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace pgsidecar::ops {

enum class service_phase : std::uint8_t { start_pending, running, stop_pending, stopped };

struct service_report {
    service_phase phase = service_phase::start_pending;
    bool takes_controls = false;  // stop, preshutdown, parameter change
    std::uint32_t checkpoint = 0;
    std::chrono::milliseconds wait_hint{};  // until the next report of this phase at the latest
    std::uint32_t exit_code = 0;            // the service's own; 0: it ended as it should
    bool operator==(const service_report&) const = default;
};

class service_state {
  public:
    using milliseconds = std::chrono::milliseconds;

    // A start longer than `start` is none; see progress().
    explicit service_state(milliseconds start) noexcept;

    // Each: what to report now, or nothing.
    [[nodiscard]] std::optional<service_report> running() noexcept;
    // It will take at most this long. A second word changes nothing.
    [[nodiscard]] std::optional<service_report> stop(milliseconds at_most) noexcept;
    // `passed` since the last call of anything here.
    [[nodiscard]] std::optional<service_report> progress(milliseconds passed) noexcept;
    [[nodiscard]] std::optional<service_report> ended(std::uint32_t exit_code) noexcept;

    [[nodiscard]] const service_report& now() const noexcept { return now_; }

    // Between two reports of a phase that is under way.
    static constexpr milliseconds step{1'000};
    static constexpr milliseconds hint{10'000};

  private:
    service_report now_;
    milliseconds left_;  // of the phase that is under way
};

// One argument of a command line as Windows programs take theirs apart, and a whole one. The first
// word is always quoted: an unquoted path with a blank would start another program.
[[nodiscard]] std::string quoted_argument(const std::string& word);
[[nodiscard]] std::string service_command_line(const std::vector<std::string>& words);

// Empty, or why Windows would take no service of that name (or we would not make one).
[[nodiscard]] std::string bad_service_name(const std::string& name);

}  // namespace pgsidecar::ops
