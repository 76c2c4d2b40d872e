#include "proxy/io/zip_file.h"

#include <minizip/zip.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <system_error>
#include <utility>

#include "proxy/io/replace_file.h"

namespace pgsidecar::io {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t part = 1U << 20U;

std::tm local_time() {
    const std::time_t now = std::time(nullptr);
    std::tm out{};
#ifdef _WIN32
    localtime_s(&out, &now);
#else
    localtime_r(&now, &out);
#endif
    return out;
}

}  // namespace

zip_file::zip_file(fs::path path) : path_{std::move(path)} {
    beside_ = path_;
    beside_ += ".part";
    // Made empty first, for its mode: minizip opens it as it is.
    problem_ = replace_file(beside_, {}, {});
    if (!problem_.empty()) return;
    zip_ = zipOpen64(beside_.string().c_str(), APPEND_STATUS_CREATE);
    if (zip_ == nullptr) fail("cannot be written: " + std::generic_category().message(errno));
}

zip_file::~zip_file() {
    if (zip_ != nullptr) zipClose(zip_, nullptr);
    std::error_code ignored;
    fs::remove(beside_, ignored);
}

void zip_file::fail(const std::string& why) {
    if (problem_.empty()) problem_ = why;
}

void zip_file::add(const std::string& name, std::string_view bytes) {
    if (zip_ == nullptr) return;
    const std::tm now = local_time();
    zip_fileinfo info{};
    info.tmz_date.tm_sec = static_cast<uInt>(now.tm_sec);
    info.tmz_date.tm_min = static_cast<uInt>(now.tm_min);
    info.tmz_date.tm_hour = static_cast<uInt>(now.tm_hour);
    info.tmz_date.tm_mday = static_cast<uInt>(now.tm_mday);
    info.tmz_date.tm_mon = static_cast<uInt>(now.tm_mon);
    info.tmz_date.tm_year = static_cast<uInt>(now.tm_year + 1900);
    int code = zipOpenNewFileInZip64(zip_, name.c_str(), &info, nullptr, 0, nullptr, 0, nullptr,
                                     Z_DEFLATED, Z_DEFAULT_COMPRESSION, 0);
    const bool open = code == ZIP_OK;
    while (code == ZIP_OK && !bytes.empty()) {
        const auto some = bytes.substr(0, part);
        code = zipWriteInFileInZip(zip_, some.data(), static_cast<unsigned>(some.size()));
        bytes.remove_prefix(some.size());
    }
    if (open && zipCloseFileInZip(zip_) != ZIP_OK) code = ZIP_ERRNO;
    if (code != ZIP_OK) fail("cannot be written: " + std::generic_category().message(errno));
}

std::string zip_file::finish() {
    if (zip_ != nullptr && zipClose(std::exchange(zip_, nullptr), nullptr) != ZIP_OK)
        fail("cannot be written: " + std::generic_category().message(errno));
    if (!problem_.empty()) return problem_;
    std::error_code error;
    fs::rename(beside_, path_, error);
    if (error) fail("cannot be put in its place: " + error.message());
    return problem_;
}

}  // namespace pgsidecar::io
