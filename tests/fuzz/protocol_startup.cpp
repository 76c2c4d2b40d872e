// Start-up packets as a stranger sends them: from the length field on.
#include "protocol/framer.h"
#include "protocol/startup.h"
#include "tests/fuzz/protocol_support.h"

using namespace pgsidecar::protocol;
using fuzz::require;

namespace {

void check_packet(const frame& f, const startup_packet& got) {
    std::string written;
    write(written, got);
    require(written == f.whole);
    const auto* message = std::get_if<startup_message>(&got);
    if (message == nullptr) return;
    require(message->major == 3);
    for (const auto& [name, value] : message->parameters) {
        fuzz::touch(name);
        fuzz::touch(value);
        require(!name.empty() && message->find(name).has_value());
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const bytes in = fuzz::view(data, size);
    frame f;
    std::error_code error;
    const auto result = next_startup(in, f, error);
    require((result == peek_result::bad) == static_cast<bool>(error));
    if (result != peek_result::ok) return 0;
    require(f.whole.size() <= max_startup_length && f.whole.size() == f.body.size() + 4);
    startup_packet got;
    if (!parse(f.body, got)) check_packet(f, got);
    return 0;
}
