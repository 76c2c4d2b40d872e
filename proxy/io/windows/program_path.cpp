#include "proxy/io/windows/program_path.h"

#include <winsock2.h>
// After it.
#include <windows.h>

#include "proxy/io/windows/wide.h"

namespace pgsidecar::io {
namespace {

constexpr DWORD longest_path = 32'768;  // with the zero; Windows has none that are longer

}  // namespace

std::string program_path() {
    std::wstring path(longest_path, L'\0');
    path.resize(GetModuleFileNameW(nullptr, path.data(), longest_path));
    return narrow(path);
}

std::string absolute_path(const std::string& path) {
    std::wstring out(longest_path, L'\0');
    out.resize(GetFullPathNameW(widen(path).c_str(), longest_path, out.data(), nullptr));
    return out.empty() ? path : narrow(out);
}

bool work_in_folder_of(const std::string& file) {
    const auto path = absolute_path(file);
    const auto folder = path.substr(0, path.find_last_of("\\/") + 1);
    return SetCurrentDirectoryW(widen(folder).c_str()) != 0;
}

}  // namespace pgsidecar::io
