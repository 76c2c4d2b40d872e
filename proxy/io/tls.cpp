#include "proxy/io/tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <boost/asio/ip/address.hpp>
#include <stdexcept>
#include <string_view>

#include "proxy/io/crypto.h"

namespace pgsidecar::io {
namespace {

// Length byte, then the name: PostgreSQL's registered ALPN protocol.
constexpr unsigned char alpn[] = "\x0apostgresql";
constexpr unsigned int alpn_size = sizeof alpn - 1;

[[noreturn]] void refuse(const std::string& what) {
    const auto code = ERR_get_error();
    const char* reason = code ? ERR_reason_error_string(code) : nullptr;
    throw std::runtime_error(what + ": " + (reason ? reason : "unreadable"));
}

int choose_alpn(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
                unsigned int in_size, void*) {
    const int chosen = SSL_select_next_proto(const_cast<unsigned char**>(out), out_size, alpn,
                                             alpn_size, in, in_size);
    return chosen == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

ssl_ctx_ptr make_context(const SSL_METHOD* method, const config::tls_settings& wanted) {
    ssl_ctx_ptr context{SSL_CTX_new(method), ssl_ctx_free{}};
    if (!context) refuse("TLS");
    SSL_CTX_set_min_proto_version(context.get(), wanted.min_protocol == config::tls_version::v1_3
                                                     ? TLS1_3_VERSION
                                                     : TLS1_2_VERSION);
    SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    if (!wanted.cert_file.empty() &&
        SSL_CTX_use_certificate_chain_file(context.get(), wanted.cert_file.c_str()) != 1)
        refuse("certificate file " + wanted.cert_file);
    if (!wanted.key_file.empty() &&
        SSL_CTX_use_PrivateKey_file(context.get(), wanted.key_file.c_str(), SSL_FILETYPE_PEM) != 1)
        refuse("key file " + wanted.key_file);
    if (!wanted.ca_file.empty() &&
        SSL_CTX_load_verify_locations(context.get(), wanted.ca_file.c_str(), nullptr) != 1)
        refuse("CA file " + wanted.ca_file);
    return context;
}

bool verifies(config::tls_mode mode) {
    return mode == config::tls_mode::verify_ca || mode == config::tls_mode::verify_full;
}

}  // namespace

ssl_ctx_ptr make_client_side_tls(const config::tls_settings& wanted) {
    if (wanted.mode == config::tls_mode::disable) return nullptr;
    auto context = make_context(TLS_server_method(), wanted);
    SSL_CTX_set_alpn_select_cb(context.get(), choose_alpn, nullptr);
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context.get(), 0);
    if (verifies(wanted.mode))
        SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                           nullptr);
    return context;
}

ssl_ctx_ptr make_server_side_tls(const config::tls_settings& wanted) {
    if (wanted.mode == config::tls_mode::disable) return nullptr;
    auto context = make_context(TLS_client_method(), wanted);
    // As libpq: a CA that is named is used, whatever the mode.
    const bool verify = verifies(wanted.mode) || !wanted.ca_file.empty();
    SSL_CTX_set_verify(context.get(), verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
    return context;
}

ssl_ptr new_server_side_session(SSL_CTX& context, config::tls_mode mode, const std::string& host) {
    ssl_ptr tls{SSL_new(&context)};
    boost::system::error_code not_an_address;
    (void)boost::asio::ip::make_address(host, not_an_address);
    const bool is_name = static_cast<bool>(not_an_address);
    if (is_name) SSL_set_tlsext_host_name(tls.get(), host.c_str());
    if (mode == config::tls_mode::verify_full) {
        if (is_name)
            SSL_set1_host(tls.get(), host.c_str());
        else
            X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(tls.get()), host.c_str());
    }
    return tls;
}

ssl_ptr new_client_side_session(SSL_CTX& context) { return ssl_ptr{SSL_new(&context)}; }

bool agreed_on_postgresql(const SSL& tls) {
    const unsigned char* chosen = nullptr;
    unsigned int size = 0;
    SSL_get0_alpn_selected(&tls, &chosen, &size);
    return std::string_view{reinterpret_cast<const char*>(chosen), size} == "postgresql";
}

std::string own_end_point(const SSL& tls) {
    return tls_server_end_point(SSL_get_certificate(&tls));
}

std::string peer_end_point(const SSL& tls) {
    const std::unique_ptr<X509, decltype(&X509_free)> shown{SSL_get1_peer_certificate(&tls),
                                                            X509_free};
    return tls_server_end_point(shown.get());
}

std::string tls_failure(const SSL& tls) {
    if (const long verdict = SSL_get_verify_result(&tls); verdict != X509_V_OK)
        return X509_verify_cert_error_string(verdict);
    const auto code = ERR_peek_last_error();
    const char* reason = code ? ERR_reason_error_string(code) : nullptr;
    return reason ? reason : "the connection was closed";
}

}  // namespace pgsidecar::io
