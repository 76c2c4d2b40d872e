// What a session is, for the cache: its settings, its role, what its log-in gave it.
#include <map>
#include <string>
#include <utility>

#include "protocol/ascii.h"
#include "proxy/core/session.h"

namespace pgsidecar::core {
namespace {

// Of what note_parameter() has written.
template <class F>
void each_reported(const shared_text& reported, const F& f) {
    std::string_view rest = reported ? std::string_view{*reported} : std::string_view{};
    while (!rest.empty()) {
        const auto end = rest.find('\0');
        const auto stop = rest.find('\0', end + 1);
        f(rest.substr(0, end), rest.substr(end + 1, stop - end - 1));
        rest.remove_prefix(stop + 1);
    }
}

// The time zone and the styles of dates and intervals, in the names of settings.
session_settings::values reported_literals(const shared_text& reported) {
    session_settings::values out;
    each_reported(reported, [&](std::string_view name, std::string_view value) {
        auto known = protocol::lower_case(name);
        if (known == "timezone" || known == "datestyle" || known == "intervalstyle")
            out.emplace(std::move(known), value);
    });
    return out;
}

}  // namespace

const std::shared_ptr<const scope_text>& session::scope() {
    const auto epoch = database_->epoch();
    if (scope_ && epoch == scope_epoch_ && scope_revision_ == settings_.revision() &&
        scope_temporary_ == temporary_)
        return scope_;
    if (epoch != scope_epoch_ || !login_) adopt_login_defaults(database_->usable_catalog());
    scope_epoch_ = epoch;
    scope_revision_ = settings_.revision();
    scope_temporary_ = temporary_;
    scope_ = services_.decide.scope(*database_, setting("search_path"), current_role(), temporary_);
    if (scope_->latest_catalog && unproven_) judge_unproven();
    return scope_;
}

void session::forget_old_catalog() {
    if (scope_ && database_->epoch() != scope_epoch_) scope_.reset();
}

// What the log-in gave is read from the last catalog before it, or else from the first one after
// it. When a later one says otherwise the session may have either: it is not to be followed any
// more. The server's own settings, though, change in a session that is under way, too.
void session::adopt_login_defaults(const std::shared_ptr<const policy::catalog>& catalog) {
    if (!catalog) return;
    auto found = services_.decide.defaults_of(*user_, catalog);
    const bool altered = login_ ? login_->of_login != found->of_login
                                : login_altered_ != services_.dbs.defaults_altered.load();
    // With shared server connections the log-in that counts is theirs: see on_server_attached().
    if (altered && pool_) {
        context_revision_ = 0;
    } else if (altered) {
        ++taints_;
        untracked_ = true;
        return;
    }
    if (!login_ || login_->of_server != found->of_server) context_revision_ = 0;
    if (pool_ && login_ != found) pool_->wanted.reset();
    login_ = std::move(found);
}

std::string_view session::setting(std::string_view name) const {
    if (const auto* value = settings_.find(name)) return *value;
    if (!login_) return {};
    return name == "search_path" ? login_->search_path
           : name == "role"      ? login_->role
                                 : login_->isolation;
}

std::string session::current_role() const {
    if (const auto* role = settings_.find("role"))
        if (*role != "none") return *role;
    if (const auto* user = settings_.find("session_authorization"))
        if (*user != "default") return *user;
    if (!settings_.find("role") && login_ && !login_->role.empty() && login_->role != "none")
        return login_->role;
    return *user_;
}

const std::string& session::context() {
    if (context_ && context_revision_ == settings_.revision()) return *context_;
    std::string text;
    for (const std::string_view part :
         {std::string_view{services_.options.upstream_name}, std::string_view{database_->name()},
          std::string_view{*user_}}) {
        text.append(part).push_back('\0');
    }
    text.append(current_role()).push_back('\0');
    text.append(settings_.key_text()).push_back('\1');
    if (login_) text.append(login_->of_login).append(1, '\1').append(login_->of_server);
    text.push_back('\1');
    if (reported_) text.append(*reported_);
    context_ = services_.decide.intern(std::move(text));
    context_revision_ = settings_.revision();
    read_by_ = services_.decide.intern(settings_.literals_text(reported_literals(reported_)) +
                                       std::to_string(constants_changed_));
    return *context_;
}

// The settings that literals of what is prepared now are read by: equal ones are the same object.
const shared_text& session::literals_read_by() {
    (void)context();
    return read_by_;
}

void session::note_parameter(std::string_view name, std::string_view value) {
    dialect_.report(name, value);
    // A PL/pgSQL function stays as it was read in this session when it was first called.
    if (name == "standard_conforming_strings" && value != "on") untracked_ = true;
    if (!setting_matters(name)) return;
    std::map<std::string_view, std::string_view> known;
    each_reported(reported_, [&](std::string_view n, std::string_view v) { known[n] = v; });
    known[name] = value;
    std::string text;
    for (const auto& [n, v] : known) {
        text.append(n).push_back('\0');
        text.append(v).push_back('\0');
    }
    reported_ = services_.decide.intern(std::move(text));
    context_revision_ = 0;
}

}  // namespace pgsidecar::core
