// Windows has no socket that keeps messages apart and passes descriptors: nothing is handed over.
// check() says so of `takeover_socket`, so that nobody comes here.
#include "proxy/io/packet_socket.h"

#include <stdexcept>

#include "proxy/io/serving_lock.h"

namespace pgsidecar::io {
namespace {

[[noreturn]] void fail() {
    throw std::runtime_error("takeover_socket: Windows has no way to hand over");
}

}  // namespace

void descriptor::reset(int fd) noexcept { fd_ = fd; }
descriptor listen_for_packets(const std::string&) { fail(); }
descriptor accept_packets(int) { return {}; }
descriptor connect_packets(const std::string&) { fail(); }
int peer_process(int) { return 0; }
bool send_packet(int, std::string_view, int) noexcept { return false; }
std::optional<packet> receive_packet(int) { return std::nullopt; }
std::optional<packet> await_packet(int, std::chrono::milliseconds) { return std::nullopt; }

serving_lock::serving_lock(const std::string&) { fail(); }
bool serving_lock::set(int, short) noexcept { return false; }
bool serving_lock::serve() { return set(0, 0); }
bool serving_lock::serve_alone() { return set(0, 0); }
bool serving_lock::accept() { return set(0, 0); }
void serving_lock::stop_accepting() {}

}  // namespace pgsidecar::io
