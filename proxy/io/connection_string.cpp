#include "proxy/io/connection_string.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <ostream>
#include <string_view>
#include <utility>

#include "protocol/ascii.h"
#include "proxy/io/replace_file.h"
#include "proxy/ops/connection_string.h"
#include "proxy/ops/settings_backup.h"
#include "proxy/ops/settings_text.h"

namespace pgsidecar::io {
namespace {

namespace fs = std::filesystem;
using ops::backup_state;

constexpr int exit_failure = 1;
constexpr int exit_usage = 2;
constexpr std::size_t max_record_size = 1U << 20U;

fs::path beside(const fs::path& file, std::string_view suffix, int number = 0) {
    fs::path out = file;
    out += suffix;
    if (number > 0) out += "." + std::to_string(number);
    return out;
}

// One settings file, the backup and the record beside it, as they are now.
struct settings_file {
    std::string shown;  // as it was given
    fs::path path;      // behind symbolic links, so that those stay
    whole_file now, backup, record;
    std::string hash;
    backup_state state = backup_state::none;
    std::string why{};  // it cannot be worked on
};

settings_file open_settings(const std::string& name) {
    settings_file out;
    out.shown = name;
    std::error_code error;
    out.path = fs::weakly_canonical(fs::path{name}, error);
    if (error) out.path = name;
    out.now = read_whole(out.path, ops::max_settings_size);
    out.backup = read_whole(beside(out.path, ops::backup_suffix), ops::max_settings_size);
    out.record = read_whole(beside(out.path, ops::record_suffix), max_record_size);
    if (!out.now.why.empty())
        out.why = out.now.why;
    else if (!out.backup.why.empty() && !out.backup.missing)
        out.why = "its backup " + out.backup.why;
    else if (!out.record.why.empty() && !out.record.missing)
        out.why = "the record of its backup " + out.record.why;
    out.hash = sha256_hex(out.now.bytes);
    const std::string backup = sha256_hex(out.backup.bytes);
    out.state = ops::state_of(out.hash, out.backup.missing ? nullptr : &backup,
                              ops::read_record(out.record.bytes));
    return out;
}

std::string backup_name(const settings_file& file) {
    return file.shown + std::string{ops::backup_suffix};
}

// The first of FILE.suffix.1, .2, ... that is free: nothing that is kept is ever written over.
fs::path free_name(const fs::path& file, std::string_view suffix) {
    std::error_code ignored;
    int number = 1;
    while (fs::exists(beside(file, suffix, number), ignored)) ++number;
    return beside(file, suffix, number);
}

class worker {
  public:
    worker(const connection_string_request& request, std::ostream& out, std::ostream& err)
        : request_{request}, out_{out}, err_{err} {}

    int show_file(const std::string& name);
    int show_environment(const std::vector<std::string>& environment);
    int set();
    int restore();

  private:
    int fail(const std::string& where, const std::string& why) {
        err_ << "pgsidecar: " << where << ": " << why << '\n';
        return exit_failure;
    }
    static std::string place(const settings_file& file, const ops::named_string& one) {
        return file.shown + ":" + std::to_string(one.line) + ": " + protocol::printable(one.shown);
    }
    // Nothing, after every problem has been said.
    std::optional<ops::named_strings> strings_of(const settings_file& file);
    void show(const std::string& where, const ops::named_string& one);
    int write(const settings_file& file, const std::string& changed);
    bool secure_backup(const settings_file& file);
    void remove_backup(const settings_file& file);

