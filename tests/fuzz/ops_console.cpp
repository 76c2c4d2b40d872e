// A client of the admin console. The first byte says who it is and how its bytes are split, the
// rest is what it sends. Whatever comes: what it is told are whole messages, and what it may not do
// is not asked for.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "protocol/framer.h"
#include "proxy/ops/console_columns.h"
#include "proxy/ops/console_protocol.h"

using namespace pgsidecar;

namespace {

void require(bool holds) {
    if (!holds) std::abort();
}

ops::console_answer answer_to(const ops::console_command& c) {
    ops::console_answer a;
    a.table.columns = ops::columns_of(c);
    if (!a.table.columns.empty())
        for (int i = 0; i < 3; ++i) a.table.rows.emplace_back(a.table.columns.size(), "1");
    if (c.what == ops::console_command::kind::pause) a.error = {"55000", "no", {}, {}};
    return a;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::string_view bytes{reinterpret_cast<const char*>(data) + 1, size - 1};
    const auto role = (data[0] & 1U) != 0 ? ops::console_role::admin : ops::console_role::stats;
    const std::size_t step = 1 + (data[0] >> 1U);
    ops::console_protocol with{{"ann", "pgsidecar", "fuzzer", role, 7, "key4", "pgsidecar"}};
    std::string out, rest;
    with.greet(out);
    for (std::size_t at = 0; at < bytes.size() && !with.closed(); at += step) {
        rest += bytes.substr(at, step);
        for (bool more = true; more;) {
            const auto used = with.on_client(rest, out);
            require(used <= rest.size());
            rest.erase(0, used);
            more = with.waiting();
            const auto command = with.request();
            require(command.has_value() == more);
            if (!command) break;
            require(ops::may(role, *command));
            with.answer(answer_to(*command), out);
        }
    }
    for (std::string_view left = out; !left.empty();) {
        protocol::frame f;
        std::error_code error;
        require(protocol::next(left, f, error) == protocol::peek_result::ok);
        left.remove_prefix(f.whole.size());
    }
    return 0;
}
