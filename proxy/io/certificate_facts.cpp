#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>

#include "proxy/io/probe.h"
#include "proxy/io/replace_file.h"

namespace pgsidecar::io {
namespace {

template <auto free>
struct freed_by {
    template <class T>
    void operator()(T* one) const noexcept {
        free(one);
    }
};
using bio_ptr = std::unique_ptr<BIO, freed_by<BIO_free_all>>;
using x509_ptr = std::unique_ptr<X509, freed_by<X509_free>>;
using key_ptr = std::unique_ptr<EVP_PKEY, freed_by<EVP_PKEY_free>>;

constexpr std::size_t most_bytes = 4U << 20U;

std::string text_in(BIO* from) {
    char* at = nullptr;
    const long size = BIO_get_mem_data(from, &at);
    return size > 0 ? std::string{at, static_cast<std::size_t>(size)} : std::string{};
}

template <class Print>
std::string printed(Print print) {
    const bio_ptr out{BIO_new(BIO_s_mem())};
    print(out.get());
    return text_in(out.get());
}

std::string describe(X509* certificate) {
    const auto name = [](X509_NAME* of) {
        return printed([of](BIO* to) { X509_NAME_print_ex(to, of, 0, XN_FLAG_RFC2253); });
    };
    const auto time = [](const ASN1_TIME* of) {
        return printed([of](BIO* to) { ASN1_TIME_print(to, of); });
    };
    std::string out = "  subject: " + name(X509_get_subject_name(certificate)) +
                      "\n  issuer: " + name(X509_get_issuer_name(certificate)) +
                      "\n  valid from: " + time(X509_get0_notBefore(certificate)) +
                      "\n  valid until: " + time(X509_get0_notAfter(certificate)) + "\n";
    int days = 0, seconds = 0;
    if (ASN1_TIME_diff(&days, &seconds, nullptr, X509_get0_notAfter(certificate)) == 1)
        out += days < 0 || seconds < 0 ? "  EXPIRED " + std::to_string(-days) + " days ago\n"
                                       : "  days left: " + std::to_string(days) + "\n";
    const int at = X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1);
    if (at >= 0)
        out += "  names: " + printed([&](BIO* to) {
                   X509V3_EXT_print(to, X509_get_ext(certificate, at), 0, 0);
               }) +
               "\n";
    return out;
}

// A key that asks for a passphrase is not asked about.
int no_passphrase(char*, int, int, void*) { return 0; }

std::string describe_key(const std::string& file, X509* certificate) {
    const auto read = read_whole(file, most_bytes);
    if (!read.why.empty()) return "key " + file + ": " + read.why + "\n";
    const bio_ptr from{BIO_new_mem_buf(read.bytes.data(), static_cast<int>(read.bytes.size()))};
    const key_ptr key{PEM_read_bio_PrivateKey(from.get(), nullptr, no_passphrase, nullptr)};
    if (!key) return "key " + file + ": is no PEM key, or has a passphrase\n";
    if (certificate == nullptr) return "key " + file + ": can be read\n";
    const bool fits = X509_check_private_key(certificate, key.get()) == 1;
    return "key " + file +
           (fits ? ": belongs to the certificate\n" : ": is NOT the certificate's\n");
}

}  // namespace

std::string describe_certificates(const std::string& file, const std::string& key_file) {
    std::string out = file + ":";
    x509_ptr first;
    const auto read = read_whole(file, most_bytes);
    if (!read.why.empty()) {
        out += " " + read.why + "\n";
    } else {
        const bio_ptr from{BIO_new_mem_buf(read.bytes.data(), static_cast<int>(read.bytes.size()))};
        int count = 0;
        std::string each;
        while (x509_ptr one{PEM_read_bio_X509(from.get(), nullptr, no_passphrase, nullptr)}) {
            each += describe(one.get());
            if (++count == 1) first = std::move(one);
        }
        out += " " + std::to_string(count) + (count == 1 ? " certificate\n" : " certificates\n") +
               each;
    }
    if (!key_file.empty()) out += describe_key(key_file, first.get());
    ERR_clear_error();
    return out;
}

}  // namespace pgsidecar::io
