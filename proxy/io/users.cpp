#include "proxy/io/users.h"

#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

#include "proxy/io/crypto.h"
#include "proxy/io/log.h"

namespace pgsidecar::io {
namespace {

using config::auth_type;
using core::auth_method;

constexpr std::size_t mock_seed_size = 32;

// Nothing: it cannot be read.
std::optional<std::string> text_of(const std::string& path) {
    std::ifstream in{std::filesystem::path{path}, std::ios::binary};
    std::string text{std::istreambuf_iterator<char>{in}, {}};
    if (!in.is_open() || in.bad()) return std::nullopt;
    return text;
}

std::string lines_of(const std::string& path, const std::vector<config::text_problem>& found) {
    std::string out;
    for (const auto& p : found) out += path + ":" + std::to_string(p.line) + ": " + p.reason + "\n";
    return out;
}

bool is_plain(std::string_view secret) {
    return !secret.empty() && !core::read_scram_secret(secret) && !core::is_md5_secret(secret);
}

auth_method method_of(config::hba_method m) {
    switch (m) {
        case config::hba_method::trust:
            return auth_method::trust;
        case config::hba_method::md5:
            return auth_method::md5;
        case config::hba_method::password:
            return auth_method::password;
        case config::hba_method::scram_sha_256:
            return auth_method::scram_sha_256;
        case config::hba_method::cert:
        case config::hba_method::reject:
            break;
    }
    return auth_method::reject;
}

// The files of the settings; what is wrong with them is appended.
void read_files(const config::settings& s, config::auth_file_result& known,
                config::hba_rules& rules, std::string& wrong) {
    const bool console = !s.admin_users.empty() || !s.stats_users.empty();
    if (s.auth_type == auth_type::relay && !console) return;
    if (!s.auth_file.empty()) {
        if (const auto text = text_of(s.auth_file))
            known = config::read_auth_file(*text);
        else
            wrong += s.auth_file + ": auth_file: cannot be read\n";
        wrong += lines_of(s.auth_file, known.problems);
    }
    if (s.auth_type != auth_type::hba) return;
    if (const auto text = text_of(s.auth_hba_file)) {
        auto found = config::read_hba_file(*text);
        wrong += lines_of(s.auth_hba_file, found.problems);
        rules = std::move(found.rules);
    } else {
        wrong += s.auth_hba_file + ": auth_hba_file: cannot be read\n";
    }
    for (const auto& r : rules.records)
        if (r.method == config::hba_method::cert)
            wrong += s.auth_hba_file + ":" + std::to_string(r.line) +
                     ": the method cert is not supported by this version\n";
}

}  // namespace

users::users(const config::settings& settings, stored_secrets& secrets)
    : secrets_{secrets},
      mock_seed_{random_bytes(mock_seed_size)},
      state_{read(settings, nullptr)} {}

std::shared_ptr<const users::state> users::read(const config::settings& settings,
                                                const state* before) {
    auto made = std::make_shared<state>();
    made->auth_type = settings.auth_type;
    made->asks = !settings.upstream.control_connection.empty();
    made->has_file = !settings.auth_file.empty();
    std::string wrong;
    read_files(settings, made->known, made->rules, wrong);
    if (!wrong.empty()) {
        wrong.pop_back();
        throw std::runtime_error(wrong);
    }
    const auto& all = made->known.users;
    made->scram.resize(all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (!is_plain(all[i].secret)) continue;
        // Computing one takes milliseconds, and the salt of a user is to stay.
        const auto* same = before ? before->known.find(all[i].name) : nullptr;
        made->scram[i] =
            same && same->secret == all[i].secret
                ? before->scram[static_cast<std::size_t>(same - before->known.users.data())]
                : core::make_scram_secret(openssl_crypto(), all[i].secret,
                                          random_bytes(core::scram_salt_size));
    }
    return made;
}

std::shared_ptr<const users::state> users::now() const {
    const std::lock_guard lock{mutex_};
    return state_;
}

void users::adopt(const config::settings& settings) {
    auto next = read(settings, now().get());
    const std::lock_guard lock{mutex_};
    state_ = std::move(next);
}

std::string users::problems(const config::settings& settings) {
    config::auth_file_result known;
    config::hba_rules rules;
    std::string wrong;
    read_files(settings, known, rules, wrong);
    return wrong;
}

auth_method users::method_for(const state& s, const question& q) {
    switch (s.auth_type) {
        case auth_type::trust:
            return auth_method::trust;
        case auth_type::plain:
            return auth_method::password;
        case auth_type::md5:
            return auth_method::md5;
        case auth_type::hba:
            return method_of(s.rules.match(
                q.encrypted ? config::hba_connection::tls : config::hba_connection::plain,
                q.database, q.user, q.client));
        case auth_type::scram_sha_256:
        case auth_type::relay:
            break;
    }
    return auth_method::scram_sha_256;
}

core::client_login users::login_of(std::string user) const {
    core::client_login out;
    out.user = std::move(user);
    out.mock_seed = mock_seed_;
    return out;
}

void users::look_up(question q, handler done) {
    const auto s = now();
    const auto method = method_for(*s, q);
    look_up_by(*s, method, std::move(q.user), std::move(done));
}

void users::look_up_for_console(question q, handler done) {
    const auto s = now();
    const auto method = method_for(*s, q);
    const bool asks = method != auth_method::trust && method != auth_method::reject;
    if (asks && !s->has_file && !s->asks) return done(method, std::nullopt);
    look_up_by(*s, method, std::move(q.user), std::move(done));
}

void users::look_up_by(const state& s, auth_method method, std::string user, handler done) {
    auto login = login_of(std::move(user));
    if (const auto* known = s.known.find(login.user)) {
        if (!known->secret.empty()) login.secret = known->secret;
        login.scram = s.scram[static_cast<std::size_t>(known - s.known.users.data())];
        return done(method, std::move(login));
    }
    const bool asks = method != auth_method::trust && method != auth_method::reject;
    if (!asks || !s.asks) return done(method, std::move(login));
    const auto name = login.user;
    secrets_.look_up(name, [method, login = std::move(login),
                            done = std::move(done)](std::optional<std::string> secret) mutable {
        if (!secret) return done(method, std::nullopt);
        if (!secret->empty()) login.secret = std::move(*secret);
        done(method, std::move(login));
    });
}

}  // namespace pgsidecar::io
