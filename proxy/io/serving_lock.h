// What processes that share a takeover_socket hold of its lock file, so that however they come and
// go, by a crash too, at most one accepts clients, and one answers from its cache only while no
// other serves anybody. The system takes the locks of a process that ends; the file stays.
//
// Serving: shared by all that have clients; the one that is alone may hold it for itself, and only
// then is its cache on. Accepting: one process's.
#pragma once
#include <string>

#include "proxy/io/packet_socket.h"

namespace pgsidecar::io {

class serving_lock {
  public:
    explicit serving_lock(const std::string& path);  // throws std::runtime_error

    // None of them waits; false: another process stands against it, and what was held still is.
    [[nodiscard]] bool serve();        // with others; from serve_alone() always true
    [[nodiscard]] bool serve_alone();  // only while no other serves
    [[nodiscard]] bool accept();
    void stop_accepting();

  private:
    [[nodiscard]] bool set(int byte, short kind) noexcept;
    descriptor file_;
};

}  // namespace pgsidecar::io
