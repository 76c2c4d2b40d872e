#include "proxy/io/windows/wide.h"

#include <winsock2.h>
// After it: the older header of sockets must not come first.
#include <shellapi.h>
#include <windows.h>

#include <array>
#include <memory>

#include "proxy/io/command_line.h"

namespace pgsidecar::io {

std::wstring widen(std::string_view text) {
    const int length = static_cast<int>(text.size());
    const int size = MultiByteToWideChar(CP_UTF8, 0, text.data(), length, nullptr, 0);
    std::wstring out(static_cast<std::size_t>(size), L'\0');
    MultiByteToWideChar(CP_UTF8, 0, text.data(), length, out.data(), size);
    return out;
}

std::string narrow(std::wstring_view text) {
    const int length = static_cast<int>(text.size());
    const int size =
        WideCharToMultiByte(CP_UTF8, 0, text.data(), length, nullptr, 0, nullptr, nullptr);
    std::string out(static_cast<std::size_t>(size), '\0');
    WideCharToMultiByte(CP_UTF8, 0, text.data(), length, out.data(), size, nullptr, nullptr);
    return out;
}

std::string windows_error(unsigned long code) {
    std::array<wchar_t, 512> text{};
    const auto length =
        FormatMessageW(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, nullptr, code, 0,
                       text.data(), static_cast<DWORD>(text.size()), nullptr);
    std::string out = narrow({text.data(), length});
    while (!out.empty() && (out.back() == '\n' || out.back() == '\r' || out.back() == '.'))
        out.pop_back();
    const auto number = "error " + std::to_string(code);
    return out.empty() ? number : out + " (" + number + ")";
}

// Windows gives main() its arguments in a code page, in which a name may not be written.
command_line::command_line(int argc, char** argv) {
    SetConsoleOutputCP(CP_UTF8);
    int count = 0;
    const std::unique_ptr<wchar_t*, decltype(&LocalFree)> wide{
        CommandLineToArgvW(GetCommandLineW(), &count), &LocalFree};
    if (wide)
        for (int i = 0; i < count; ++i) owned_.push_back(narrow(wide.get()[i]));
    else
        owned_.assign(argv, argv + argc);
    for (const auto& word : owned_) words_.push_back(word.c_str());
}

}  // namespace pgsidecar::io
