#include "proxy/io/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace pgsidecar::io {
namespace {

constexpr mode_t rights = 0666;  // less the umask

}  // namespace

bool log_file::open() noexcept {
    file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, rights);
    return file_ != none;
}

void log_file::close() noexcept {
    if (file_ != none) ::close(static_cast<int>(file_));
    file_ = none;
}

bool log_file::replaced() const noexcept {
    struct stat ours {};
    struct stat theirs {};
    if (::fstat(static_cast<int>(file_), &ours) != 0) return true;
    if (::stat(path_.c_str(), &theirs) != 0) return true;
    return ours.st_dev != theirs.st_dev || ours.st_ino != theirs.st_ino;
}

void log_file::append(std::string_view lines) noexcept {
    look(std::chrono::steady_clock::now());
    while (file_ != none && !lines.empty()) {
        const auto done = ::write(static_cast<int>(file_), lines.data(), lines.size());
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return;  // a full disk: there is nobody to tell
        lines.remove_prefix(static_cast<std::size_t>(done));
    }
}

}  // namespace pgsidecar::io
