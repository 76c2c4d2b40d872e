#include "proxy/io/observer.h"

#include <boost/asio/post.hpp>
#include <utility>

#include "proxy/io/server.h"

namespace pgsidecar::io {

// One collection of copies: from every worker, back on main()'s thread.
struct observer::round {
    bool whole = true;  // with statements
    std::size_t awaited = 0;
    std::shared_ptr<ops::observations> sum = std::make_shared<ops::observations>();
    std::vector<taker> takers;
};

observer::observer(boost::asio::io_context& context, server& of)
    : context_{context}, server_{of}, timer_{context} {}

observer::~observer() = default;

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
    if (asked_ != nullptr) {
        asked_->takers.push_back(std::move(then));
        return;
    }
    asked_ = begin(true, std::move(then));
}

std::shared_ptr<observer::round> observer::begin(bool whole, taker then) {
    auto r = std::make_shared<round>();
    r->whole = whole;
    r->takers.push_back(std::move(then));
    r->awaited = server_.worker_count();
    for (unsigned i = 0; i < r->awaited; ++i) {
        auto& from = server_.worker_of(i);
        from.post([this, r, &from] {
            const auto& counted = from.collector();
            auto copy = std::make_shared<ops::observations>(r->whole ? counted.totals()
                                                                     : counted.summary());
            boost::asio::post(context_, [this, r, copy] { take(r, *copy); });
        });
    }
    return r;
}

void observer::take(const std::shared_ptr<round>& r, const ops::observations& copy) {
    r->sum->merge(copy);
    if (--r->awaited > 0) return;
    if (asked_ == r) asked_ = nullptr;
    server_.add_to(*r->sum);
    for (const auto& then : r->takers) then(r->sum);
}

}  // namespace pgsidecar::io
