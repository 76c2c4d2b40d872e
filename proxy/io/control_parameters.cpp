#include "proxy/io/control_parameters.h"

#include <string_view>
#include <vector>

#include "config/conninfo.h"
#include "protocol/ascii.h"

namespace pgsidecar::io {

const char* sslmode_of(config::tls_mode mode) noexcept {
    switch (mode) {
        case config::tls_mode::disable:
            return "disable";
        case config::tls_mode::allow:
            return "allow";
        case config::tls_mode::prefer:
            return "prefer";
        case config::tls_mode::require:
            return "require";
        case config::tls_mode::verify_ca:
            return "verify-ca";
        case config::tls_mode::verify_full:
            return "verify-full";
    }
    return "prefer";
}

bool is_uri(std::string_view conninfo) noexcept {
    return conninfo.starts_with("postgresql://") || conninfo.starts_with("postgres://");
}

// A password with a bare '@' or '/' makes libpq take its rest for a host, which it would then name.
std::string conninfo_problem(const std::string& conninfo) {
    if (auto wrong = config::check_conninfo(conninfo); !wrong.empty())
        return "the connection string " + wrong;
    char* error = nullptr;
    const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> parsed{
        PQconninfoParse(conninfo.c_str(), &error), PQconninfoFree};
    PQfreemem(error);
    if (!parsed)
        return "libpq cannot read the connection string: an option that it does not know, or a "
               "malformed URI";
    if (!is_uri(conninfo)) return {};
    const auto at = conninfo.rfind('@');
    const auto user_info = std::string_view{conninfo}.substr(conninfo.find("://") + 3);
    const auto end = user_info.find_first_of("@/?");
    if (at != std::string::npos && user_info.data() + end != conninfo.data() + at)
        return "the connection string holds a bare '@', '/' or '?' before its last '@': in a "
               "password write %40, %2F or %3F";
    return {};
}

std::string one_line(std::string_view message) {
    std::string out;
    for (const char c : message.substr(0, message.find_last_not_of('\n') + 1)) {
        if (c == '\n')
            out += "; ";
        else if (c != '\t')
            out += c;
    }
    return protocol::printable(out);
}

control_parameters::control_parameters(const config::settings& s) {
    char* error = nullptr;
    const std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> given{
        PQconninfoParse(s.upstream.control_connection.c_str(), &error), PQconninfoFree};
    PQfreemem(error);
    for (auto* o = given.get(); o && o->keyword; ++o)
        if (o->val) items_[o->keyword] = o->val;
    const auto set_default = [this](const char* key, const std::string& value) {
        if (!value.empty()) items_.try_emplace(key, value);
    };
    set_default("host", s.upstream.host);
    set_default("port", std::to_string(s.upstream.port));
    set_default("sslmode", sslmode_of(s.upstream.tls.mode));
    set_default("sslrootcert", s.upstream.tls.ca_file);
    set_default("sslcert", s.upstream.tls.cert_file);
    set_default("sslkey", s.upstream.tls.key_file);
    set_default("connect_timeout", "10");
    set_default("application_name", "pgsidecar control");
    set_default("gssencmode", "disable");
    set_default("tcp_user_timeout", "10000");
    items_["client_encoding"] = "UTF8";
}

std::string control_parameters::database() const {
    const auto it = items_.find("dbname");
    return it == items_.end() ? std::string{} : it->second;
}

connection_ptr control_parameters::connect() const { return open(PQconnectdbParams); }

connection_ptr control_parameters::start() const { return open(PQconnectStartParams); }

connection_ptr control_parameters::open(PGconn* (*by)(const char* const*, const char* const*,
                                                      int)) const {
    std::vector<const char*> keys, values;
    for (const auto& [key, value] : items_) {
        keys.push_back(key.c_str());
        values.push_back(value.c_str());
    }
    keys.push_back(nullptr);
    values.push_back(nullptr);
    return connection_ptr{by(keys.data(), values.data(), 0)};
}

std::string first_line(const char* message) {
    const std::string_view text{message};
    return std::string{text.substr(0, text.find('\n'))};
}

}  // namespace pgsidecar::io
