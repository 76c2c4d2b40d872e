// A question to every worker, answered on its own thread; the answers are brought together on
// main()'s. Dropped if the program ends first.
#pragma once
#include <boost/asio/post.hpp>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "proxy/io/server.h"

namespace pgsidecar::io {

template <class T>
void ask_workers(server& of, std::function<T(worker&)> question,
                 std::function<void(std::vector<T>)> then) {
    struct round {
        std::function<T(worker&)> question;
        std::function<void(std::vector<T>)> then;
        std::vector<T> answers;
        std::size_t awaited = 0;
    };
    const auto r = std::make_shared<round>();
    r->question = std::move(question);
    r->then = std::move(then);
    r->awaited = of.worker_count();
    for (unsigned i = 0; i < of.worker_count(); ++i) {
        auto& one = of.worker_of(i);
        one.post([&of, &one, r] {
            auto answer = std::make_shared<T>(r->question(one));
            boost::asio::post(of.context(), [r, answer] {
                r->answers.push_back(std::move(*answer));
                if (--r->awaited == 0) r->then(std::move(r->answers));
            });
        });
    }
}

}  // namespace pgsidecar::io
