// A stream of frames. The first byte seeds how the stream is cut into reads, and its highest bit
// says whether a start-up packet comes first. However it is cut, the frames are the same.
#include "protocol/framer.h"

#include <vector>

#include "tests/fuzz/protocol_support.h"

using namespace pgsidecar::protocol;
using fuzz::require;

namespace {

struct outcome {
    std::vector<std::string> frames;
    std::string left;
    int error = 0;
    bool operator==(const outcome&) const = default;
};

class session {
  public:
    explicit session(bool startup) : startup_{startup} {}

    // As a read loop does: append, take what is complete, keep the rest.
    void feed(bytes more) {
        out_.left.append(more);
        while (out_.error == 0 && take()) {
        }
    }

    [[nodiscard]] const outcome& result() const { return out_; }

  private:
    bool take() {
        // A vector of just that size: a read beyond what was fed is seen.
        const std::vector<char> exact{out_.left.begin(), out_.left.end()};
        const bytes in{exact.data(), exact.size()};
        frame f;
        std::error_code error;
        const auto result = startup_ ? next_startup(in, f, error) : next(in, f, error);
        require((result == peek_result::bad) == static_cast<bool>(error));
        if (result == peek_result::bad) out_.error = error.value();
        if (result != peek_result::ok) return false;
        require(f.whole.data() == in.data() && f.whole.size() >= f.body.size() + 4);
        require(f.whole.data() + f.whole.size() == f.body.data() + f.body.size());
        require(startup_ || f.type == in.front());
        out_.frames.emplace_back(f.whole);
        out_.left.erase(0, f.whole.size());
        startup_ = false;
        return true;
    }

    bool startup_;
    outcome out_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0 || size > 4096) return 0;
    const bool startup = (data[0] & 0x80) != 0;
    std::uint32_t seed = data[0] & 0x7fU;
    const bytes stream = fuzz::view(data, size).substr(1);

    session whole{startup};
    whole.feed(stream);

    session cut{startup};
    for (bytes rest = stream; !rest.empty();) {
        seed = seed * 1103515245U + 12345U;
        const auto step = std::min<std::size_t>(1 + (seed >> 16) % 64, rest.size());
        cut.feed(rest.substr(0, step));
        rest.remove_prefix(step);
    }
    require(whole.result() == cut.result());

    std::string joined;
    for (const auto& frame : whole.result().frames) joined += frame;
    require(joined + whole.result().left == stream);
    return 0;
}
