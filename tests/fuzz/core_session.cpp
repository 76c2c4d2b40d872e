// A session between two peers that say anything, in any order. The input is a list of orders: a
// byte that says what happens, then for bytes of a peer their length and the bytes. Starts logged
// in, so that the depths are reached, unless the first byte is odd. Required: no crash, nothing
// held beyond what must be whole, and at the end no count left behind.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>

#include "tests/core/world.h"
#include "tests/fuzz/protocol_support.h"

using namespace core_test;
using pgsidecar::protocol::fuzz::require;

namespace {

// The longest Query or Parse that is looked at whole, and some.
constexpr std::size_t held_limit = (1U << 20) + (256U << 10);

// Stands for cryptography: what it gives need not be secret, and any input reaches it.
std::string digest(std::string_view text) {
    std::string out(32, '#');
    text.copy(out.data(), out.size());
    return out;
}
std::string keyed(std::string_view key, std::string_view) { return digest(key); }
std::string derived(std::string_view password, std::string_view, std::uint32_t) {
    return digest(password);
}
bool equal(std::string_view a, std::string_view b) { return a == b; }
constexpr core::crypto any_crypto{digest, keyed, derived, digest, equal};

constexpr std::uint8_t orders = 14;
bool speaks(std::uint8_t order) { return order % orders < 7 || order % orders == 12; }

void act(wired& l, std::uint8_t order, std::string_view bytes) {
    switch (order % orders) {
        case 0:
        case 1:
        case 2:
        case 3:
            return l.client(bytes);
        case 4:
        case 5:
        case 6:
            return l.server(bytes);
        case 7:
            l.server_tls = order / orders % 2 != 0;
            return l.connected();
        case 8:
            return (void)l.cancel();
        case 9:
            return l.cancel_sent();
        case 10:
            return l.database_released();
        case 12:
            return l.credentials({!bytes.empty(), std::string{bytes}, "ours", "theirs",
                                  std::string(core::credentials::random_size, 'r')});
        case 13:
            return l.client_tls();
        default:
            return l.shutdown();
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    world w;
    w.options.client_tls_offered = true;
    w.options.server_tls_optional = true;
    w.options.scram = &any_crypto;
    std::vector<core::unsettled_commit> unsettled;
    {
        wired l{w};
        std::size_t at = 0;
        if (size > 0 && data[at++] % 2 == 0) l.log_in();
        while (at + 2 < size && !l.closing) {
            const auto order = data[at];
            const auto length = std::min<std::size_t>(
                std::size_t{data[at + 1]} << 4U | std::size_t{data[at + 2]} >> 4U, size - at - 3);
            at += 3;
            const auto bytes =
                pgsidecar::protocol::fuzz::view(data + at, speaks(order) ? length : 0);
            at += bytes.size();
            act(l, order, bytes);
            require(l.held() <= held_limit);
        }
        if (!l.closing) {
            size % 2 == 0 ? l.client_gone() : l.server_gone();
        }
        unsettled = l.unsettled;
        require(l.session().closed());
    }
    const auto left = w.unrest(unsettled);
    if (!left.empty()) std::fputs(left.c_str(), stderr);
    require(left.empty());
    return 0;
}
