#include "proxy/io/process.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>

#ifdef __linux__
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#endif

namespace pgsidecar::io {

namespace fs = std::filesystem;

bool runs(const ops::process_mark& process) {
    return process.id != 0 && mark_of(process.id) == process;
}

#ifdef __linux__
// /proc/ID/stat: the name, which may hold anything, ends at the last parenthesis; then field 3.
ops::process_mark mark_of(int id) {
    if (id <= 0) return {};
    std::ifstream in{"/proc/" + std::to_string(id) + "/stat"};
    const std::string text{std::istreambuf_iterator<char>{in}, {}};
    const auto name = text.rfind(')');
    if (name == std::string::npos) return {};
    std::istringstream fields{text.substr(name + 1)};
    std::string state, field;
    fields >> state;
    for (int number = 4; number <= 22; ++number) fields >> field;
    if (!fields || state == "Z" || state == "X") return {};
    return {id, field};
}

bool ask_to_end(const ops::process_mark& process) {
    return runs(process) && ::kill(process.id, SIGTERM) == 0;
}

int start_detached(const std::vector<std::string>& arguments, const std::string& log,
                   std::string& problem) {
    std::vector<char*> argv;
    std::vector<std::string> kept = arguments;
    argv.reserve(kept.size() + 1);
    for (auto& one : kept) argv.push_back(one.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    posix_spawn_file_actions_adddup2(&files, 1, 2);
    pid_t child = 0;
    const int error = posix_spawnp(&child, argv.front(), &files, &attributes, argv.data(), environ);
    posix_spawn_file_actions_destroy(&files);
    posix_spawnattr_destroy(&attributes);
    if (error == 0) return child;
    problem = "cannot be started: " + std::generic_category().message(error);
    return 0;
}

std::optional<int> exit_code_of(int child) {
    int status = 0;
    if (::waitpid(child, &status, WNOHANG) != child) return std::nullopt;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int run_command(const std::string& command, const std::string& log) {
    std::string problem;
    const int child = start_detached({"/bin/sh", "-c", command}, log, problem);
    if (child == 0) return 127;
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

std::string own_program() {
    std::error_code ignored;
    return fs::read_symlink("/proc/self/exe", ignored).string();
}
#else
ops::process_mark mark_of(int) { return {}; }
bool ask_to_end(const ops::process_mark&) { return false; }
int start_detached(const std::vector<std::string>&, const std::string&, std::string& problem) {
    problem = "cannot be started: deploy needs Linux";
    return 0;
}
std::optional<int> exit_code_of(int) { return std::nullopt; }
int run_command(const std::string&, const std::string&) { return 127; }
std::string own_program() { return "pgsidecar"; }
#endif

}  // namespace pgsidecar::io
