#include "proxy/io/http_site.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <utility>

#include "protocol/ascii.h"
#include "proxy/ops/dashboard_page.h"
#include "proxy/ops/json_dashboard.h"
#include "proxy/ops/json_health.h"

namespace pgsidecar::io {
namespace {

constexpr std::size_t shortest_token = 16, longest_token = 256;
constexpr const char* json_type = "application/json";

struct file {
    std::string_view path;
    const char* type;
    const std::string_view& text;
};

const std::array<file, 5>& files() {
    namespace page = ops::dashboard_page;
    static const std::array<file, 5> all{
        {{"/", "text/html; charset=utf-8", page::html},
         {"/dashboard.css", "text/css; charset=utf-8", page::style},
         {"/dashboard.js", "text/javascript; charset=utf-8", page::script},
         {"/charts.js", "text/javascript; charset=utf-8", page::charts},
         {"/favicon.svg", "image/svg+xml", page::icon}}};
    return all;
}

bool open_to_all(std::string_view path) { return path == "/healthz" || path == "/readyz"; }

bool known(std::string_view path) {
    return open_to_all(path) || path == "/metrics" || path == "/api/dashboard" ||
           std::ranges::any_of(files(), [&](const file& f) { return f.path == path; });
}

// "127.0.0.1:8080", "[::1]", "localhost": whoever asks under such a name sits on this machine.
bool loopback_name(std::string_view host) {
    if (host.starts_with('[')) {
        const auto end = host.find(']');
        if (end == std::string_view::npos) return false;
        return host.substr(1, end - 1) == "::1";
    }
    host = host.substr(0, host.find(':'));
    const auto digit_or_dot = [](char c) { return c == '.' || (c >= '0' && c <= '9'); };
    return protocol::same_in_any_case(host, "localhost") ||
           (host.starts_with("127.") && std::ranges::all_of(host, digit_or_dot));
}

// In a time that does not depend on where they differ.
bool same_secret(std::string_view a, std::string_view b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

// The password of "user:password" in base64; nothing for anything else.
std::string basic_password(std::string_view encoded) {
    constexpr std::size_t longest = 4 * (longest_token + 256) / 3;
    if (encoded.empty() || encoded.size() % 4 != 0 || encoded.size() > longest) return {};
    std::string out(encoded.size() / 4 * 3, '\0');
    const int got = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                    reinterpret_cast<const unsigned char*>(encoded.data()),
                                    static_cast<int>(encoded.size()));
    if (got < 0) return {};
    const auto padding = static_cast<std::size_t>(encoded.ends_with("==")  ? 2
                                                  : encoded.ends_with('=') ? 1
                                                                           : 0);
    out.resize(static_cast<std::size_t>(got) - padding);
    const auto colon = out.find(':');
    return colon == std::string::npos ? std::string{} : out.substr(colon + 1);
}

// What stands behind "Bearer " and the like, whose case does not matter; nothing: another scheme.
std::string_view behind_scheme(std::string_view header, std::string_view scheme) {
    if (header.size() <= scheme.size() || header[scheme.size()] != ' ' ||
        !protocol::same_in_any_case(header.substr(0, scheme.size()), scheme))
        return {};
    const auto at = header.find_first_not_of(' ', scheme.size());
    return at == std::string_view::npos ? std::string_view{} : header.substr(at);
}

bool fits_a_token(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view{"-._~+/="}.find(c) != std::string_view::npos;
}

}  // namespace

http_answer http_error(unsigned status, std::string_view words) {
    return {.status = status, .body = std::string{words} + "\n"};
}

bool http_site::admits(std::string_view authorization) const {
    if (token_.empty()) return true;
    if (const auto shown = behind_scheme(authorization, "Bearer"); !shown.empty())
        return same_secret(shown, token_);
    if (const auto shown = behind_scheme(authorization, "Basic"); !shown.empty())
        return same_secret(basic_password(shown), token_);
    return false;
}

void http_site::answer(const http_request& request, const taker& then) {
    if (!request.target.starts_with('/')) return then(http_error(400, "bad request"));
    const auto path = request.target.substr(0, request.target.find('?'));
    if (!open_to_all(path)) {
        if (token_.empty() && !request.host.empty() && !loopback_name(request.host))
            return then(http_error(421, "this is served for loopback names only; set a token"));
        if (!admits(request.authorization)) return then(http_error(401, "a token is needed"));
    }
    if (!known(path)) return then(http_error(404, "not found"));
    if (request.method != "GET" && request.method != "HEAD")
        return then(http_error(405, "only GET and HEAD"));
    if (path == "/healthz") return then({.type = json_type, .body = ops::health_json()});
    if (path == "/readyz") return readiness(then);
    if (path == "/metrics") return metrics(then);
    if (path == "/api/dashboard") return dashboard(then);
    for (const auto& f : files())
        if (f.path == path) return then({.type = f.type, .body = std::string{f.text}});
}

void http_site::readiness(const taker& then) {
    sources_.state([then](const ops::program_state& state) {
        then({.status = state.ready() ? 200U : 503U,
              .type = json_type,
              .body = ops::readiness_json(state)});
    });
}

void http_site::metrics(const taker& then) {
    sources_.state([this, then](const ops::program_state& state) {
        sources_.look([this, then, state](const http_sources::snapshot& seen) {
            then({.type = ops::exposition::content_type, .body = exposition_.text(*seen, state)});
        });
    });
}

void http_site::dashboard(const taker& then) {
    sources_.state([this, then](const ops::program_state& state) {
        sources_.look([this, then, state](const http_sources::snapshot& seen) {
            then(
                {.type = json_type, .body = ops::dashboard_json(*seen, sources_.history(), state)});
        });
    });
}

std::string read_http_token(const config::settings& s, std::string& wrong) {
    wrong.clear();
    const auto& path = s.http.token_file;
    if (path.empty()) return {};
    std::ifstream in{std::filesystem::path{path}, std::ios::binary};
    std::string line(longest_token + 2, '\0');
    in.read(line.data(), static_cast<std::streamsize>(line.size()));
    line.resize(static_cast<std::size_t>(std::max<std::streamsize>(in.gcount(), 0)));
    if (!in.is_open() || in.bad()) {
        wrong = "http.token_file: cannot read " + protocol::printable(path);
        return {};
    }
    line = line.substr(0, line.find_first_of("\r\n"));
    if (line.size() < shortest_token || line.size() > longest_token ||
        !std::ranges::all_of(line, fits_a_token)) {
        wrong = protocol::printable(path) +
                ":1: http.token_file: the token is 16 to 256 letters, digits and -._~+/=";
        return {};
    }
    return line;
}

}  // namespace pgsidecar::io
