#include "config/files.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <vector>

#include "config/load.h"
#include "config/values.h"
#include "protocol/ascii.h"

namespace pgsidecar::config {
namespace {

namespace fs = std::filesystem;

// Names in the folder that are `name` in some case. A folder that cannot be listed may still hold
// the very name.
std::vector<std::string> names_like(const fs::path& folder, const std::string& name) {
    std::vector<std::string> out;
    std::error_code error;
    for (fs::directory_iterator at{folder.empty() ? "." : folder, error}, end; !error && at != end;
         at.increment(error)) {
        std::string one = at->path().filename().string();
        if (protocol::same_in_any_case(one, name)) out.push_back(std::move(one));
    }
    if (out.empty() && fs::exists(folder / name, error)) out.push_back(name);
    std::ranges::sort(out);
    return out;
}

}  // namespace

file_text read_file(const std::string& path) {
    errno = 0;
    std::ifstream in{fs::path{path}, std::ios::binary};
    file_text out;
    if (in) {
        out.text.resize(max_file_size + 1);  // one more than allowed, so that too much is noticed
        in.read(out.text.data(), static_cast<std::streamsize>(out.text.size()));
        out.text.resize(static_cast<std::size_t>(in.gcount()));
    }
    if ((in.bad() || !in.eof()) && out.text.size() <= max_file_size) {
        const int error = errno != 0 ? errno : EIO;
        out.text.clear();
        out.why = "cannot be read: " + std::generic_category().message(error);
    }
    return out;
}

overlay_file find_overlay(const std::string& main_file, const environment& where) {
    overlay_file out;
    if (where.name.empty()) return out;
    out.why = bad_environment(where.name);
    if (!out.why.empty()) return out;
    const fs::path main{main_file};
    const fs::path folder = main.parent_path();
    const std::string_view known = known_environment(where.name);
    const std::string exact = overlay_name(main.filename().string(), where.name);
    const std::string usual =
        overlay_name(main.filename().string(), known.empty() ? where.name : known);
    const std::vector<std::string> found = names_like(folder, usual);
    for (const std::string& name : {exact, usual}) {
        if (!out.path.empty() || !std::ranges::binary_search(found, name)) continue;
        out.path = (folder / name).string();
    }
    if (out.path.empty() && found.size() == 1) out.path = (folder / found.front()).string();
    if (out.path.empty() && found.size() > 1) {
        out.why = show(where.name) + " may mean " + found[0] + " or " + found[1];
    } else if (out.path.empty() && known.empty()) {
        out.why = show(where.name) + " is none of " + environment_list() +
                  ", and there is no file " + usual;
    } else if (out.path.empty()) {
        out.note = "the environment is " + std::string{known} + "; there is no file " + usual +
                   ", so " + main.filename().string() + " stands alone";
    } else {
        out.note = "the environment is " + std::string{known.empty() ? where.name : known} +
                   "; its file is " + out.path;
    }
    return out;
}

const file_text& read_file(const std::string& path, file_memory& memory) {
    const auto [at, fresh] = memory.texts.try_emplace(path);
    if (fresh) at->second = read_file(path);
    return at->second;
}

const overlay_file& find_overlay(const std::string& main_file, const environment& where,
                                 file_memory& memory) {
    if (!memory.overlay) memory.overlay = find_overlay(main_file, where);
    return *memory.overlay;
}

std::string path_beside(const std::string& from, const std::string& path) {
    return (fs::path{from}.parent_path() / path).string();
}

}  // namespace pgsidecar::config
