// What the fuzzers of a session share: the bound of what it may hold, and a client that counts.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <system_error>

#include "protocol/framer.h"
#include "tests/fuzz/protocol_support.h"

namespace pgsidecar::core::fuzz {

// The longest Query or Parse that is looked at whole, and some.
constexpr std::size_t held_limit = (1U << 20) + (256U << 10);

// Calls `f` with each whole message at the front of `in`, and removes it there. False: it is none.
template <class F>
bool take_messages(std::string& in, F f) {
    std::string_view rest = in;
    bool good = true;
    while (good && !rest.empty()) {
        protocol::frame frame;
        std::error_code error;
        const auto next = protocol::next(rest, frame, error);
        good = next != protocol::peek_result::bad;
        if (next != protocol::peek_result::ok) break;
        f(frame);
        rest.remove_prefix(frame.whole.size());
    }
    in.erase(0, in.size() - rest.size());
    return good;
}

// What a client that is logged in is sent: whole messages, one ReadyForQuery for each request. What
// the server says of itself (anything) is passed on.
class listener {
  public:
    void sent(std::string_view bytes) { requests_ += count(from_client_, bytes, "QSF"); }
    void answered(std::string_view bytes) { allowed_ += count(from_server_, bytes, "Z"); }
    void told(std::string_view bytes) {
        told_ += count(to_client_, bytes, "Z");
        // A long one may be refused before all of it is here.
        const auto& begun = from_client_;
        const std::size_t more = !begun.empty() && (begun[0] == 'Q' || begun[0] == 'F') ? 1 : 0;
        protocol::fuzz::require(!broken_ && told_ <= requests_ + more + allowed_);
    }

  private:
    std::size_t count(std::string& rest, std::string_view bytes, std::string_view types) {
        std::size_t found = 0;
        rest.append(bytes);
        const bool good = take_messages(rest, [&](const protocol::frame& f) {
            if (types.find(f.type) != std::string_view::npos) ++found;
        });
        if (!good && &rest == &to_client_) broken_ = true;
        if (!good) rest.clear();
        return found;
    }
    std::string from_client_, from_server_, to_client_;
    std::size_t requests_ = 0, allowed_ = 0, told_ = 0;
    bool broken_ = false;
};

}  // namespace pgsidecar::core::fuzz
