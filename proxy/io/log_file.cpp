#include "proxy/io/log_file.h"

#include <cerrno>
#include <filesystem>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace pgsidecar::io {
namespace {

constexpr auto look_interval = std::chrono::seconds{1};

}  // namespace

log_file::log_file(std::string path) : path_{std::move(path)} {
    std::error_code ignored;  // what is missing in the end is said by open()
    std::filesystem::create_directories(std::filesystem::path{path_}.parent_path(), ignored);
    errno = 0;
    if (!open()) {
        const auto why = errno != 0 ? std::generic_category().message(errno) : "cannot be opened";
        throw std::runtime_error("log.file " + path_ + ": " + why);
    }
    looked_ = std::chrono::steady_clock::now();
}

log_file::~log_file() { close(); }

void log_file::look(std::chrono::steady_clock::time_point now) noexcept {
    if (now - looked_ < look_interval) return;
    looked_ = now;
    if (file_ != none && !replaced()) return;
    close();
    (void)open();  // if it fails, lines are lost until it can be opened: the next look tries again
}

}  // namespace pgsidecar::io
