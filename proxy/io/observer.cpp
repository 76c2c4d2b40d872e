#include "proxy/io/observer.h"

#include <utility>

#include "proxy/io/ask_workers.h"

namespace pgsidecar::io {

observer::observer(boost::asio::io_context& context, server& of) : server_{of}, timer_{context} {}

void observer::start() {
    begin(false, [this](const snapshot& first) { history_.add(*first); });
    wait();
}

void observer::stop() { timer_.cancel(); }

void observer::wait() {
    timer_.expires_after(ops::history::interval);
    timer_.async_wait([this](boost::system::error_code error) {
        if (error) return;
        begin(false, [this](const snapshot& s) {
            history_.add(*s);
            for (const auto& take : samplers_) take(s);
        });
        wait();
    });
}

void observer::look(taker then) {
    takers_.push_back(std::move(then));
    if (takers_.size() > 1) return;  // asked already
    begin(true, [this](const snapshot& now) {
        for (const auto& take : std::exchange(takers_, {})) take(now);
    });
}

// Copies of every worker, added up.
void observer::begin(bool whole, taker then) {
    using copy = std::shared_ptr<const ops::observations>;
    ask_workers<copy>(
        server_,
        [whole](worker& from) -> copy {
            const auto& counted = from.collector();
            return std::make_shared<ops::observations>(whole ? counted.totals()
                                                             : counted.summary());
        },
        [this, then = std::move(then)](const std::vector<copy>& copies) {
            auto sum = std::make_shared<ops::observations>();
            for (const auto& each : copies) sum->merge(*each);
            server_.add_to(*sum);
            then(sum);
        });
}

}  // namespace pgsidecar::io
