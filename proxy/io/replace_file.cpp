#include "proxy/io/replace_file.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <system_error>

#ifdef _WIN32
#include <io.h>
#include <process.h>
#else
#include <unistd.h>
#endif

namespace pgsidecar::io {
namespace {

namespace fs = std::filesystem;

std::string last_error(const char* what) {
    const int error = errno;
    return std::string{what} + ": " + std::generic_category().message(error);
}

#ifdef _WIN32
int open_new(const fs::path& path) {
    return _wopen(path.c_str(), _O_WRONLY | _O_CREAT | _O_EXCL | _O_BINARY, _S_IREAD | _S_IWRITE);
}
int process_id() { return _getpid(); }
int write_some(int fd, std::string_view bytes) {
    return _write(fd, bytes.data(), static_cast<unsigned>(bytes.size()));
}
bool to_disk(int fd) { return _commit(fd) == 0; }
void close_file(int fd) { _close(fd); }
// A new file inherits who may do what from its folder.
std::string make_like(int, const fs::path&) { return {}; }
void folder_to_disk(const fs::path&) {}
std::string into_free_place(const fs::path& from, const fs::path& to) {
    std::error_code error;
    if (fs::exists(to, error)) return "is there already";
    fs::rename(from, to, error);
    return error ? "cannot be renamed: " + error.message() : std::string{};
}
#else
int open_new(const fs::path& path) {
    return ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
}
int process_id() { return ::getpid(); }
ssize_t write_some(int fd, std::string_view bytes) {
    return ::write(fd, bytes.data(), bytes.size());
}
bool to_disk(int fd) { return ::fsync(fd) == 0; }
void close_file(int fd) { ::close(fd); }

std::string make_like(int fd, const fs::path& like) {
    struct stat as {
    }, is{};
    if (::stat(like.c_str(), &as) != 0 || ::fstat(fd, &is) != 0)
        return last_error("its mode and owner are not known");
    const bool other = as.st_uid != is.st_uid || as.st_gid != is.st_gid;
    if (other && ::fchown(fd, as.st_uid, as.st_gid) != 0)
        return last_error(
            "it cannot be given to its owner and group (run it as the owner, or as root)");
    if (::fchmod(fd, as.st_mode & 07777U) != 0) return last_error("its mode cannot be set");
    return {};
}

// Without this a renamed file may be the old one after a loss of power: nothing worse.
void folder_to_disk(const fs::path& folder) {
    const int fd =
        ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    to_disk(fd);
    ::close(fd);
}

std::string into_free_place(const fs::path& from, const fs::path& to) {
    if (::link(from.c_str(), to.c_str()) != 0)
        return errno == EEXIST ? "is there already" : last_error("cannot be made");
    ::unlink(from.c_str());
    return {};
}
#endif

std::string fill(int fd, std::string_view bytes, const fs::path& like) {
    while (!bytes.empty()) {
        const auto done = write_some(fd, bytes.substr(0, 1U << 20U));
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return last_error("cannot be written");
        bytes.remove_prefix(static_cast<std::size_t>(done));
    }
    if (!like.empty()) {
        if (std::string why = make_like(fd, like); !why.empty()) return why;
    }
    return to_disk(fd) ? std::string{} : last_error("cannot be written to the disk");
}

std::string place(const fs::path& path, std::string_view bytes, const fs::path& like,
                  bool replace) {
    fs::path beside = path.parent_path() / ".";
    beside += path.filename();
    beside += ".pgsidecar-" + std::to_string(process_id());
    std::error_code ignored;
    fs::remove(beside, ignored);  // of a process that had this number once
    const int fd = open_new(beside);
    if (fd < 0) return last_error("no file can be made beside it");
    std::string why = fill(fd, bytes, like);
    close_file(fd);
    if (why.empty() && replace) {
        std::error_code error;
        fs::rename(beside, path, error);
        if (error) why = "cannot be replaced: " + error.message();
    } else if (why.empty()) {
        why = into_free_place(beside, path);
    }
    if (!why.empty()) fs::remove(beside, ignored);
    folder_to_disk(path.parent_path());
    return why;
}

}  // namespace

whole_file read_whole(const fs::path& path, std::size_t at_most) {
    whole_file out;
    std::error_code error;
    const auto status = fs::status(path, error);
    if (!fs::exists(status)) {
        out.missing = status.type() == fs::file_type::not_found;
        out.why = out.missing ? "is not there" : "cannot be read: " + error.message();
        return out;
    }
    if (fs::is_directory(status)) {
        out.why = "is a folder";
        return out;
    }
    errno = 0;
    std::ifstream in{path, std::ios::binary};
    std::array<char, 65536> part;
    while (in && out.bytes.size() <= at_most) {
        in.read(part.data(), part.size());
        out.bytes.append(part.data(), static_cast<std::size_t>(in.gcount()));
    }
    if (out.bytes.size() > at_most)
        out.why = "is larger than " + std::to_string(at_most) + " bytes";
    else if (in.bad() || !in.eof())
        out.why = last_error("cannot be read");
    if (!out.why.empty()) out.bytes.clear();
    return out;
}

std::string replace_file(const fs::path& path, std::string_view bytes, const fs::path& like) {
    return place(path, bytes, like, true);
}

std::string write_new_file(const fs::path& path, std::string_view bytes, const fs::path& like) {
    return place(path, bytes, like, false);
}

std::string remove_file(const fs::path& path) {
    std::error_code error;
    fs::remove(path, error);
    return error ? "cannot be removed: " + error.message() : std::string{};
}

std::string sha256_hex(std::string_view bytes) {
    std::array<unsigned char, 32> hash{};
    unsigned size = 0;
    EVP_Digest(bytes.data(), bytes.size(), hash.data(), &size, EVP_sha256(), nullptr);
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    for (const auto byte : hash) out.append(1, digits[byte >> 4U]).append(1, digits[byte & 15U]);
    return out;
}

}  // namespace pgsidecar::io
