#include "proxy/io/log_file.h"

#include <winsock2.h>
// After it.
#include <windows.h>

#include <cerrno>

#include "proxy/io/windows/wide.h"

namespace pgsidecar::io {
namespace {

HANDLE handle_of(std::intptr_t file) noexcept { return reinterpret_cast<HANDLE>(file); }

// Others may read, write, rename and remove it while it is open.
HANDLE open_shared(const std::string& path, DWORD access, DWORD how) {
    return CreateFileW(widen(path).c_str(), access,
                       FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE, nullptr, how,
                       FILE_ATTRIBUTE_NORMAL, nullptr);
}

int errno_of(DWORD code) {
    switch (code) {
        case ERROR_FILE_NOT_FOUND:
        case ERROR_PATH_NOT_FOUND:
            return ENOENT;
        case ERROR_ACCESS_DENIED:
        case ERROR_SHARING_VIOLATION:
            return EACCES;
        case ERROR_DISK_FULL:
            return ENOSPC;
        default:
            return EIO;
    }
}

}  // namespace

bool log_file::open() noexcept {
    const HANDLE file = open_shared(path_, FILE_APPEND_DATA | FILE_READ_ATTRIBUTES, OPEN_ALWAYS);
    file_ = file == INVALID_HANDLE_VALUE ? none : reinterpret_cast<std::intptr_t>(file);
    if (file_ == none) errno = errno_of(GetLastError());
    return file_ != none;
}

void log_file::close() noexcept {
    if (file_ != none) CloseHandle(handle_of(file_));
    file_ = none;
}

bool log_file::replaced() const noexcept {
    const HANDLE other = open_shared(path_, FILE_READ_ATTRIBUTES, OPEN_EXISTING);
    if (other == INVALID_HANDLE_VALUE) return true;
    BY_HANDLE_FILE_INFORMATION ours{};
    BY_HANDLE_FILE_INFORMATION theirs{};
    const bool known = GetFileInformationByHandle(handle_of(file_), &ours) != 0 &&
                       GetFileInformationByHandle(other, &theirs) != 0;
    CloseHandle(other);
    return !known || ours.dwVolumeSerialNumber != theirs.dwVolumeSerialNumber ||
           ours.nFileIndexHigh != theirs.nFileIndexHigh ||
           ours.nFileIndexLow != theirs.nFileIndexLow;
}

void log_file::append(std::string_view lines) noexcept {
    look(std::chrono::steady_clock::now());
    while (file_ != none && !lines.empty()) {
        DWORD done = 0;
        if (WriteFile(handle_of(file_), lines.data(), static_cast<DWORD>(lines.size()), &done,
                      nullptr) == 0 ||
            done == 0)
            return;  // a full disk: there is nobody to tell
        lines.remove_prefix(done);
    }
}

}  // namespace pgsidecar::io
