// Reloads the configuration when one of its files has changed. Looks instead of being told, so that
// it is the same on every system and file system, and a file that is replaced is no other case than
// one that is written. A change is loaded at the first look that finds the files as the look before
// did: an editor may still be writing. On main()'s thread.
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>

#include "proxy/io/configuration.h"

namespace pgsidecar::io {

class config_watch {
  public:
    config_watch(boost::asio::io_context& context, configuration& of) : of_{of}, timer_{context} {}
    void start();
    void stop() { timer_.cancel(); }

  private:
    struct file_state {
        bool there = false;
        std::uintmax_t size = 0;
        std::filesystem::file_time_type written{};
        bool operator==(const file_state&) const = default;
    };
    using look = std::map<std::string, file_state>;
    [[nodiscard]] look look_now() const;
    void wait();
    void compare();

    configuration& of_;
    boost::asio::steady_timer timer_;
    look last_;
    bool differs_ = false;
};

}  // namespace pgsidecar::io
