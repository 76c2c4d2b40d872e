#include "proxy/io/serving_lock.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>

namespace pgsidecar::io {
namespace {
constexpr int serving = 0;  // bytes of the file that are locked; it holds none
constexpr int accepting = 1;
}  // namespace

serving_lock::serving_lock(const std::string& path)
    : file_{::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR)} {
    if (!file_) throw std::runtime_error(path + ": " + std::generic_category().message(errno));
}

// Of the open file: unlike flock() it changes from shared to exclusive in one step or not at all.
bool serving_lock::set(int byte, short kind) noexcept {
    struct flock lock {};
    lock.l_type = kind;
    lock.l_whence = SEEK_SET;
    lock.l_start = byte;
    lock.l_len = 1;
    return ::fcntl(file_.get(), F_OFD_SETLK, &lock) == 0;
}

bool serving_lock::serve() { return set(serving, F_RDLCK); }
bool serving_lock::serve_alone() { return set(serving, F_WRLCK); }
bool serving_lock::accept() { return set(accepting, F_WRLCK); }
void serving_lock::stop_accepting() { (void)set(accepting, F_UNLCK); }

}  // namespace pgsidecar::io
