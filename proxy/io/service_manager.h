// Who has started the program and watches over it, as far as there is somebody: systemd, or whoever
// speaks as it does. The program says in four words how it is (ready, reloading, stopping, status),
// which every service manager has; what only some have are the listening socket that is handed over
// and the sign of life. Without a manager all of it does nothing. One for the process, on main()'s
// thread; the environment is read when it is made.
//
//     take_listener() -> status()... -> ready() [-> reloading() -> ready()]... -> stopping()
//
// sd_notify(3), sd_listen_fds(3), sd_watchdog_enabled(3). Their protocol is documented as stable
// and for all to implement; this is it, instead of libsystemd, so that one program serves where
// there is no systemd, too, and loads no library for a datagram.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "proxy/io/packet_socket.h"

namespace pgsidecar::io {

class service_manager {
  public:
    enum class place : std::uint8_t { own, taken };

    service_manager();

    // Clients are served from here on. `taken`: from the process that served them before, which may
    // be the one that the manager has started.
    void ready(std::string_view status, place whose = place::own);
    // The configuration is being loaded anew; ready() follows.
    void reloading();
    // It ends, within that time if nothing hangs.
    void stopping(std::string_view status, std::chrono::milliseconds at_most);
    // For whoever asks the manager; one line. The same one twice is said once.
    void status(std::string_view text);

    // The manager ends a process that has not said so for that long; zero: it does not ask.
    [[nodiscard]] std::chrono::microseconds patience() const noexcept { return patience_; }
    void alive();

    // The socket on which clients already wait, once; empty: none was handed over. Throws
    // std::runtime_error: what was handed over is something else.
    [[nodiscard]] descriptor take_listener();

  private:
    enum class wait : std::uint8_t { no, yes };
    void say(const std::string& message, wait for_room);

    std::string address_;  // empty: nobody wants to know
    std::string status_;
    std::chrono::microseconds patience_{0};
    int first_ = -1;  // of the descriptors that were handed over
    int passed_ = 0;
};

}  // namespace pgsidecar::io
