// A ZIP file being written: beside its place until finish(), so that it is there whole or not at
// all, and only its user may read it. By minizip, zlib's own: four C files that any compiler builds
// beside zlib.
#pragma once
#include <filesystem>
#include <string>
#include <string_view>

namespace pgsidecar::io {

class zip_file {
  public:
    explicit zip_file(std::filesystem::path path);
    ~zip_file();
    zip_file(const zip_file&) = delete;
    zip_file& operator=(const zip_file&) = delete;

    // name: with / between folders. What goes wrong is told by finish().
    void add(const std::string& name, std::string_view bytes);
    // Puts the file in its place. Why it was not done; empty = it was.
    [[nodiscard]] std::string finish();

  private:
    void fail(const std::string& why);

    std::filesystem::path path_, beside_;
    void* zip_ = nullptr;
    std::string problem_;
};

}  // namespace pgsidecar::io
