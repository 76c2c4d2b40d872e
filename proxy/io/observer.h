// Gives whoever asks a copy of all that the workers have counted, and keeps the last hour. On
// main()'s thread: its io_context runs every call and every answer.
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <vector>

#include "proxy/ops/history.h"
#include "proxy/ops/observations.h"

namespace pgsidecar::io {

class server;

class observer {
  public:
    using snapshot = std::shared_ptr<const ops::observations>;
    using taker = std::function<void(const snapshot&)>;

    observer(boost::asio::io_context& context, server& of);
    observer(const observer&) = delete;
    observer& operator=(const observer&) = delete;

    void start();  // begins the history
    void stop();
    // A copy made now. Askers at the same moment share one. Dropped when the program ends first.
    void look(taker then);
    // Called with each sample of the history, every ops::history::interval; without statements
    // (observations::queries), which would be much to copy that often.
    void on_sample(taker then) { samplers_.push_back(std::move(then)); }
    [[nodiscard]] const ops::history& history() const noexcept { return history_; }

  private:
    void begin(bool whole, taker then);  // `whole`: with statements
    void wait();

    server& server_;
    boost::asio::steady_timer timer_;
    std::vector<taker> takers_;  // of the copy under way
    std::vector<taker> samplers_;
    ops::history history_;
};

}  // namespace pgsidecar::io
