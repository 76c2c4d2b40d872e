#include "proxy/io/machine.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string_view>
#include <thread>
#include <vector>

#include "proxy/io/replace_file.h"

#ifndef _WIN32
#include <sys/utsname.h>
#include <unistd.h>
#endif

namespace pgsidecar::io {
namespace {

namespace fs = std::filesystem;

#ifdef _WIN32
constexpr const char* unknown = "unknown: not asked on this system\n";
#else
// Of files in /proc, whose size is not known before.
std::string text_of(const fs::path& path) {
    std::ifstream in{path, std::ios::binary};
    std::ostringstream out;
    out << in.rdbuf();
    return out.str();
}

std::string lines_with(const std::string& text, std::initializer_list<std::string_view> starts) {
    std::istringstream in{text};
    std::string out;
    for (std::string line; std::getline(in, line);) {
        if (std::ranges::any_of(starts, [&](auto s) { return line.starts_with(s); }))
            out += line + "\n";
    }
    return out;
}

// `command` is a text of ours; what stands in it from outside is fit_unit_name().
std::string output_of(const std::string& command, std::size_t at_most) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> from{
        ::popen((command + " 2>&1 </dev/null").c_str(), "re"), ::pclose};
    std::string out;
    if (!from) return out;
    std::array<char, 65536> part;
    while (const auto size = std::fread(part.data(), 1, part.size(), from.get())) {
        out.append(part.data(), size);
        if (out.size() > 2 * at_most) out.erase(0, out.size() - at_most);
    }
    return std::string{ops::last_lines(out, at_most)};
}

bool has_program(const char* name) {
    std::error_code ignored;
    return fs::exists(std::string{"/usr/bin/"} + name, ignored) ||
           fs::exists(std::string{"/bin/"} + name, ignored);
}

std::string describe_process(const fs::path& folder, const ops::scrubber& scrub) {
    std::vector<std::string> arguments;
    std::istringstream in{text_of(folder / "cmdline")};
    for (std::string one; std::getline(in, one, '\0');) arguments.push_back(one);
    std::string out =
        "process " + folder.filename().string() + ": " + ops::command_line(arguments, scrub) + "\n";
    out += lines_with(text_of(folder / "status"),
                      {"State:", "Uid:", "VmRSS:", "VmHWM:", "Threads:", "voluntary"});
    out +=
        lines_with(text_of(folder / "limits"), {"Max open files", "Max locked", "Max processes"});
    std::error_code error;
    const auto open = std::distance(fs::directory_iterator{folder / "fd", error}, {});
    out += error ? "open files: unknown (another user's process)\n"
                 : "open files: " + std::to_string(open) + "\n";
    return out;
}
#endif

}  // namespace

bool fit_unit_name(const std::string& unit) noexcept {
    return !unit.empty() && unit.front() != '-' &&
           unit.find_first_not_of(
               "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
               "._-@*") == std::string::npos;
}

#ifdef _WIN32
std::string describe_machine() {
    return "Windows\nprocessors: " + std::to_string(std::thread::hardware_concurrency()) + "\n";
}
std::string describe_processes(const ops::scrubber&) { return unknown; }
std::string describe_service(const std::string&) { return unknown; }
std::string service_log(const std::string&, std::size_t) { return {}; }
#else
std::string describe_machine() {
    std::string out;
    utsname system{};
    if (::uname(&system) == 0)
        out += std::string{system.sysname} + " " + system.release + " " + system.version + " " +
               system.machine + "\n";
    out += lines_with(text_of("/etc/os-release"), {"PRETTY_NAME=", "VERSION_ID="});
    out += "processors: " + std::to_string(std::thread::hardware_concurrency()) + "\n";
    out += lines_with(text_of("/proc/meminfo"),
                      {"MemTotal:", "MemAvailable:", "SwapTotal:", "SwapFree:"});
    out += "load: " + text_of("/proc/loadavg");
    out += "up, seconds: " + text_of("/proc/uptime");
    for (const char* name : {"net/core/somaxconn", "net/ipv4/ip_local_port_range", "fs/file-max"})
        out += std::string{name} + ": " + text_of(std::string{"/proc/sys/"} + name);
    return out;
}

std::string describe_processes(const ops::scrubber& scrub) {
    std::string out;
    std::error_code error;
    for (fs::directory_iterator at{"/proc", error}, end; !error && at != end; at.increment(error)) {
        const auto name = at->path().filename().string();
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        if (name == std::to_string(::getpid())) continue;
        // The kernel keeps 15 characters of a name.
        if (!text_of(at->path() / "comm").starts_with("pgsidecar")) continue;
        out += describe_process(at->path(), scrub) + "\n";
    }
    return out.empty() ? "no process called pgsidecar runs, or /proc does not show it\n" : out;
}

std::string describe_service(const std::string& unit) {
    if (!has_program("systemctl")) return "unknown: there is no systemctl here\n";
    return output_of(
        "timeout 10 systemctl show --no-pager --property=Id,LoadState,ActiveState,"
        "SubState,UnitFileState,MainPID,NRestarts,ExecMainStatus,ExecMainStartTimestamp,"
        "ActiveEnterTimestamp,MemoryCurrent,TasksCurrent,LimitNOFILE '" +
            unit + ".service' '" + unit + "@*.service'",
        1U << 16U);
}

std::string service_log(const std::string& unit, std::size_t at_most) {
    if (!has_program("journalctl")) return {};
    return output_of("timeout 20 journalctl --quiet --no-pager --lines=5000 --unit='" + unit +
                         ".service' --unit='" + unit + "@*.service'",
                     at_most);
}
#endif

}  // namespace pgsidecar::io
