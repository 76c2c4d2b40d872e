// Keeps the cache off while another process serves clients of the same server: a write through one
// is not seen by the other's cache. On main()'s thread.
//
// Constructed, the cache is off. begin() turns it on at once if nobody else serves, else as soon as
// nobody does. suspend() before another process is let in, begin() again when its place is taken
// back.
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <memory>

#include "config/settings.h"
#include "proxy/core/databases.h"
#include "proxy/io/catalogs.h"
#include "proxy/io/serving_lock.h"
#include "proxy/io/transaction_wait.h"

namespace pgsidecar::io {

class cache_guard {
  public:
    cache_guard(boost::asio::io_context& context, serving_lock& lock, core::databases& all,
                io::catalogs& reader, const config::settings& settings);

    // `alone`: the lock is held for this process alone, and nobody has served since it began.
    void begin(bool alone);
    // No session begins to look anything up after this; one that is doing so may still finish.
    void suspend();
    // Shares the lock. To be called when no session is in the middle of a look-up.
    void let_others_serve();
    void look_now();  // another process may have gone
    void stop();

  private:
    void look();
    void resume();

    boost::asio::io_context& context_;
    serving_lock& lock_;
    core::databases& databases_;
    io::catalogs& catalogs_;
    const config::settings& settings_;
    boost::asio::steady_timer timer_;
    std::unique_ptr<transaction_wait> wait_;
    bool wanted_ = false;     // begin() was called last
    std::uint64_t turn_ = 0;  // what an earlier wait has to say does not count
};

}  // namespace pgsidecar::io