    const connection_string_request& request_;
    std::ostream& out_;
    std::ostream& err_;
};

std::optional<ops::named_strings> worker::strings_of(const settings_file& file) {
    if (!file.why.empty()) return fail(file.shown, file.why), std::nullopt;
    const auto kind = ops::kind_of_settings(file.path.filename().string(), file.now.bytes);
    auto read = ops::read_settings(file.now.bytes, kind);
    for (const auto& problem : read.problems) {
        const std::string line = problem.line > 0 ? ":" + std::to_string(problem.line) : "";
        const std::string key = problem.key.empty() ? "" : protocol::printable(problem.key) + ": ";
        fail(file.shown + line, key + problem.reason);
    }
    if (!read.problems.empty()) return std::nullopt;
    return read;
}

void worker::show(const std::string& where, const ops::named_string& one) {
    out_ << where << '\n';
    if (!one.other_driver.empty())
        out_ << "  (not shown: " << protocol::printable(one.other_driver) << ")\n";
    else
        out_ << "  " << ops::show_connection_string(one.value) << '\n';
}

int worker::show_file(const std::string& name) {
    const settings_file file = open_settings(name);
    const auto read = strings_of(file);
    if (!read) return exit_failure;
    bool any = false;
    for (const auto& one : read->found) {
        if (!request_.name.empty() && !protocol::same_in_any_case(one.name, request_.name))
            continue;
        show(place(file, one), one);
        any = true;
    }
    if (!any) {
        const auto chosen = ops::choose_string(read->found, request_.name);
        return fail(file.shown, chosen.problem);
    }
    if (file.state == backup_state::ours)
        out_ << "  backup: " << backup_name(file) << ", which restore puts back\n";
    if (file.state == backup_state::changed)
        out_ << "  backup: " << backup_name(file) << "; this file has changed since\n";
    return 0;
}

int worker::show_environment(const std::vector<std::string>& environment) {
    std::vector<std::string> sorted = environment;
    std::ranges::sort(sorted);
    bool any = false;
    for (const auto& variable : sorted) {
        const auto equals = variable.find('=', 1);  // Windows has names that begin with one
        if (equals == std::string::npos) continue;
        const std::string shown = variable.substr(0, equals);
        const std::string name = ops::connection_string_variable(shown);
        if (name.empty()) continue;
        if (!request_.name.empty() && !protocol::same_in_any_case(name, request_.name)) continue;
        ops::named_string one;
        one.value = variable.substr(equals + 1);
        show("environment: " + protocol::printable(shown), one);
        any = true;
    }
    if (any) return 0;
    return fail("environment", "there is no ConnectionStrings__" +
                                   (request_.name.empty() ? std::string{"NAME"} : request_.name) +
                                   "; --file names a file");
}

bool of_host_or_port(const ops::keyword_value& pair) {
    return ops::names_host(pair.keyword) || ops::names_port(pair.keyword);
}

// All keywords and values are the same but for host and port, and these lead to where they should.
bool same_but_redirected(const std::string& before, const std::string& after,
                         const connection_string_request& to) {
    auto was = ops::read_connection_string(before).pairs;
    auto is = ops::read_connection_string(after).pairs;
    for (const auto& pair : is) {
        const bool host = ops::names_host(pair.keyword);
        if (of_host_or_port(pair) && pair.value != (host ? to.host : std::to_string(to.port)))
            return false;
    }
    std::erase_if(was, of_host_or_port);
    std::erase_if(is, of_host_or_port);
    return std::ranges::equal(was, is, [](const auto& a, const auto& b) {
        return a.keyword == b.keyword && a.value == b.value;
    });
}

// The changed string as its reader sees it in the changed file, when all else there is as before.
// That it is so is what this program promises; if it ever is not, nothing is written.
std::optional<std::string> as_promised(const ops::named_strings& before,
                                       const ops::named_string& one, const std::string& after,
                                       ops::settings_kind kind,
                                       const connection_string_request& to) {
    const auto now = ops::read_settings(after, kind);
    if (!now.problems.empty() || now.found.size() != before.found.size()) return std::nullopt;
    std::optional<std::string> out;
    for (std::size_t i = 0; i < now.found.size(); ++i) {
        const auto& value = now.found[i].value;
        if (&before.found[i] != &one) {
            if (value != before.found[i].value) return std::nullopt;
        } else if (same_but_redirected(one.value, value, to)) {
            out = value;
        }
    }
    return out;
}

int worker::set() {
    if (const std::string why = ops::bad_host(request_.host); !why.empty()) {
        err_ << "pgsidecar: --host " << why << '\n';
        return exit_usage;
    }
    const settings_file file = open_settings(request_.files.front());
    const auto read = strings_of(file);
    if (!read) return exit_failure;
    const auto chosen = ops::choose_string(read->found, request_.name);
    if (chosen.which == nullptr) return fail(file.shown, chosen.problem);
    const auto& one = *chosen.which;
    if (!one.other_driver.empty())
        return fail(place(file, one),
                    "it is not one of Npgsql: " + protocol::printable(one.other_driver));
    const auto done = ops::redirect(one.value, {request_.host, request_.port, request_.all_hosts});
    if (!done.problem.empty()) return fail(place(file, one), done.problem);
    for (const auto& note : done.notes)
        err_ << "pgsidecar: " << place(file, one) << ": " << note << '\n';
    out_ << place(file, one) << '\n';
    if (done.edits.empty()) {
        out_ << "  " << ops::show_connection_string(one.value)
             << "\n  goes there already: nothing is changed\n";
        return 0;
    }
    const std::string changed = ops::with_edits(file.now.bytes, one, done.edits);
    const auto kind = ops::kind_of_settings(file.path.filename().string(), file.now.bytes);
    const auto value = as_promised(*read, one, changed, kind, request_);
    if (!value)
        return fail(place(file, one),
                    "it cannot be changed without changing more than host and port");
    out_ << "  was  " << ops::show_connection_string(one.value) << '\n';
    out_ << "  is   " << ops::show_connection_string(*value) << '\n';
    return write(file, changed);
}

// Backup and record, before the file itself is written. False after it has been said why not.
bool worker::secure_backup(const settings_file& file) {
    const fs::path backup = beside(file.path, ops::backup_suffix);
    if (file.state == backup_state::changed && request_.force) {
        // The older backup may be the only copy of what was there: it gets another name.
        const fs::path kept = free_name(file.path, ops::backup_suffix);
        std::error_code error;
        fs::rename(backup, kept, error);
        if (error) return fail(backup_name(file), "cannot be renamed: " + error.message()), false;
        err_ << "pgsidecar: " << file.shown << ": the older backup is " << kept.filename().string()
             << " now\n";
    }
    if (file.state == backup_state::none || file.state == backup_state::changed) {
        if (const auto why = write_new_file(backup, file.now.bytes, file.path); !why.empty())
            return fail(backup_name(file), why), false;
    }
    return true;
}

int worker::write(const settings_file& file, const std::string& changed) {
    if (file.state == backup_state::changed && !request_.force)
        return fail(file.shown,
                    "has changed since " + backup_name(file) +
                        " was made, which restore would put back: restore it, or give --force "
                        "(the older backup is kept under another name)");
    if (request_.dry_run) {
        out_ << "  --dry-run: nothing is written\n";
        return 0;
    }
    if (!secure_backup(file)) return exit_failure;
    ops::backup_record record;
    if (file.state == backup_state::ours) record = *ops::read_record(file.record.bytes);
    record.original =
        sha256_hex(file.state == backup_state::ours ? file.backup.bytes : file.now.bytes);
    record.written.push_back(sha256_hex(changed));
    const auto record_path = beside(file.path, ops::record_suffix);
    if (auto why = replace_file(record_path, ops::write_record(record), file.path); !why.empty())
        return fail(file.shown + std::string{ops::record_suffix}, why);
    if (auto why = replace_file(file.path, changed, file.path); !why.empty())
        return fail(file.shown, why);
    out_ << "  backup: " << backup_name(file) << '\n';
    return 0;
}

void worker::remove_backup(const settings_file& file) {
    for (const auto suffix : {ops::record_suffix, ops::backup_suffix}) {
        if (const auto why = remove_file(beside(file.path, suffix)); !why.empty())
            fail(file.shown + std::string{suffix}, why);
    }
}

int worker::restore() {
    const settings_file file = open_settings(request_.files.front());
    if (file.state == backup_state::none)
        return fail(
            file.shown,
            "has no backup of pgsidecar's: nothing was set here, or it was restored already");
    if (!file.why.empty() && !(file.now.missing && file.backup.why.empty() && request_.force))
        return fail(file.shown, file.why + (file.now.missing ? ", but " + backup_name(file) +
                                                                   " is: --force makes it anew"
                                                             : ""));
    if (file.state == backup_state::original) {
        if (!request_.dry_run) remove_backup(file);
        out_ << file.shown << ": is as it was before already\n";
        return 0;
    }
    if (file.state == backup_state::changed && !request_.force)
        return fail(file.shown,
                    "has changed since pgsidecar set it, so " + backup_name(file) +
                        " is not put back: --force does so, and keeps what is there now under "
                        "another name");
    if (request_.dry_run) {
        out_ << file.shown << ": would be restored from " << backup_name(file) << '\n';
        return 0;
    }
    if (file.state == backup_state::changed && !file.now.missing) {
        const fs::path kept = free_name(file.path, ops::replaced_suffix);
        if (auto why = write_new_file(kept, file.now.bytes, file.path); !why.empty())
            return fail(kept.string(), why);
        out_ << file.shown << ": what was there is " << kept.filename().string() << " now\n";
    }
    const fs::path like = file.now.missing ? beside(file.path, ops::backup_suffix) : file.path;
    if (auto why = replace_file(file.path, file.backup.bytes, like); !why.empty())
        return fail(file.shown, why);
    remove_backup(file);
    out_ << file.shown << ": restored from " << backup_name(file) << '\n';
    return 0;
}

}  // namespace

int connection_string(const connection_string_request& request,
                      const std::vector<std::string>& environment, std::ostream& out,
                      std::ostream& err) {
    using action = connection_string_request::action;
    worker does{request, out, err};
    if (request.what == action::set) return does.set();
    if (request.what == action::restore) return does.restore();
    if (request.files.empty()) return does.show_environment(environment);
    int code = 0;
    for (const auto& file : request.files) code = std::max(code, does.show_file(file));
    return code;
}

}  // namespace pgsidecar::io
