// A session between two peers that say anything, in any order. The input is a list of orders: a
// byte that says what happens, then for bytes of a peer their length and the bytes. Starts logged
// in, so that the depths are reached, unless the first byte is odd. Its second bit puts limits of
// tenants in force, the others say which; time then passes by orders. Required: no crash, nothing
// held beyond what must be whole, no wait without an end, messages in an order that a client can
// follow, and at the end no count left behind.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/core/world.h"
#include "tests/fuzz/core_support.h"

using namespace core_test;
using namespace pgsidecar::core::fuzz;
using pgsidecar::protocol::fuzz::require;

namespace {

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

// Of the first byte.
enum option : std::uint8_t {
    not_logged_in = 1,
    limited = 2,
    warns = 4,
    low_rate = 8,
    few_rows = 16,
    pages = 32,
    pages_refused = 64,
    crowded = 128,  // another request has the only place
};

policy::tenant_options limits_of(std::uint8_t options) {
    policy::tenant_options out;
    const auto on = policy::enforcement::enforce;
    const auto if_set = [&](std::uint8_t bit) {
        return (options & bit) != 0 ? on : policy::enforcement::off;
    };
    out.limits = (options & warns) != 0 ? policy::enforcement::warn : on;
    auto& t = out.tiers.front();
    t.query_timeout = std::chrono::milliseconds{100};
    t.query_wait_timeout = std::chrono::milliseconds{200};
    t.queries_per_minute = t.burst = 2;
    t.queries_per_minute_mode = if_set(low_rate);
    t.max_result_rows = 1;
    t.max_result_rows_mode = t.max_result_bytes_mode = if_set(few_rows);
    t.max_result_bytes = 100;
    t.max_page_size = t.default_page_size = 1;
    t.max_page_size_mode = if_set(pages);
    t.max_concurrent = 1;
    return out;
}

// The other one that wants the tenant's only place.
class neighbour {
  public:
    explicit neighbour(world& w)
        : directory_{w.tenants.get()}, tenant_{directory_->find({}, w.now)} {}
    // Comes or goes.
    void move(wired& l) {
        std::vector<policy::gate::ticket> admitted;
        if (std::exchange(here_, !here_))
            directory_->gate().leave(tenant_->lane, admitted);
        else
            directory_->gate().enter_at_once(tenant_->lane);
        for (const auto ticket : admitted)
            if (!l.closing) l.wake({.token = ticket, .admitted = true});
    }
    void go(wired& l) {
        if (here_) move(l);
    }

  private:
    policy::tenant_directory* directory_;
    std::shared_ptr<policy::tenant> tenant_;
    bool here_ = false;
};

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

// Orders that mean something only where limits are in force. True: this was one.
bool act_on_limits(wired& l, std::uint8_t order, std::size_t number, neighbour& other) {
    if (order / orders % 2 == 0) return false;
    switch (order % orders) {
        case 9:
            l.later(std::chrono::milliseconds{number * 4});
            return true;
        case 10:
            other.move(l);
            return true;
        default:
            return false;
    }
}

void play(wired& l, const std::uint8_t* data, std::size_t size, neighbour* other, listener* hears) {
    std::size_t at = 1;
    while (at + 2 < size && !l.closing) {
        const auto order = data[at];
        const auto number = std::size_t{data[at + 1]} << 4U | std::size_t{data[at + 2]} >> 4U;
        const auto length = std::min<std::size_t>(number, size - at - 3);
        at += 3;
        const auto bytes = pgsidecar::protocol::fuzz::view(data + at, speaks(order) ? length : 0);
        at += bytes.size();
        if (hears && order % orders < 4) hears->sent(bytes);
        if (hears && order % orders >= 4 && order % orders < 7) hears->answered(bytes);
        if (!other || !act_on_limits(l, order, number, *other)) act(l, order, bytes);
        // The last word may have to stand in the middle of a message that streams through.
        if (hears && !l.closing) hears->told(l.to_client());
        require(l.held() <= held_limit);
    }
}

// Once the cancels have been sent and nobody else has its place, a request that the server does not
// answer ends with time.
void await_end(wired& l, neighbour& other, bool enforced) {
    other.go(l);
    for (int i = 0; i < 4 && !l.closing; ++i) {
        l.cancel_sent();
        if (!l.closing) l.later(std::chrono::hours{1});
    }
    require(l.closing || !enforced || l.session().deadline() == core::limiter::never);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::uint8_t chosen = size > 0 ? data[0] : std::uint8_t{not_logged_in};
    world w;
    w.options.client_tls_offered = true;
    w.options.server_tls_optional = true;
    w.options.scram = &any_crypto;
    if ((chosen & limited) != 0) w.limit(limits_of(chosen));
    if ((chosen & limited) != 0 && (chosen & (pages | pages_refused)) != 0)
        w.rules->rules.front().unlimited = (chosen & pages_refused) != 0
                                               ? policy::unlimited_select::refuse
                                               : policy::unlimited_select::cut;
    std::vector<core::unsettled_commit> unsettled;
    {
        wired l{w};
        std::optional<neighbour> other;
        if (w.tenants) other.emplace(w);
        std::optional<listener> hears;
        if ((chosen & not_logged_in) == 0) {
            l.log_in();
            hears.emplace();
        }
        if (other && (chosen & crowded) != 0) other->move(l);
        play(l, data, size, other ? &*other : nullptr, hears ? &*hears : nullptr);
        if (other) await_end(l, *other, (chosen & warns) == 0);
        if (hears && !l.closing) hears->told(l.to_client());
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
