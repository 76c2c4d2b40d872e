#include "proxy/io/control_parameters.h"

#include <string_view>
#include <vector>

namespace pgsidecar::io {
namespace {

const char* sslmode_of(config::tls_mode mode) {
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

}  // namespace

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
