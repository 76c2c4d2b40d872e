#include "proxy/io/deploy.h"

#include <filesystem>
#include <ostream>

#include "proxy/io/connection_string.h"
#include "proxy/io/console_tables.h"
#include "proxy/io/deployer.h"
#include "proxy/io/replace_file.h"
#include "proxy/ops/settings_backup.h"

namespace pgsidecar::io {
namespace {

namespace fs = std::filesystem;
using action = deploy_request::action;

constexpr int exit_failure = 1;
constexpr int exit_usage = 2;
constexpr std::size_t most_marker = 1U << 16U;
constexpr std::chrono::milliseconds console_time{30'000};

// The ways back. What cannot be repeated by itself (one configuration further back, a file that is
// restored already) is written down in `marker` before it is done, and looked at when it is done
// again.
class way_back {
  public:
    way_back(const config::settings& s, const deploy_request& request, const std::string& state,
             std::ostream& out, std::ostream& err)
        : settings_{s}, request_{request}, marker_{state + ".rollback"}, out_{out}, err_{err} {}

    int flag();
    int config();
    int application();

  private:
    int fail(const std::string& why) {
        err_ << "pgsidecar: " << why << '\n';
        return exit_failure;
    }
    int console(console_client& client);
    [[nodiscard]] std::string marked(const std::string& what) const;
    int mark(const std::string& what);
    void unmark() { (void)remove_file(marker_); }

    const config::settings& settings_;
    const deploy_request& request_;
    const fs::path marker_;
    std::ostream& out_;
    std::ostream& err_;
};

// What was written down for it; empty: nothing.
std::string way_back::marked(const std::string& what) const {
    const auto text = read_whole(marker_, most_marker).bytes;
    return text.starts_with(what + " ") ? text.substr(what.size() + 1) : std::string{};
}

int way_back::mark(const std::string& what) {
    const auto why = replace_file(marker_, what, {});
    return why.empty() ? 0 : fail(marker_.string() + ": " + why);
}

console_client console_of(const config::settings& s, const std::string& given,
                          std::string& problem) {
    return console_client{console_options(s, given, problem), console_time};
}

int way_back::flag() {
    std::string problem;
    auto client = console_of(settings_, request_.console, problem);
    ops::text_table ignored;
    if (!problem.empty()) return fail("--console: " + problem), exit_usage;
    if (!client.ask("SET enable_optimizations = false", ignored))
        return fail("console: " + client.problem());
    out_ << "enable_optimizations is false: everything passes through, until the program starts "
            "anew. Write "
            "it into the file, too.\n";
    return 0;
}

int way_back::config() {
    std::string problem;
    auto client = console_of(settings_, request_.console, problem);
    if (!problem.empty()) return fail("--console: " + problem), exit_usage;
    const auto now = [&]() -> std::string {
        ops::text_table table;
        if (!client.ask("SHOW CONFIG", table)) return {};
        std::string all;
        for (const auto& row : table.rows)
            for (std::size_t i = 0; i < row.size() && i < 2; ++i) all += row[i] + '\0';
        return sha256_hex(all);
    };
    const std::string before = now();
    if (before.empty()) return fail("console: " + client.problem());
    const std::string begun = marked("config");
    if (!begun.empty() && begun != before) {
        unmark();
        out_ << "the configuration before is in force: an earlier run of this command was ended "
                "behind it\n";
        return 0;
    }
    if (const int code = mark("config " + before); code != 0) return code;
    ops::text_table ignored;
    const bool done = client.ask("ROLLBACK CONFIG", ignored);
    unmark();
    if (!done) return fail("console: " + client.problem());
    out_ << "the configuration before is in force, until a reload. The file stays as it is.\n";
    return 0;
}

int way_back::application() {
    std::error_code ignored;
    const std::string file = fs::weakly_canonical(request_.file, ignored).string();
    const bool backup = fs::exists(file + std::string{ops::backup_suffix}, ignored);
    if (!backup && marked("application") == file) {
        unmark();
        out_ << request_.file
             << ": is restored: an earlier run of this command was ended behind it\n";
        return 0;
    }
    if (const int code = mark("application " + file); code != 0) return code;
    connection_string_request restore;
    restore.what = connection_string_request::action::restore;
    restore.files = {request_.file};
    restore.force = request_.force;
    const int code = connection_string(restore, {}, out_, err_);
    unmark();
    return code;
}

}  // namespace

int deploy(const config::sources& from, const deploy_request& request,
           const std::string& program_version, std::ostream& out, std::ostream& err) {
    deployer does{from, request, program_version, out, err};
    const bool works = request.what == action::green || request.what == action::switch_over;
    if (const int code = does.open(works); code != 0) return code;
    way_back back{does.settings(), request, does.state_path(), out, err};
    switch (request.what) {
        case action::green:
            return does.green();
        case action::switch_over:
            return does.switch_over();
        case action::status:
            return does.status();
        case action::flag:
            return back.flag();
        case action::config:
            return back.config();
        case action::application:
            return back.application();
        case action::database:
            break;
    }
    migrate_request down = request.migration;
    down.what = migrate_request::action::down;
    return migrate(does.settings(), down, out, err);
}

}  // namespace pgsidecar::io
